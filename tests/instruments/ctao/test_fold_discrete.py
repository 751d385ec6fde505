"""The discrete normalisation against its definition."""

import numpy as np
import pytest
from tests.instruments.ctao.slow_fold import discrete_densities

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, analytic_irf
from skysift.instruments.ctao.discrete import DiscreteResponse, Window
from skysift.instruments.ctao.discrete_file import read_discrete_response, write_discrete_response
from skysift.models.events.background import smeared_counts

POINTING = Pointing(0.3, 0.2, 1.0)


@pytest.fixture(scope="module", params=["analytic", "prod5"])
def problem(request):
    irf = analytic_irf() if request.param == "analytic" else request.getfixturevalue("south")
    axes = Axes(EnergyAxis.from_points(0.1, 20.0, 9), LonLatGrid.from_step(-1.6, 1.6, -0.8, 0.8, 0.4))
    grid, energy = axes.grid, axes.energy.centres_tev[:, None]
    return irf, axes, energy**-2.4 * np.exp(-np.abs(grid.lat_deg)) * (2 + grid.lon_deg)


NO_WINDOW = Window(np.inf, np.inf, np.inf)
#: One event list: energies, longitudes (one of them a turn away) and latitudes between bin centres.
EVENTS = (
    np.array([0.13, 0.9, 2.2, 7.7, 15.0]),
    np.array([-1.7, 0.11, 360.3, 1.2, 0.0]),
    np.array([0.3, -0.7, 0.0, 0.9, -0.1]),
)


@pytest.fixture(scope="module", params=[Window(), NO_WINDOW, Window(0.4, 0.7, np.inf)], ids=["usual", "none", "own"])
def response(problem, request):
    irf, axes, _ = problem
    return DiscreteResponse.build(irf, axes, POINTING, request.param)


def counts(response, flux):
    return flux * response.area_cm2 * response.true.volumes_tev_deg2


def densities(response, flux):
    expected = counts(response, flux)[..., None]
    return (response.fold(expected) / response.detected(expected))[..., 0] / response.true.volumes_tev_deg2


def limits(response):
    return response.window.decades, response.window.lon_deg, response.window.lat_deg


def test_discrete_is_its_definition(problem, response):
    irf, axes, flux = problem
    wanted = discrete_densities(irf, axes, POINTING, flux, limits(response))
    np.testing.assert_allclose(densities(response, flux), wanted, rtol=1e-8, atol=1e-16 * wanted.max())


def test_density_at_an_event_is_the_definition(problem, response):
    irf, axes, flux = problem
    expected = counts(response, flux)
    found = response.densities_at(*EVENTS, expected[..., None])[:, 0] / expected.sum()
    wanted = discrete_densities(irf, axes, POINTING, flux, limits(response), EVENTS)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-16 * wanted.max())
    by_energy = response.densities_each(*EVENTS, expected[..., None]).sum(axis=1) / expected.sum()
    np.testing.assert_allclose(by_energy, wanted, rtol=1e-8, atol=1e-16 * wanted.max())
    rows = response.rows_at(*EVENTS) @ expected.ravel() / expected.sum()
    np.testing.assert_allclose(rows, wanted, rtol=1e-8, atol=1e-16 * wanted.max())


def test_no_event_sees_the_others(response, problem):
    expected = counts(response, problem[2])[..., None]
    whole = response.densities_at(*EVENTS, expected)
    single = [response.densities_at(*(part[k : k + 1] for part in EVENTS), expected)[0] for k in range(5)]
    assert np.array_equal(whole, np.stack(single))


def test_events_at_bin_centres_are_the_fold(response, problem):
    expected, axes = counts(response, problem[2])[..., None], response.true
    bins = np.array([0, 37, axes.grid.size + 5, 5 * axes.grid.size + 11])
    energy, pixel = bins // axes.grid.size, bins % axes.grid.size
    events = axes.energy.centres_tev[energy], axes.grid.lon_deg[pixel], axes.grid.lat_deg[pixel]
    cube = (response.fold(expected)[..., 0] / axes.volumes_tev_deg2).ravel()
    # at centres of bins a difference may stand on either side of a limit by rounding
    if not np.isfinite(response.window.lon_deg):
        np.testing.assert_allclose(response.densities_at(*events, expected)[:, 0], cube[bins], rtol=1e-10)
    rows = response.rows(bins) @ expected.ravel() / axes.volumes_tev_deg2.ravel()[bins]
    np.testing.assert_allclose(rows, cube[bins], rtol=1e-12)


def test_without_a_window_densities_sum_to_one_up_to_bins_of_zero_norm(problem):
    irf, axes, flux = problem
    response = DiscreteResponse.build(irf, axes, POINTING, NO_WINDOW)
    expected = counts(response, flux)
    arriving = np.stack([spread.sum(axis=0) for spread in response.operator.spreads])
    arriving *= np.stack([shares.sum(axis=1) for _, shares in response.operator.bands])
    assert np.all((np.abs(arriving - 1) < 1e-10) | (arriving == 0))
    total = np.sum(densities(response, flux) * response.true.volumes_tev_deg2)
    assert total == pytest.approx(np.sum(expected * arriving) / expected.sum(), abs=1e-10)


def test_the_window_cuts(problem):
    irf, axes, flux = problem
    windows = (Window(0.2, 0.3, 0.3), Window(), NO_WINDOW)
    narrow, usual, whole = (densities(DiscreteResponse.build(irf, axes, POINTING, own), flux) for own in windows)
    assert np.all(narrow <= usual * (1 + 1e-12))
    assert np.all(usual <= whole * (1 + 1e-12))
    assert np.any(narrow < (1 - 1e-4) * whole)


def test_measures_are_too_large_by_what_is_known():
    axes = Axes(EnergyAxis.from_points(0.1, 100.0, 50), LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4))
    ratio = 1000 ** (1 / 49)
    discrete = Axes(axes.energy, axes.grid, is_discrete=True)
    found = discrete.volumes_tev_deg2[7, 8] / axes.volumes_tev_deg2[7, 8]
    cosine = np.cos(np.radians(axes.grid.lat_deg[8]))
    # On bin edges, E_k = sqrt(E_low E_high): the exact width is 2 sinh(ln q / 2) E_k.
    assert found == pytest.approx(ratio / (2 * np.sinh(0.5 * np.log(ratio))) / cosine, rel=1e-4)


def test_background_is_smeared_as_a_flux(problem):
    irf, axes, _ = problem
    response = DiscreteResponse.build(irf, axes, POINTING)
    rate = smeared_counts(response)
    assert rate.shape == axes.shape
    offset = POINTING.offsets_deg(axes.grid)[3]
    energy = axes.energy.centres_tev[2]
    wanted = float(irf.background_radial(energy, offset)) * response.true.volumes_tev_deg2[2, 3]
    assert rate[2, 3] == pytest.approx(wanted, rel=1e-12)


def test_adjoint_is_the_transpose(problem, seed):
    irf, axes, flux = problem
    response = DiscreteResponse.build(irf, axes, POINTING)
    weights = np.random.default_rng(seed).normal(size=(*axes.shape, 1))
    inner = np.sum(response.fold(flux[..., None]) * weights)
    assert np.sum(response.adjoint(weights)[..., 0] * flux) == pytest.approx(inner, rel=1e-11)


def test_a_response_comes_back_as_it_was(problem, response, tmp_path):
    irf, _, flux = problem
    path = tmp_path / "response.h5"
    write_discrete_response(path, response)
    later = Pointing(0.3, 0.2, 7200.0)
    back = read_discrete_response(path, irf, later)
    assert (back.digest, back.window, back.pointing) == (response.digest, response.window, later)
    expected = counts(response, flux)[..., None]
    assert np.array_equal(back.fold(expected), response.fold(expected))
    assert np.array_equal(back.densities_at(*EVENTS, expected), response.densities_at(*EVENTS, expected))
    with pytest.raises(InputError, match=response.digest):
        read_discrete_response(path, irf, Pointing(0.4, 0.2, 1.0))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError):
        read_discrete_response(path, irf, POINTING)


def test_points_at_exact_places_are_refused(response, problem):
    expected = counts(response, problem[2])[..., None]
    with pytest.raises(InputError, match="point sources"):
        response.densities_at(*EVENTS, expected, [(0.0, 0.0, expected[:, 0])])
