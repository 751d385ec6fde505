"""What a posterior says of dark matter: cross-sections and lifetimes, from norms and from fractions."""

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.prediction import predict_cube
from skysift.steps import tables
from skysift.steps.events import fit
from skysift.steps.events.sources import open_responses, read_responses
from skysift.steps.gather import gather_fits
from skysift.steps.report_answers import norm_rows
from skysift.storage.posterior import read_posterior
from skysift.storage.tables import read_table

NORM = {"loguniform": [0.01, 100]}
HALO = {"sky": "dark_matter", "spectrum": {"kind": "annihilation", "mass": "3 TeV", "channel": "bergstrom"}}
DECAY = {
    **HALO,
    "spectrum": {**HALO["spectrum"], "kind": "decay", "mass": "6 TeV"},
    "norm": {"loguniform": [1e-3, 1e3]},
}
FREE = {**HALO, "spectrum": {**HALO["spectrum"], "mass": {"loguniform": ["2 TeV", "4 TeV"]}}}
BACKGROUND = {"instrument": "background"}
SHARES = {"likelihood": "mixture", "components": {"halo": HALO, "background": BACKGROUND}}
FITS = {
    "absolute": {"sequence": ["laplace"]},
    "shares": {"sequence": ["laplace"], "model": SHARES},
    "decay": {"sequence": ["laplace"], "model": {"components": {"halo": DECAY}}},
    "free": {"sequence": ["laplace"], "model": {**SHARES, "components": {**SHARES["components"], "halo": FREE}}},
}
TRUTH = 2.0


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """A bright halo over background, fitted in absolute numbers and in fractions."""
    return SmallEventRun(
        tmp_path_factory.mktemp("run"), repository, fits={**FITS, "quick": None, "reference": None}, calibrate=None,
        simulate={"events": "physical", "truth": {"halo": TRUTH, "background": 0.01}},
        model={"likelihood": "extended", "components": {
            "diffuse": None, "catalogue": None, "halo": {**HALO, "norm": NORM},
            "background": {**BACKGROUND, "norm": {"uniform": [0, 1]}},
        }},
    )  # fmt: skip


@pytest.fixture(scope="module")
def posteriors(run):
    found = {}
    for name in FITS:
        path = run.folder / "fits" / name / "simulated-000.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        fit.run(**vars(run.arguments(name)), out=path)
        found[name] = read_posterior(path)
    return found


def test_cross_sections_follow_from_norms(posteriors):
    found = posteriors["absolute"]
    sigma_v = found.variables["halo_sigma_v"]
    np.testing.assert_allclose(sigma_v.array, 3e-26 * found.variables["halo_norm"].array, rtol=1e-12)
    assert sigma_v.unit == "cm3 s-1"
    assert sigma_v.truth == pytest.approx(3e-26 * TRUTH)
    low, high = np.quantile(found.flat("halo_sigma_v"), [1e-3, 1 - 1e-3])
    assert low < 3e-26 * TRUTH < high


def test_cross_sections_follow_from_fractions(run, posteriors):
    """The number of events, over that of one cross-section in all bins together."""
    looked_at, found = read_event_observation(run.observation), posteriors["shares"]
    responses = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)
    halo = run.analysis.model.components["halo"]
    whole = predict_cube(halo, looked_at.lights["halo"], looked_at, responses).sum()
    np.testing.assert_allclose(found.flat("halo_sigma_v"), 3e-26 * found.flat("halo_counts") / whole, rtol=1e-9)
    np.testing.assert_allclose(found.flat("halo_counts") / found.flat("halo_fraction"), found.flat("halo_counts")[0]
                               / found.flat("halo_fraction")[0], rtol=1e-12)  # fmt: skip
    absolute = posteriors["absolute"].flat("halo_sigma_v")
    assert abs(found.flat("halo_sigma_v").mean() - absolute.mean()) < absolute.std()


def test_a_free_mass_is_part_of_the_cross_section(posteriors):
    """The flux of a heavier particle is fainter: the same events stand for another cross-section."""
    found = posteriors["free"]
    ratio = found.flat("halo_sigma_v") / found.flat("halo_counts")
    assert ratio.std() / ratio.mean() > 1e-3
    assert np.ptp(found.flat("halo_mass")) > 0


def test_lifetimes_follow_from_norms(posteriors):
    found = posteriors["decay"]
    np.testing.assert_allclose(found.flat("halo_lifetime"), 1e27 / found.flat("halo_norm"), rtol=1e-12)
    assert found.variables["halo_lifetime"].unit == "s"
    assert "halo_sigma_v" not in found.variables


def test_tables_and_answers_say_them_with_their_unit(run, posteriors, tmp_path):
    tables.run(run.slice("report"), run.folder, tmp_path)
    rows = {(row["fit"], row["parameter"]): row for row in read_table(tmp_path / "posterior.csv")}
    for name in ("absolute", "shares"):
        row = rows[name, "halo_sigma_v"]
        assert row["unit"] == "cm3 s-1"
        assert float(row["q50"]) == pytest.approx(np.median(posteriors[name].flat("halo_sigma_v")))
    assert rows["decay", "halo_lifetime"]["unit"] == "s"
    settings = run.analysis.make_slices()["report"]
    (told,) = norm_rows(settings, gather_fits(run.folder, settings), ["halo_sigma_v"])
    assert told["unit"] == "cm3 s-1"
    assert "e-26" in told["cells"][0]["value"]


def test_free_shares_of_channels_are_found(tmp_path, repository):
    """Half a line, half a continuum: the shares have a truth, names, and a posterior about it."""
    spectrum = {"kind": "annihilation", "mass": "3 TeV", "branching": {"channels": ["bergstrom", "line"]}}
    mixed = {"sky": "dark_matter", "spectrum": spectrum}
    own = SmallEventRun(
        tmp_path, repository, fits={"quick": ["laplace"], "reference": None}, calibrate=None,
        model={"components": {"diffuse": None, "catalogue": None, "halo": mixed}},
        simulate={"events": {"halo": 3000, "background": 300, "diffuse": None, "catalogue": None},
                  "parameters": {"halo_branching": [0.6, 0.4]}},
    )  # fmt: skip
    out = own.folder / "fits" / "quick" / "simulated-000.nc"
    out.parent.mkdir(parents=True)
    fit.run(**vars(own.arguments("quick")), out=out)
    posterior = read_posterior(out)
    shares = posterior.variables["halo_branching"]
    assert shares.dims == ("halo_branching_channel",)
    assert posterior.coordinates["halo_branching_channel"].tolist() == ["bergstrom", "line"]
    np.testing.assert_allclose(shares.truth, [0.6, 0.4])
    found = posterior.flat("halo_branching")
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-12)
    assert 0 < found[:, 1].std() < 0.1
    assert abs(found[:, 1].mean() - 0.4) < 5 * found[:, 1].std()
    tables.run(own.slice("report"), own.folder, tmp_path / "tables")
    rows = {row["parameter"]: row for row in read_table(tmp_path / "tables" / "posterior.csv")}
    assert float(rows["halo_branching[1]"]["truth"]) == 0.4
