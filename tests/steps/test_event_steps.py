"""Every step of an event analysis on a tiny field, in process: what is written, and what is refused before any work."""

import csv

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.cli import main
from skysift.config import load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.marginals import read_marginals
from skysift.steps import tables
from skysift.steps.events import diagnose, evaluate, export, fit, marginalise, observe, response, simulate
from skysift.storage.hdf5 import read
from skysift.storage.posterior import read_posterior
from skysift.storage.tables import read_table

POINTINGS = [
    {"lon": "0 deg", "lat": "0 deg", "time": "50 h"},
    {"lon": "0.5 deg", "lat": "0 deg", "time": "10 h"},
]
FREE = {"diffuse": {"sky": "synthetic_diffuse", "spectrum": {"index": {"uniform": [2, 3]}}}}
FITS = {"quick": ["laplace"], "reference": {"sequence": ["laplace"], "model": {"components": FREE}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """Two pointings, two fits, one of them with a free index."""
    return SmallEventRun(tmp_path_factory.mktemp("run"), repository, observation=SMALL_TWO, fits=FITS)


SMALL_TWO = {
    "pointings": POINTINGS,
    "reconstructed": {
        "energy": {"range": ["0.5 TeV", "20 TeV"], "points": 5},
        "lon": {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"},
        "lat": {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"},
    },
    "true": {"refine": 2},
}


@pytest.fixture(scope="module")
def posteriors(run):
    """The posterior of each fit."""
    made = {}
    for name in FITS:
        made[name] = run.folder / "fits" / name / "simulated-000.nc"
        fit.run(**vars(run.arguments(name)), out=made[name])
    return made


def test_observation_holds_axes_pointings_and_the_light_of_every_source(run):
    looked_at = read_event_observation(run.observation)
    assert looked_at.reconstructed.shape == (5, 25)
    assert [pointing.live_time_s for pointing in looked_at.pointings] == [180000.0, 36000.0]
    assert [response.name for response in looked_at.responses] == ["analytic", "analytic"]
    assert set(looked_at.lights) == {"diffuse", "catalogue", "diffuse.reference"}
    assert len(looked_at.lights["diffuse.reference"].cube) == 1
    assert looked_at.lights["catalogue"].cube.shape == looked_at.true.shape
    # the analytic response was made for 50 h
    assert [text.split()[:2] for text in looked_at.warnings] == [["pointing", "1"]]


def test_simulated_list_holds_what_was_asked_for(run):
    events = read_events(run.simulate())
    assert dict(events.truth["counts"]) == {"diffuse": 200, "catalogue": 400, "background": 600}
    assert set(events.pointing.tolist()) == {0, 1}


def test_marginals_have_a_column_for_every_source(run):
    marginals = read_marginals(run.gather())
    kinds = {name: column.kind for name, column in marginals.columns.items()}
    assert kinds == {
        "diffuse": "fixed", "catalogue": "fixed", "background": "fixed", "diffuse.reference": "spectrum",
    }  # fmt: skip
    assert marginals.counts.sum() == marginals.seen.sum() == 1200
    assert len(marginals.digests["responses"]) == 2
    assert set(marginals.digests["sources"]) == set(kinds)


def test_posterior_holds_fractions_counts_and_truths(run, posteriors):
    quick, free = (read_posterior(posteriors[name]) for name in FITS)
    for posterior in (quick, free):
        shares = np.stack([posterior.flat(f"{name}_fraction") for name in ("diffuse", "catalogue", "background")])
        np.testing.assert_allclose(shares.sum(0), 1, rtol=1e-12)
        assert posterior.variables["catalogue_fraction"].truth == pytest.approx(1 / 3)
        assert posterior.variables["catalogue_counts"].truth == 400
        assert abs(posterior.flat("catalogue_counts").mean() - 400) < 5 * posterior.flat("catalogue_counts").std()
        assert [text.split(":")[0] for text in posterior.warnings] == [
            "pointing 1 lasts 10 h, its response analytic was made for 50 h"
        ]
        assert np.isfinite(posterior.log_z)
    assert "diffuse_index" not in quick.variables
    index = free.flat("diffuse_index")
    assert 2 < index.min() < index.max() < 3
    assert quick.variables["diffuse_fraction"].prior_summary["family"] == "Dirichlet"


def test_predictions_of_every_component_are_those_of_the_posterior(run, posteriors):
    for name, path in posteriors.items():
        out = run.folder / "predictive" / name / "simulated-000.h5"
        diagnose.run(**vars(run.arguments(name)), posterior=path, out=out, response=run.responses)
        file, posterior = read(out, format="predictive"), read_posterior(path)
        for view in ("energy", "image"):
            assert file[f"{view}/observed"].sum() == 1200
            for component in ("diffuse", "catalogue", "background"):
                total = file[f"{view}/components/{component}"].sum()
                assert total == pytest.approx(posterior.flat(f"{component}_counts").mean())
        assert all(0.001 < p < 0.9999 for p in file.attributes["p_values"].values())


def test_tables_and_page_of_the_run(run, posteriors, monkeypatch):
    from skysift.steps import report

    monkeypatch.setattr("skysift.steps.report.draw_figures", lambda run, processes: [])
    tables.run(run.slice("report"), run.folder, run.folder / "tables")
    with (run.folder / "tables/posterior.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["fit"], row["parameter"]) for row in rows} >= {
        ("quick", "catalogue_counts"), ("reference", "diffuse_index"), ("reference", "background_fraction"),
    }  # fmt: skip
    assert {row["truth"] for row in rows if row["parameter"] == "catalogue_counts"} == {"400"}
    report.run(run.folder / "config.yaml", run.folder, run.folder / "report.html")
    page = (run.folder / "report.html").read_text()
    assert all(word in page for word in ("reference", "catalogue", "2 pointings, 60 h", "cuts depend on the time"))


def test_exported_lists_are_observed_again(run, tmp_path, repository):
    export.run(run.observation, run.simulate(), tmp_path)
    paths = [str(tmp_path / f"simulated-000_{number:03d}.fits") for number in range(2)]
    observed = SmallEventRun(
        tmp_path / "again", repository, observation=SMALL_TWO | {"events": paths}, simulate=None, fits=FITS
    )
    out = observed.folder / "data" / "observed.h5"
    observe.run(observed.slice("observation"), observed.observation, out)
    drawn, seen = read_events(run.simulate()), read_events(out)
    assert len(seen) == len(drawn)
    np.testing.assert_allclose(np.sort(seen.energy), np.sort(drawn.energy), rtol=1e-12)
    again, first = read_marginals(observed.gather("observed")), read_marginals(run.gather())
    np.testing.assert_allclose(again.columns["catalogue"].density, first.columns["catalogue"].density, rtol=1e-9)
    assert not again.truth


def test_drawn_fields_are_the_truth_of_the_posterior(tmp_path, repository):
    """Each data set has a field of its own, which its posterior knows as the truth; a rigid set has none."""
    cloud = {"sky": "synthetic_diffuse", "modulate": {"lengthscale": "2 deg", "variance": 0.3}}
    drawn = {"events": {"background": 600, "diffuse": 200, "catalogue": 400}}
    own = SmallEventRun(
        tmp_path, repository, observation=SMALL_TWO, fits={"quick": ["laplace"]},
        model={"components": {"diffuse": cloud}},
        simulate={"events": None, "sets": {"drawn": drawn | {"modulate": True, "replicates": 2}, "rigid": drawn}},
    )  # fmt: skip
    fields = [read_events(own.simulate(f"drawn-{k:03d}")).truth["parameters"]["diffuse_field"] for k in range(2)]
    assert fields[0] != fields[1]
    assert not read_events(own.simulate("rigid-000")).truth["parameters"]
    out = tmp_path / "fit.nc"
    fit.run(**vars(own.arguments("quick", "drawn-000")), out=out)
    variable = read_posterior(out).variables["diffuse_field"]
    assert variable.array.shape[2:] == np.shape(variable.truth)
    np.testing.assert_allclose(variable.truth, fields[0], rtol=1e-12)


def test_fields_leave_absolute_norms_to_photons(tmp_path, repository):
    """The mean of a field over its light is nobody's: a norm is known as well as its events say, not as the field."""
    cloud = {"sky": "synthetic_diffuse", "modulate": {"lengthscale": "2 deg", "variance": 0.5}}
    components = {"diffuse": {**cloud, "norm": {"lognormal": [0.1, 2]}}, "catalogue": None,
                  "background": {"instrument": "background", "norm": 0.01}}  # fmt: skip
    own = SmallEventRun(
        tmp_path, repository, observation=SMALL_TWO, fits={"quick": ["laplace"], "reference": None}, calibrate=None,
        model={"likelihood": "extended", "components": components},
        simulate={"events": "physical", "truth": {"diffuse": 0.1}, "modulate": True},
    )  # fmt: skip
    out = tmp_path / "fit.nc"
    fit.run(**vars(own.arguments("quick")), out=out)
    posterior = read_posterior(out)
    norm, counts = posterior.flat("diffuse_norm"), posterior.flat("diffuse_counts").mean()
    assert counts > 300
    assert norm.std() / norm.mean() < 2.0 / counts**0.5
    assert abs(norm.mean() - 0.1) < 5 * norm.std()


# ---------------------------------------------------------------- what is refused


def refuse(words, *expected, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    for part in expected:
        assert str(part) in text


def test_wrong_numbers_and_names_exit_with_2(run, tmp_path, capsys):
    out = tmp_path / "out.h5"
    common = ["--observation", run.observation, "--out", out]
    refuse(["response", "--config", run.slice("observation"), "--pointing", 2, *common], "--pointing", "0 to 1",
           capsys=capsys)  # fmt: skip
    refuse(["simulate", "--config", run.slice("simulate-simulated"), "--data", "other-000", *common],
           "other-000", "simulated-000", capsys=capsys)  # fmt: skip
    marginal = ["marginalise", "--config", run.slice("marginalise"), "--data", run.simulate(), *common]
    for chunk in ("1/1", "0", "-1/2", "a/b"):
        refuse([*marginal, f"--chunk={chunk}", "--response", *run.responses], "--chunk", "0/1", capsys=capsys)
    refuse([*marginal, "--chunk", "0/1", "--response", run.responses[0]], "--response", "2, one per pointing",
           capsys=capsys)  # fmt: skip
    values = tmp_path / "values.csv"
    values.write_text("diffuse_norm\n1\n")
    refuse(["evaluate", "--config", run.folder / "config.yaml", "--data", run.gather(), "--fit", "quick",
            "--table", values, *common], "diffuse_norm", "did you mean 'diffuse_fraction'", capsys=capsys)  # fmt: skip
    assert not out.exists()


def test_evaluated_likelihoods_are_those_of_the_marginals(run, tmp_path):
    """The log likelihood of each row is the sum over events of the log of the mixed densities that are written."""
    components = list(load_slice(run.slice("fit-quick"), "events/fit").model.components)
    values = tmp_path / "values.csv"
    shares = np.full(len(components), 1 / len(components))
    head = ",".join(f"{name}_fraction" for name in components)
    values.write_text(f"{head}\n{','.join(map(str, shares))}\n")
    out = tmp_path / "evaluated.csv"
    evaluate.run(run.folder / "config.yaml", run.observation, run.gather(), "quick", values, out)
    file = read(out.with_suffix(".h5"), format="expected")
    mixed = np.log(np.exp(file["log_density"][0]) @ shares)
    row = read_table(out)[0]
    assert float(row["log_likelihood"]) == pytest.approx(float(file["counts"] @ mixed), rel=1e-9)
    total = file["counts"].sum()
    assert float(row[f"{components[0]}_counts"]) == pytest.approx(total / len(components))


def test_files_of_another_kind_exit_with_2(run, tmp_path, capsys):
    out = tmp_path / "out.h5"
    words = ["fit", "--config", run.slice("fit-quick"), "--observation", run.observation, "--out", out]
    refuse([*words, "--data", run.simulate()], "marginals", capsys=capsys)
    words = ["marginalise", "--config", run.slice("marginalise"), "--chunk", "0/1", "--out", out]
    refuse([*words, "--observation", run.simulate(), "--data", run.simulate(), "--response", *run.responses],
           "event_observation", capsys=capsys)  # fmt: skip
    refuse([*words, "--observation", run.observation, "--data", run.gather(), "--response", *run.responses],
           "events", capsys=capsys)  # fmt: skip
    refuse(["prepare", "--config", run.slice("fit-quick"), "--out", out], "fit-quick.yaml", capsys=capsys)
    assert not out.exists()


def test_a_source_that_was_not_marginalised_is_named(run, tmp_path):
    text = run.slice("fit-quick").read_text().replace("diffuse: diffuse\n", "diffuse: difuse\n")
    (tmp_path / "fit.yaml").write_text(text)
    arguments = run.arguments("quick")
    with pytest.raises(InputError, match="did you mean 'diffuse'"):
        fit.run(tmp_path / "fit.yaml", arguments.observation, arguments.data, tmp_path / "out.nc")


def test_events_outside_the_axes_are_named_with_their_row(run, tmp_path, repository):
    narrow = {**SMALL_TWO["reconstructed"], "lon": {"range": ["-0.4 deg", "0.4 deg"], "step": "0.4 deg"}}
    other = SmallEventRun(tmp_path, repository, observation=SMALL_TWO | {"reconstructed": narrow}, fits=FITS)
    with pytest.raises(InputError, match="row"):
        marginalise.run(
            other.slice("marginalise"), other.observation, other.responses, run.simulate(), "0/1", tmp_path / "out.h5"
        )


def test_a_response_file_that_changed_since_prepare_is_refused(run, tmp_path, monkeypatch):
    from dataclasses import replace

    from skysift.instruments.ctao.analytic import analytic_irf

    monkeypatch.setattr(
        "skysift.instruments.ctao.response_source.analytic_irf", lambda: replace(analytic_irf(), sha256=64 * "0")
    )
    for step, more in ((response, {"pointing": 0}), (simulate, {"data": "simulated-000"})):
        name = "observation" if step is response else "simulate-simulated"
        with pytest.raises(InputError, match="sha256"):
            step.run(run.slice(name), run.observation, out=tmp_path / "out.h5", **more)


def test_a_missing_file_is_told_with_the_known_ones(run, tmp_path, capsys):
    text = run.slice("observation").read_text().replace("irf: analytic", "irf: Prod9.fits")
    (tmp_path / "observation.yaml").write_text(text)
    refuse(["prepare", "--config", tmp_path / "observation.yaml", "--out", tmp_path / "out.h5"],
           "Prod9.fits", "skysift data list", capsys=capsys)  # fmt: skip


def test_an_unwritable_result_is_told_before_any_work(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    refuse(["prepare", "--config", run.slice("observation"), "--out", tmp_path / "file" / "out.h5"], "out.h5",
           capsys=capsys)  # fmt: skip
