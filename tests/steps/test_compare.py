"""Fits beside each other: shifts, widths and evidences are those of the draws; other data are refused."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.steps import compare
from skysift.steps.agreement import check_agreement
from skysift.steps.gather import MAXIMUM, FitRecord, Quantity, read_record
from skysift.steps.report_verdicts import judge_record
from skysift.storage.posterior import CheckRow, Posterior, Stage, Variable, write_posterior
from skysift.storage.tables import read_table


def make(folder, fit, mean, sd, log_z=None, data="sky-000", digest="a" * 64, name="gce_norm"):
    draws = np.random.default_rng(7).normal(size=(4, 500))
    draws = mean + sd * (draws - draws.mean()) / draws.std(ddof=1)
    posterior = Posterior(
        variables={name: Variable(draws, ""), "gce_counts": Variable(100 * draws, "ct")},
        log_z=log_z,
        log_z_error=None if log_z is None else 0.3,
        cost={"cpu_s": 2.0},
        attributes={"fit": fit, "data": data},
        provenance={"inputs": {f"{data}.h5": digest}},
    )
    path = folder / fit / f"{data}.nc"
    write_posterior(path, posterior)
    return path


def test_shift_ratio_and_evidence_are_those_of_the_draws(tmp_path, capsys):
    paths = [make(tmp_path, "chains", 1.0, 0.2, -100.0), make(tmp_path, "guide", 1.1, 0.1, -98.5)]
    compare.run(paths, tmp_path / "compared.csv")
    rows = read_table(tmp_path / "compared.csv")
    norm = next(row for row in rows if (row["parameter"], row["fit"]) == ("gce_norm", "guide"))
    assert float(norm["shift_sd"]) == pytest.approx(0.5, abs=1e-6)
    assert float(norm["sd_ratio"]) == pytest.approx(0.5, abs=1e-6)
    assert float(norm["shift_error_sd"]) == pytest.approx(math.sqrt(1.25 / 2000), rel=0.2)
    evidence = next(row for row in rows if (row["parameter"], row["fit"]) == ("ln Z", "guide"))
    assert float(evidence["log_z_difference"]) == pytest.approx(1.5)
    assert float(evidence["log_z_difference_error"]) == pytest.approx(0.3 * math.sqrt(2))
    shown = capsys.readouterr().out
    assert "+0.50" in shown
    assert "+1.50 ± 0.42 nats" in shown
    assert "gce_counts" not in shown, "follows from the norm: in the table only"
    assert any(row["parameter"] == "gce_counts" for row in rows)


def test_what_is_no_posterior_is_labelled_and_unknown_errors_are_not_zero(tmp_path, capsys):
    paths = [make(tmp_path, "chains", 1.0, 0.2, -100.0), make(tmp_path, "guide", 1.1, 0.1, -98.5)]
    attributes, provenance = {"data": "sky-000"}, {"inputs": {"sky-000.h5": "a" * 64}}
    for name, size, red in (("point", 1, False), ("wrong", 500, True)):
        checks = [CheckRow("R-hat", 2.0, "< 1.01", "red", "run longer")] if red else []
        draws = np.random.default_rng(1).normal(size=(1, size))
        path = tmp_path / name / "sky-000.nc"
        variables = {"gce_norm": Variable(draws, "")}
        write_posterior(
            path,
            Posterior(
                variables, checks=checks, converged=not red, log_z=-99.0, attributes=attributes, provenance=provenance
            ),
        )
        paths.append(path)
    compare.run(paths, tmp_path / "compared.csv")
    shown = capsys.readouterr().out
    assert shown.count("wrong *") == shown.count("point *") == 3
    assert "* wrong: not converged" in shown
    assert "point: one point without a width: not a posterior" in shown
    assert "nan" not in shown
    assert "± 0.00" not in shown
    rows = read_table(tmp_path / "compared.csv")
    wrong = [row for row in rows if row["fit"] == "wrong"]
    assert all("not converged" in row["note"] and row["converged"] == "false" for row in wrong)
    point = {row["parameter"]: row for row in rows if row["fit"] == "point"}
    assert point["gce_norm"]["sd"] == point["gce_norm"]["sd_ratio"] == point["ln Z"]["log_z_difference_error"] == ""
    assert "not a posterior" in point["gce_norm"]["note"]
    record = read_record(paths[2], "point", "sky-000")
    assert (judge_record(record).colour, judge_record(record).word) == ("amber", MAXIMUM)
    # a point as the reference has no widths to measure shifts in
    compare.run(paths[2:], tmp_path / "compared.csv")
    assert all(row["shift_sd"] == "" for row in read_table(tmp_path / "compared.csv"))


def test_fits_of_a_real_run_stand_beside_each_other(fabricated, tmp_path):
    fits = fabricated.folder / "fits"
    compare.run([fits / name / "simulated-000.nc" for name in ("gp", "mvn", "rigid")], tmp_path / "compared.csv")
    rows = read_table(tmp_path / "compared.csv")
    assert {row["fit"] for row in rows if row["parameter"] == "gce_norm"} == {"gp", "mvn", "rigid"}
    assert not [row for row in rows if "field" in row["parameter"]]


def test_what_cannot_be_compared_is_refused_before_anything_is_written(tmp_path):
    first, out = make(tmp_path, "chains", 1.0, 0.2), tmp_path / "compared.csv"
    broken = tmp_path / "broken" / "sky-000.nc"
    broken.parent.mkdir()
    broken.write_bytes(b"not a posterior")
    for others, field, found in [
        ([], "posteriors", "1 file"),
        ([make(tmp_path, "later", 1.0, 0.2, data="sky-001")], "data", "sky-001"),
        ([make(tmp_path, "redrawn", 1.0, 0.2, digest="b" * 64)], "data", "bbbbbbbbbbbb"),
        ([make(tmp_path, "disk", 1.0, 0.2, name="disk_norm")], None, None),
        ([broken], "posterior", "sky-000.nc"),
    ]:
        if field is None:
            compare.run([first, *others], out)  # they share counts
            out.unlink()
            continue
        with pytest.raises(InputError) as caught:
            compare.run([first, *others], out)
        assert caught.value.field == field
        assert found in caught.value.found or found in str(caught.value.place)
        assert not out.exists()


def record(fit, engine, mean, sd, *, converged=True):
    draws = np.random.default_rng(3).normal(size=(1, 4000))
    draws = mean + sd * (draws - draws.mean()) / draws.std(ddof=1)
    quantities = {"gce_norm": Quantity(draws), "gce_counts": Quantity(99 * draws)}
    return FitRecord(fit, "sky-000", quantities=quantities, stages=(Stage("map"), Stage(engine)), converged=converged)


def checks_of(records, **models):
    found = check_agreement(SimpleNamespace(models=models), records)
    return {one.fit: [(check.name.split(" of ")[0], check.colour) for _, check in one.checks] for one in found}


def test_a_guide_is_held_against_the_chains_of_its_model_and_data():
    same = {"template": "diffuse"}
    chains, good = record("chains", "hmc", 1.0, 0.2), record("good", "svi", 1.05, 0.19)
    narrow, moved = record("narrow", "svi", 1.0, 0.14), record("moved", "svi", 1.12, 0.2)
    records = [chains, good, narrow, moved, record("other", "svi", 3.0, 0.2), record("scan", "grid", 1.0, 0.2)]
    models = {one.fit: same for one in records} | {"other": {"template": "p6v11"}}
    found = checks_of(records, **models)
    assert found["chains"] == found["other"] == []
    assert found["good"] == found["scan"] == [("shift", "green"), ("sd ratio", "green")]
    assert found["narrow"] == [("shift", "green"), ("sd ratio", "amber")]
    assert found["moved"] == [("shift", "amber"), ("sd ratio", "green")]
    verdicts = {one.fit: judge_record(one).word for one in check_agreement(SimpleNamespace(models=models), records)}
    assert verdicts["narrow"] == verdicts["moved"] == "converged, with reservations"
    assert verdicts["good"] == "converged"


def test_chains_that_did_not_converge_judge_nobody():
    same = {"template": "diffuse"}
    broken = record("chains", "hmc", 1.0, 0.2, converged=False)
    assert checks_of([broken, record("narrow", "svi", 1.0, 0.1)], chains=same, narrow=same)["narrow"] == []
