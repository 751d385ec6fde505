"""The page of an event analysis: verdict, fractions with truth and prior, figures with their numbers."""

import csv
import re
import shutil

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.config import load
from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.prediction import find_efficiency
from skysift.plots import style
from skysift.steps import report, tables
from skysift.steps.events import diagnose, fit
from skysift.steps.events.sources import open_responses, read_responses
from skysift.steps.gather import find_prior
from skysift.storage.hdf5 import read

CUTOFF = {"kind": "cutoff", "index": {"normal": [2.3, 0.2]}, "cutoff": {"loguniform": ["1 TeV", "50 TeV"]}}
FREE = {"diffuse": {"sky": "synthetic_diffuse", "spectrum": CUTOFF}}
NORMS = {name: {**part, "norm": {"lognormal": [1, 1]}} for name, part in {
    "diffuse": {"sky": "synthetic_diffuse"}, "catalogue": {"sky": "synthetic_catalogue"},
    "background": {"instrument": "background"}}.items()}  # fmt: skip
FITS = {
    "quick": ["laplace"],
    "again": ["laplace"],
    "reference": ["nested"],
    "free": {"sequence": ["laplace"], "model": {"components": FREE}, "data": ["simulated"]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """Two fits of one model and one of another, of which the page is made; drawn coarsely because nobody looks."""
    made = SmallEventRun(tmp_path_factory.mktemp("page") / "results" / "small", repository, fits=FITS)
    for name in ("quick", "again", "free"):
        out = made.folder / "fits" / name / "simulated-000.nc"
        fit.run(**vars(made.arguments(name)), out=out)
        if name == "free":
            continue  # its figures take as long as all others
        predictive = made.folder / "predictive" / name / "simulated-000.h5"
        diagnose.run(**vars(made.arguments(name)), posterior=out, out=predictive, response=made.responses)
    tables.run(made.slice("report"), made.folder, made.folder / "tables")
    patch = pytest.MonkeyPatch()
    patch.setattr(style, "PNG_DPI", 40)
    report.run(made.folder / "config.yaml", made.folder, made.folder / "report.html")
    yield made
    patch.undo()


@pytest.fixture(scope="module")
def page(run):
    return (run.folder / "report.html").read_text(encoding="utf-8")


def numbers(run, name):
    """Return the columns behind a figure."""
    with (run.folder / "figures" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def test_every_figure_is_there_with_caption_and_numbers(run, page):
    stems = {path.stem for path in (run.folder / "figures").iterdir()}
    whole = ("components", "efficiency", "energies", "excess-energies", "excess-sky", "sky")
    assert stems >= {"response-0", "dispersion-0", "corner-simulated-000", "fractions-simulated-000"}
    assert stems >= {f"{stem}-quick-simulated-000" for stem in whole}
    # what another fit of the same model would show again is left out
    assert {stem for stem in stems if "-again-" in stem} == {"energies-again-simulated-000", "sky-again-simulated-000"}
    assert "could not be drawn" not in page
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) == len(stems)
    told = " ".join(captions)
    assert all(word in told for word in ("km²", "TeV", "Events per pixel", "σ", "deg"))


def test_verdict_says_that_a_mixture_has_one_mode(page):
    verdict = page[page.index('id="verdict"') : page.index('id="answer"')]
    colours = {fit: colour for colour, fit in re.findall(r'pill (\w+)">[^<]*</span> <b>(\w+)</b>', verdict)}
    assert colours["quick"] == "green"
    assert colours["reference"] == "red"  # it never ran
    assert colours["free"] != "green"  # with a free cut-off nobody knows, and nobody searched
    assert "modes: one" in page[page.index('id="diagnostics"') :]


def test_fractions_stand_with_truth_and_prior(page):
    answer = page[page.index('id="answer"') : page.index('id="calibration"')]
    row = re.search(r'<tr><th scope="row">catalogue_fraction.*?</tr>', answer, re.DOTALL)[0]
    assert "0.333" in row
    assert "sd / prior sd" in row
    index = re.search(r'<tr><th scope="row">diffuse_index.*?</tr>', answer, re.DOTALL)[0]
    assert "sd / prior sd" in index
    assert all(word in answer for word in ("share of the detected events", "per TeV deg²"))
    assert "sidebands" not in answer.lower()
    assert "diffuse model" not in answer
    assert "cpu s" in page[page.index('id="cost"') :]


def test_numbers_behind_figures_are_the_events(run):
    events = read_events(run.simulate())
    looked_at = read_event_observation(run.observation)
    energies, sky = numbers(run, "energies-quick-simulated-000"), numbers(run, "sky-quick-simulated-000")
    np.testing.assert_array_equal(
        energies["observed"], np.histogram(events.energy, looked_at.reconstructed.energy.edges_tev)[0]
    )
    pixels = np.bincount(looked_at.reconstructed.grid.find(events.lon, events.lat), minlength=25)
    np.testing.assert_array_equal(sky["observed"], pixels)
    np.testing.assert_allclose(sky["lon_deg"], looked_at.reconstructed.grid.lon_deg, atol=1e-6)
    np.testing.assert_allclose(sky["lat_deg"], looked_at.reconstructed.grid.lat_deg, atol=1e-6)
    with (run.folder / "tables/posterior.csv").open() as file:
        means = {row["parameter"]: float(row["mean"]) for row in csv.DictReader(file) if row["fit"] == "quick"}
    parts = numbers(run, "components-quick-simulated-000")
    excess = numbers(run, "excess-energies-quick-simulated-000")
    for name in ("diffuse", "catalogue", "background"):
        for found in (energies[name].sum(), parts[name].sum(), excess[f"model_{name}"].sum()):
            assert found == pytest.approx(means[f"{name}_counts"], rel=1e-5)
        others = energies["model"] - energies[name]
        np.testing.assert_allclose(excess[f"excess_{name}"], energies["observed"] - others, rtol=1e-5, atol=1e-4)
        assert (excess[f"low_{name}"] < excess[f"model_{name}"]).all()


def test_numbers_behind_the_response_are_its_tables(run):
    irf, curves = analytic_irf(), numbers(run, "response-0")
    wanted = irf.area_cm2(curves["energy_tev"], curves["offset_deg"]) * 1e-10
    np.testing.assert_allclose(curves["area_km2"], wanted, rtol=1e-6)
    share = numbers(run, "efficiency-quick-simulated-000")
    middle = (share["energy_low_tev"] > 1.5) & (share["energy_high_tev"] < 8)
    assert (share["efficiency_catalogue"][middle] > 0.5).all()
    assert share["efficiency_diffuse"][0] < 0.01


def test_efficiency_is_that_of_the_response(run):
    looked_at = read_event_observation(run.observation)
    response = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)[0]
    light = looked_at.lights["diffuse"]
    arriving, share = find_efficiency(light, looked_at, [response])
    expected = light.cube * response.area_cm2 * looked_at.pointings[0].live_time_s
    np.testing.assert_allclose(arriving, expected.sum(1))
    seen = (expected * response.efficiency).sum(1)
    np.testing.assert_allclose((share * arriving)[seen > 0], seen[seen > 0], rtol=1e-6)


def test_a_fit_that_is_missing_is_told_and_the_rest_is_drawn(run, page):
    assert "reference" in page
    assert "no posterior" in page
    stored = read(run.folder / "predictive/quick/simulated-000.h5", format="predictive")
    assert set(stored.attributes["counts"]) == {"diffuse", "catalogue", "background"}


def test_a_page_without_observation_still_exists(run, tmp_path):
    folder = tmp_path / "results" / "small"
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("figures", "predictive", "fits", "data"))
    (folder / "observation.h5").unlink()
    report.run(folder / "config.yaml", folder, folder / "report.html")
    text = (folder / "report.html").read_text()
    assert "observation.h5 cannot be read" in text
    assert "could not be drawn" not in text


def test_priors_of_event_parameters_are_found(run, repository):
    settings = run.analysis.make_slices()["report"]
    flat = find_prior(settings, "quick", "catalogue_fraction")
    assert (flat.mean, flat.sd) == (pytest.approx(1 / 3), pytest.approx(np.sqrt(1 / 18)))
    index, cutoff = (find_prior(settings, "free", f"diffuse_{name}") for name in ("index", "cutoff"))
    assert (index.kind, index.mean, index.sd) == ("normal", pytest.approx(2.3), pytest.approx(0.2))
    assert (cutoff.kind, cutoff.support) == ("loguniform", (1.0, 50.0))
    assert find_prior(settings, "quick", "diffuse_index") is None
    assert find_prior(settings, "quick", "catalogue_counts") is None

    def changed(**model):
        keys = {"model": model, "simulate": {"events": {"background": 5}}, "fits": {"quick": ["laplace"]}}
        return load([repository / "config/smoke/events.yaml"], keys).make_slices()["report"]

    sparse = find_prior(changed(fractions={"dirichlet": 0.5}), "quick", "catalogue_fraction")
    assert sparse.sd == pytest.approx(np.sqrt(1 / 3 * 2 / 3 / 2.5))
    tree = {"tree": {"noise": ["background"], "sky": ["diffuse", "catalogue"]}}
    assert find_prior(changed(fractions=tree), "quick", "catalogue_fraction").mean == pytest.approx(1 / 3)
    narrow = find_prior(changed(fractions=tree | {"dirichlet": 2}), "quick", "catalogue_fraction")
    assert (narrow.mean, narrow.sd) == (pytest.approx(1 / 3), pytest.approx(np.sqrt(1 / 3 * 2 / 3 / 7)))
    absolute = changed(likelihood="extended", components=NORMS)
    assert find_prior(absolute, "quick", "catalogue_norm").kind == "lognormal"
    assert find_prior(absolute, "quick", "catalogue_fraction") is None
