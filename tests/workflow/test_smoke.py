"""The smallest analysis, from configuration to report, with every step doing its real work."""

import csv
import html
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from skysift.storage.posterior import read_posterior

CONFIGURATION = "config/smoke/fermi.yaml"
EVENTS = "config/smoke/events.yaml"
POPULATIONS = "config/smoke/nptf.yaml"
FITS = ("grid", "chains")


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def check_results(folder, fits):
    """Every fit has a posterior with numbers in the tables, and the page holds everything that it shows."""
    posterior = rows(folder / "tables/posterior.csv")
    assert {row["fit"] for row in posterior} >= set(fits)
    assert rows(folder / "tables/evidence.csv")
    assert rows(folder / "tables/cost.csv")
    page = (folder / "report.html").read_text()
    assert all(fit in page for fit in fits)
    shown = re.findall(r"<(?:img|script|iframe)[^>]*\bsrc=[\"']([^\"']{5})|<link[^>]*\bhref=[\"']([^\"']{5})", page)
    assert {place for pair in shown for place in pair if place} <= {"data:"}


def redo_a_fit(checkout, run):
    """Type what the page says about a single step, and find the same posterior."""
    page = html.unescape((checkout.folder / f"results/{run}/report.html").read_text())
    line = re.search(r"^<pre>(skysift fit .*?) --out again.nc$", page, re.MULTILINE | re.DOTALL)[1].replace("\\\n", "")
    words = shlex.split(line)[1:]
    command = [*checkout.command()[:2], "skysift.cli", *words, "--out", "again.nc"]
    done = subprocess.run(command, cwd=checkout.folder, env=checkout.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    fit, data = Path(words[2]).stem.removeprefix("fit-"), Path(words[6]).stem
    first = checkout.folder / f"results/{run}/fits/{fit}/{data}.nc"
    again, first = (read_posterior(path) for path in (checkout.folder / "again.nc", first))
    for name, variable in first.variables.items():
        np.testing.assert_array_equal(again.variables[name].array, variable.array)


def test_two_fits_from_configuration_to_report(checkout):
    from skysift.config import load

    checkout.use_real_steps()
    others = [name for name in load([checkout.folder / CONFIGURATION]).fits if name not in FITS]
    fewer = checkout.folder / "fewer.yaml"
    fewer.write_text("fits: {" + ", ".join(f"{name}: null" for name in others) + "}\n")
    words = ("--configfile", CONFIGURATION, fewer)
    checkout.run(*words)
    folder = checkout.folder / "results/smoke-fermi"
    assert sorted(path.name for path in (folder / "fits").iterdir()) == ["chains", "grid", "grid_sidebands"]
    check_results(folder, FITS)
    redo_a_fit(checkout, "smoke-fermi")
    assert checkout.plan(*words) == {}


@pytest.mark.slow
def test_every_fit_from_configuration_to_report(checkout):
    from skysift.config import load

    checkout.use_real_steps()
    checkout.run("--configfile", CONFIGURATION)
    check_results(checkout.folder / "results/smoke-fermi", load([checkout.folder / CONFIGURATION]).fits)


@pytest.mark.slow
def test_populations_from_configuration_to_report(checkout):
    """Populations have their numbers, fractions and truths, evidence against a smooth sky, and a place on the page."""
    checkout.use_real_steps()
    checkout.run("--configfile", POPULATIONS)
    folder = checkout.folder / "results/smoke-nptf"
    check_results(folder, ("laplace", "field", "smooth"))
    found = {row["parameter"]: row for row in rows(folder / "tables/posterior.csv") if row["fit"] == "laplace"}
    assert float(found["gce_sources_norm"]["truth"]) == 2000
    assert abs(float(found["gce_sources_norm"]["mean"]) - 2000) < 4 * float(found["gce_sources_norm"]["sd"])
    assert "Source counts of gce_sources" in (folder / "report.html").read_text(encoding="utf-8")
    log_z = {row["fit"]: float(row["log_z"]) for row in rows(folder / "tables/evidence.csv") if row["log_z"]}
    # 2000 photons of some hundred sources: no smooth sky has them
    assert log_z["laplace"] - log_z["smooth"] > 50
    assert checkout.plan("--configfile", POPULATIONS) == {}


def test_events_from_configuration_to_report(checkout):
    from skysift.config import load

    checkout.use_real_steps()
    checkout.run("--configfile", EVENTS)
    folder = checkout.folder / "results/smoke-events"
    check_results(folder, load([checkout.folder / EVENTS]).fits)
    assert (folder / "figures/sky-quick-simulated-000.png").exists()
    assert (folder / "figures/ranks_quick.png").exists()
    ranks = rows(folder / "tables/ranks.csv")
    assert {(row["fit"], row["n"], row["n_failed"]) for row in ranks} == {("quick", "40", "0")}
    assert {row["verdict"] for row in ranks} == {"calibrated"}
    assert "own data</h3>" in (folder / "report.html").read_text(encoding="utf-8")
    redo_a_fit(checkout, "smoke-events")
    assert checkout.plan("--configfile", EVENTS) == {}


@pytest.mark.slow
def test_events_whose_bins_are_points_from_configuration_to_tables(checkout):
    """The same analysis with one more line, in the other normalisation."""
    from skysift.instruments.ctao.event_observation import read_event_observation

    checkout.use_real_steps()
    discrete = checkout.folder / "discrete.yaml"
    discrete.write_text("run: points\nobservation: {normalise: discrete}\ncalibrate: null\nfits: {reference: null}\n")
    words = "results/points/tables/posterior.csv", "--configfile", EVENTS, discrete
    checkout.run(*words)
    folder = checkout.folder / "results/points"
    means = {row["parameter"]: float(row["mean"]) for row in rows(folder / "tables/posterior.csv")}
    shares = [mean for name, mean in means.items() if name.endswith("_fraction")]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert read_event_observation(folder / "observation.h5").window is not None
    assert any(
        "normalise: discrete" in text for text in read_posterior(folder / "fits/quick/simulated-000.nc").warnings
    )
    assert checkout.plan(*words) == {}
