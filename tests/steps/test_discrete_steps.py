"""The discrete normalisation through every step: densities of the marginals against their definition."""

import numpy as np
import pytest
from tests.instruments.ctao.slow_fold import discrete_densities
from tests.steps.small_event_run import SmallEventRun

from skysift.config import load
from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.files import Finder
from skysift.instruments.ctao.plan import plan_pointings, plan_responses
from skysift.models.events.marginals import read_marginals
from skysift.sky.diffuse import SyntheticDiffuse
from skysift.steps.events import diagnose, evaluate, fit
from skysift.storage.hdf5 import read
from skysift.storage.posterior import read_posterior
from skysift.storage.tables import read_table

AXES = {
    "energy": {"range": ["0.5 TeV", "20 TeV"], "points": 8},
    "lon": {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"},
    "lat": {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"},
}
COMPONENTS = {
    "diffuse": {"sky": "synthetic_diffuse"},
    "blob": {"sky": "gaussian", "center": ["0.2 deg", "0.1 deg"], "size": "0.3 deg", "spectrum": {"index": 2.2}},
    "star": {"sky": "point", "center": ["-0.3 deg", "0.35 deg"], "spectrum": {"index": 2.5}},
    "free": {
        "sky": "disk",
        "center": ["0 deg", "0 deg"],
        "size": "0.5 deg",
        "spectrum": {"index": {"uniform": [2, 3]}},
    },
    "background": {"instrument": "background"},
}


def apart_deg(lon, lat, center):
    """Great-circle distance."""
    x, y, u, v = (np.radians(part) for part in (lon, lat, *center))
    return np.degrees(2 * np.arcsin(np.sqrt(
        np.sin((y - v) / 2) ** 2 + np.cos(y) * np.cos(v) * np.sin((x - u) / 2) ** 2)))  # fmt: skip


FLUX = {
    "diffuse": lambda e, lon, lat: e**-2.41 * SyntheticDiffuse().sample(lon, lat),
    "blob": lambda e, lon, lat: e**-2.2 * np.exp(-0.5 * (apart_deg(lon, lat, (0.2, 0.1)) / 0.3) ** 2),
    "star": lambda e, lon, lat: e**-2.5 * ((np.abs(lon + 0.4) < 0.1) & (np.abs(lat - 0.4) < 0.1)),
    "free": lambda e, lon, lat: e**-2.5 * (apart_deg(lon, lat, (0, 0)) < 0.5),
}


def make_run(folder, repository, binned, **observation):
    whole = {"true": None, "normalise": "discrete", "reconstructed": AXES} | observation
    events = {"catalogue": None, "diffuse": 60, "blob": 40, "star": 20, "free": 20, "background": 60}
    model = {"binned": binned, "components": {"catalogue": None, **COMPONENTS}}
    keys = {"observation": whole, "model": model, "simulate": {"events": events}, "fits": {"quick": ["laplace"]}}
    return SmallEventRun(folder, repository, **keys)


def wanted_densities(run, flux, events=None, window=(1.0, 1.3, 1.3)):
    looked_at = read_event_observation(run.observation)
    axes = looked_at.reconstructed
    energy = axes.energy.centres_tev[:, None]
    cube = flux(energy, axes.grid.lon_deg, axes.grid.lat_deg)
    return discrete_densities(analytic_irf(), axes, looked_at.pointings[0], cube, window, events)


class NoArea:
    """The response with an effective area of one: a smeared background knows none."""

    def __init__(self):
        self.irf = analytic_irf()

    def __getattr__(self, name):
        return getattr(self.irf, name)

    def area_cm2(self, energy, offset):
        return 1.0


def background_densities(run, events=None):
    looked_at, irf = read_event_observation(run.observation), analytic_irf()
    axes, pointing = looked_at.reconstructed, looked_at.pointings[0]
    offsets = pointing.offsets_deg(axes.grid)
    rate = irf.background_radial(axes.energy.centres_tev[:, None], offsets)
    return discrete_densities(NoArea(), axes, pointing, rate, events=events)


def density_of(column):
    """Densities of a column, a free spectrum at its index of 2.5 with the discrete measure of energies."""
    if column.kind == "fixed":
        return column.density / column.totals
    energy = np.geomspace(0.5, 20.0, column.density.shape[1])
    flux = energy**-1.5
    return column.density @ flux / (column.totals @ flux)


@pytest.mark.parametrize("window", [(1.0, 1.3, 1.3), (np.inf, np.inf, np.inf), (0.3, 0.5, np.inf)])
def test_binned_densities_are_the_definition(tmp_path, repository, window):
    names = dict(zip(("energy", "lon", "lat"), (window[0], f"{window[1]} deg", f"{window[2]} deg"), strict=True))
    given = {k: v for k, v in names.items() if "inf" not in str(v)} or "none"
    run = make_run(tmp_path, repository, True, window=given)
    marginals = read_marginals(run.gather())
    bins = np.flatnonzero(marginals.seen.ravel())
    for name, flux in FLUX.items():
        wanted = wanted_densities(run, flux, window=window).ravel()[bins]
        np.testing.assert_allclose(density_of(marginals.columns[name]), wanted, rtol=1e-8, atol=1e-15, err_msg=name)


def test_unbinned_densities_are_the_definition(tmp_path, repository):
    run = make_run(tmp_path, repository, False)
    marginals, events = read_marginals(run.gather()), read_events(run.simulate())
    at = events.energy, events.lon, events.lat
    for name, flux in FLUX.items():
        wanted = wanted_densities(run, flux, at)
        np.testing.assert_allclose(density_of(marginals.columns[name]), wanted, rtol=1e-8, atol=1e-15, err_msg=name)
    background = density_of(marginals.columns["background"])
    np.testing.assert_allclose(background, background_densities(run, at), rtol=1e-8)


def test_background_is_smeared_or_that_of_the_instrument(tmp_path, repository):
    smeared = make_run(tmp_path / "smeared", repository, True)
    plain = make_run(tmp_path / "plain", repository, True, background="instrument")
    found, other = (read_marginals(run.gather()) for run in (smeared, plain))
    bins = np.flatnonzero(found.seen.ravel())
    background = density_of(found.columns["background"])
    np.testing.assert_allclose(background, background_densities(smeared).ravel()[bins], rtol=1e-8)
    assert not np.allclose(density_of(other.columns["background"]), background, rtol=1e-3)
    np.testing.assert_array_equal(other.columns["blob"].density, found.columns["blob"].density)


def test_a_smeared_background_of_integrated_kernels_is_folded(tmp_path, repository):
    from skysift.models.events.background import smeared_counts
    from skysift.steps.events.sources import open_responses, read_responses

    run = make_run(tmp_path, repository, True, normalise="integrated", background="smeared")
    looked_at = read_event_observation(run.observation)
    assert looked_at.is_smeared
    assert looked_at.window is None
    response = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)[0]
    counts = smeared_counts(response)
    assert counts.shape == looked_at.true.shape
    exact = response.irf.background_radial(looked_at.true.energy.centres_tev[:, None], response.pointing.offsets_deg(
        looked_at.true.grid)) * looked_at.true.volumes_tev_deg2  # fmt: skip
    np.testing.assert_allclose(counts, exact, rtol=0.02)
    column = read_marginals(run.gather()).columns["background"]
    assert column.totals == pytest.approx(response.fold(counts[..., None]).sum() * 180000.0, rel=1e-10)


def test_fit_diagnosis_and_evaluation_follow(tmp_path, repository):
    run = make_run(tmp_path, repository, True)
    arguments, out = vars(run.arguments("quick")), tmp_path / "fit.nc"
    fit.run(**arguments, out=out)
    posterior = read_posterior(out)
    assert any("GammaBayes" in text for text in posterior.warnings)
    diagnose.run(**arguments, posterior=out, out=tmp_path / "predictive.h5", response=run.responses)
    assert read(tmp_path / "predictive.h5", format="predictive")["energy/observed"].sum() == 200
    names = list(COMPONENTS)
    head = ",".join([*(f"{name}_fraction" for name in names), "free_index"])
    (tmp_path / "values.csv").write_text(f"{head}\n{','.join(['0.2'] * 5)},2.5\n")
    data = arguments["data"]
    evaluate.run(
        run.folder / "config.yaml", run.observation, data, "quick", tmp_path / "values.csv", tmp_path / "o.csv"
    )
    marginals = read_marginals(data)
    mixed = np.mean([density_of(marginals.columns[name]) for name in names], axis=0)
    found = float(read_table(tmp_path / "o.csv")[0]["log_likelihood"])
    assert found == pytest.approx(float(marginals.counts @ np.log(mixed)), rel=1e-10)


def test_what_a_response_is_made_of_names_it(repository):
    """Its name before it is made changes with the normalisation, and not with what a background is taken for."""
    settings = [
        {}, {"background": "smeared"}, {"psf_empty": "one_degree"}, {"normalise": "discrete"},
        {"normalise": "discrete", "window": "none"}, {"normalise": "discrete", "psf_empty": "nearest"},
    ]  # fmt: skip
    names = []
    for own in settings:
        observation = load([repository / "config/smoke/events.yaml"], {"observation": own}).observation
        find = Finder("configuration")
        names += plan_responses(observation, plan_pointings(observation, find), find)
    assert names[0] == names[1]
    assert len(set(names)) == len(names) - 1
