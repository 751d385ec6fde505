"""Responses beyond their energies: refused, unless somebody asks for the nearest values and reads so afterwards."""

import numpy as np
import pytest
from tests.instruments.ctao.response_files import make_tables, write
from tests.steps.small_event_run import AXIS, SmallEventRun

from skysift.geometry import EnergyAxis
from skysift.instruments.ctao import analytic_irf, read_irf
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.extension import covered_energies_tev, extend_energies
from skysift.models.events.marginals import read_marginals
from skysift.steps.events import fit
from skysift.steps.events.sources import open_responses
from skysift.storage.posterior import read_posterior

OFFSETS = np.array([0.3, 1.1, 2.0])


@pytest.fixture(params=["analytic", "file"])
def irf(request, tmp_path):
    return analytic_irf() if request.param == "analytic" else read_irf(write(tmp_path / "irf.fits", make_tables()))


def all_values(irf, energy):
    energy = np.asarray(energy)[:, None]
    weights, sigmas = irf.psf_components(energy, OFFSETS)
    migra = np.array([0.7, 1.0, 1.2])
    return [
        irf.area_cm2(energy, OFFSETS), (weights * sigmas).sum(-1), irf.background(energy, OFFSETS, 0.2),
        irf.dispersion(energy[..., None], migra, OFFSETS[:, None]),
    ]  # fmt: skip


def test_tables_go_on_with_the_values_at_their_ends(irf):
    low, high = covered_energies_tev(irf)
    wide = extend_energies(irf, EnergyAxis.from_bins(0.5 * low, 2 * high, 10))
    inside = np.geomspace(low * 1.0001, high * 0.9999, 200)
    for found, wanted in zip(all_values(wide, inside), all_values(irf, inside), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    for end, beyond in ((low * (1 + 1e-9), (0.6 * low, 0.9 * low)), (high * (1 - 1e-9), (1.1 * high, 1.9 * high))):
        assert not np.any(irf.area_cm2(np.array(beyond)[:, None], OFFSETS))
        for found, wanted in zip(all_values(wide, beyond), all_values(irf, [end, end]), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9 * np.abs(wanted).max())
    assert wide.sha256 != irf.sha256


def test_only_the_end_that_is_too_short_is_continued(irf):
    low, high = covered_energies_tev(irf)
    assert extend_energies(irf, EnergyAxis.from_bins(low, high, 10)) is irf
    wide = extend_energies(irf, EnergyAxis.from_bins(2 * low, 2 * high, 10))
    assert wide.area.energy.edges[0] == irf.area.energy.edges[0]
    assert wide.area.energy.edges[-1] == pytest.approx(6 * high)
    assert wide.background_model.energy.edges[-1] == pytest.approx(2 * high)
    assert wide.sha256 != extend_energies(irf, EnergyAxis.from_bins(low, 3 * high, 10)).sha256


def test_a_run_beyond_the_response_keeps_a_warning_with_its_results(tmp_path, repository):
    _, high = covered_energies_tev(analytic_irf())
    energy = {"range": [f"{0.2 * high} TeV", f"{3 * high} TeV"], "points": 5}
    observation = {"reconstructed": {"energy": energy, "lon": AXIS, "lat": AXIS}, "true": {"refine": 2}}
    events = {"events": {"background": 300, "diffuse": 100, "catalogue": 50}}
    asked = SmallEventRun(
        tmp_path / "asked", repository, observation=observation | {"extrapolate": "nearest"}, simulate=events
    )
    plain = SmallEventRun(tmp_path / "plain", repository, observation=observation, simulate=events)
    assert read_events(asked.simulate()).energy.max() > 1.5 * high
    assert read_events(plain.simulate()).energy.max() < 1.5 * high
    looked_at = read_event_observation(asked.observation)
    assert open_responses(looked_at, asked.observation)[0].sha256 == looked_at.responses[0].sha256
    fit.run(**vars(asked.arguments("quick")), out=tmp_path / "posterior.nc")
    for warnings in (read_marginals(asked.gather()).warnings, read_posterior(tmp_path / "posterior.nc").warnings):
        assert sum("extrapolate: nearest" in text for text in warnings) == 1
    assert not read_event_observation(plain.observation).warnings
