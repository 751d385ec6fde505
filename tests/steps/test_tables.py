"""Tables: one row per number, calibration against the truth, and the bare prior as the line to beat."""

import math
import shutil

import numpy as np
import pytest

from skysift.steps import tables
from skysift.steps.gather import FitRecord, Quantity, find_prior, find_truth, gather_fits, set_of
from skysift.steps.replicates import CALIBRATION_COLUMNS, find_peak
from skysift.storage.tables import read_table


@pytest.fixture(scope="module")
def written(fabricated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    tables.run(config=fabricated.folder / "config" / "report.yaml", run_dir=fabricated.folder, out_dir=folder)
    return {path.stem: read_table(path) for path in folder.glob("*.csv")}


def only(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_four_tables_and_nothing_else(written):
    assert set(written) == {"posterior", "evidence", "cost", "calibration"}


def test_posterior_rows_agree_with_the_draws(written, fabricated):
    row = only(written["posterior"], fit="gp", data="simulated-001", parameter="gce_norm")
    record = next(
        r for r in gather_fits(fabricated.folder, fabricated.settings) if (r.fit, r.data) == ("gp", "simulated-001")
    )
    draws = record.quantities["gce_norm"].flat
    assert float(row["mean"]) == pytest.approx(draws.mean(), rel=1e-6)
    assert float(row["q97.5"]) == pytest.approx(np.quantile(draws, 0.975), rel=1e-6)
    assert float(row["truth"]) == 0.9
    assert float(row["r_hat"]) == pytest.approx(1, abs=0.03)
    assert float(row["sd_over_prior_sd"]) == pytest.approx(draws.std(ddof=1) / (1.5 / math.sqrt(12)), rel=1e-6)


def test_fields_stay_out_and_derived_numbers_stay_in(written):
    names = {row["parameter"] for row in written["posterior"]}
    assert not [name for name in names if "field" in name]
    assert {"gce_norm", "gce_fraction", "gce_intensity", "diffuse_variance"} <= names
    assert (
        only(written["posterior"], fit="gp", data="simulated-000", parameter="gce_intensity")["unit"] == "ph / cm2 s sr"
    )


def test_tempered_fits_carry_their_label(written):
    notes = {row["note"] for row in written["posterior"] if row["fit"] == "legacy"}
    assert notes == {"tempered, mean field: not a posterior"}


def test_evidence_names_the_template_under_the_process(written):
    row = only(written["evidence"], fit="gp", data="simulated-000")
    assert row["diffuse_templates"] == "diffuse"
    assert float(row["log_z"]) == pytest.approx(-11921.2)
    assert only(written["evidence"], fit="rigid", data="simulated-001")["converged"] == "false"


def test_cost_has_stages_and_their_total(written):
    rows = [row for row in written["cost"] if row["fit"] == "mvn" and row["data"] == "simulated-002"]
    assert [row["stage"] for row in rows] == ["map", "svi", "total"]
    assert not [row for row in written["cost"] if row["fit"].endswith("_sidebands")], "no fit counts twice"
    assert float(rows[-1]["gradients"]) == sum(float(row["gradients"]) for row in rows[:-1])


def test_calibration_has_bias_coverage_and_the_prior(written):
    rows = [row for row in written["calibration"] if row["parameter"] == "gce_norm"]
    assert list(rows[0]) == list(CALIBRATION_COLUMNS)
    assert [row["fit"] for row in rows] == ["prior", "rigid", "gp", "gp_sidebands", "mvn", "legacy"]
    prior, rigid, gp, wide = rows[:4]
    assert (float(prior["bias"]), float(prior["coverage_95"])) == (pytest.approx(-0.15), 1.0)
    assert float(prior["sd_over_prior_sd"]) == 1.0
    assert float(rigid["bias"]) < -0.4
    assert float(rigid["coverage_95"]) == 0.0
    assert rigid["n_not_converged"] == "1"
    assert float(gp["coverage_95"]) > 0.5
    assert float(wide["mean_sd"]) > 3 * float(gp["mean_sd"])
    assert float(gp["ratio_rmse"]) > 0
    assert float(gp["cpu_s"]) == pytest.approx(2.9)


def test_hopeless_folder_gives_empty_tables(fabricated, tmp_path):
    run = tmp_path / "results" / "fabricated"
    shutil.copytree(fabricated.folder / "config", run / "config")
    tables.run(config=run / "config" / "report.yaml", run_dir=run, out_dir=tmp_path / "tables")
    assert read_table(tmp_path / "tables" / "posterior.csv") == []
    rows = read_table(tmp_path / "tables" / "evidence.csv")
    assert len(rows) == 15
    assert all(row["note"].startswith("no posterior") for row in rows)


def test_truth_is_found_by_template(fabricated):
    settings = fabricated.settings
    assert find_truth(settings, "gp", "simulated-000", "gce_norm") == 0.9
    assert find_truth(settings, "gp_sidebands", "simulated-000", "gce_norm") == 0.9
    assert find_truth(settings, "gp", "simulated-000", "diffuse_norm") is None
    assert find_truth(settings, "gp", "simulated-000", "gce_counts") is None


def test_priors_are_those_of_the_fit(fabricated):
    settings = fabricated.settings
    assert find_prior(settings, "rigid", "diffuse_norm").kind == "uniform"
    assert find_prior(settings, "gp", "diffuse_norm").kind == "lognormal"
    assert find_prior(settings, "gp", "bubbles_norm").support[0] == 0
    assert find_prior(settings, "gp", "diffuse_variance").first == pytest.approx(0.03)
    assert find_prior(settings, "gp", "diffuse_lengthscale") is None
    assert find_prior(settings, "gp", "gce_fraction") is None


def test_peak_comes_from_the_marginal_likelihood_where_it_is_known(fabricated):
    random = np.random.default_rng(1)
    draws = np.abs(random.normal(0.2, 0.2, size=(1, 4000)))
    grid = np.linspace(-1, 1, 801)
    arrays = {
        "marginal_grid": grid,
        "marginal_log_likelihood": -0.5 * ((grid + 0.1) / 0.3) ** 2,
        "flat_gce_norm": random.normal(-0.1, 0.3, size=4000),
    }
    prior = find_prior(fabricated.settings, "gp", "gce_norm")
    known = FitRecord("gp", "x", quantities={"gce_norm": Quantity(draws)}, arrays=arrays)
    assert find_peak(known, "gce_norm", prior) == pytest.approx(-0.1)
    other = FitRecord("gp", "x", quantities={"bubbles_norm": Quantity(draws)}, arrays=arrays)
    assert find_peak(other, "bubbles_norm", prior) > 0
    assert math.isnan(find_peak(known, "gce_norm", None))


@pytest.mark.parametrize(("data", "name"), [("observed", "observed"), ("model_o-012", "model_o"), ("a-1", "a-1")])
def test_sets_are_named_by_their_data(data, name):
    assert set_of(data) == name
