"""Densities at events: the direct sum against the slow one, the quick scheme against the direct sum, chunks."""

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
from tests.instruments.ctao.slow_fold import SlowFold

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf, make_true_axes
from skysift.instruments.ctao.interpolated import InterpolatedDensities

POINT = (0.137, -0.211)
POINTING = Pointing(1.4, -1.2, 180000.0)


def make_sources(true):
    grid, energy = true.grid, true.energy.centres_tev[:, None]
    gaussian = np.exp(-((grid.lon_deg - 0.1) ** 2 + (grid.lat_deg + 0.1) ** 2) / (2 * 0.12**2)) * energy**-2.2
    diffuse = np.exp(-np.abs(grid.lat_deg) / 0.5) * (1.5 + 0.3 * grid.lon_deg) * energy**-2.6
    annihilation = 1 / np.hypot(grid.lon_deg, grid.lat_deg + 0.05) * energy**-1.5 * np.exp(-energy)
    return np.stack((gaussian, diffuse, annihilation), axis=-1)


def draw_events(axes, number, seed):
    rng = np.random.default_rng(seed)
    low, high = axes.energy.edges_tev[[0, -1]]
    lon = rng.uniform(*axes.grid.lon_edges_deg[[0, -1]], number)
    return low * (high / low) ** (rng.random(number) ** 2), lon, rng.uniform(*axes.grid.lat_edges_deg[[0, -1]], number)


@pytest.fixture(scope="module", params=["analytic", "prod5"])
def small(request):
    irf = analytic_irf() if request.param == "analytic" else request.getfixturevalue("south")
    seen = Axes(EnergyAxis.from_bins(0.4, 6.0, 4), LonLatGrid.from_step(-0.4, 0.4, -0.4, 0.4, 0.4))
    true = Axes(EnergyAxis.from_bins(0.25, 9.0, 7), LonLatGrid.from_step(-0.7, 0.7, -0.7, 0.7, 0.2))
    return irf, true, seen, make_sources(true)


@pytest.fixture(scope="module")
def slow_densities(small, seed):
    irf, true, seen, sources = small
    strength = np.linspace(1.0, 2.0, true.energy.size)[:, None] * np.array([0.0, 1.0, 3.0])
    events = draw_events(seen, 300, seed)
    return events, strength, SlowFold(irf, true, seen, POINTING).densities(*events, sources, [(*POINT, strength)])


@pytest.mark.parametrize(("cut", "relative"), [(1e-9, False), (0.0, True)])
def test_direct_sum_is_the_slow_one(small, slow_densities, cut, relative):
    irf, true, seen, sources = small
    events, strength, wanted = slow_densities
    response = Response.build(irf, true, seen, POINTING, cut=cut)
    found = response.densities_at(*events, sources, [(*POINT, strength)], is_exact=True)
    scale = np.maximum(wanted, 1e-8 * wanted.max(axis=0)) if relative else wanted.max(axis=0)
    assert np.max(np.abs(found - wanted) / scale) < 1e-8


def test_matrix_of_events_and_parts_of_energies_are_the_direct_sum(small, seed):
    irf, true, seen, sources = small
    response, events = Response.build(irf, true, seen, POINTING), draw_events(seen, 40, seed)
    wanted = response.densities_at(*events, sources, is_exact=True)
    np.testing.assert_allclose(response.rows_at(*events) @ sources.reshape(-1, 3), wanted, rtol=1e-11)
    strength = np.linspace(1.0, 2.0, true.energy.size)[:, None]
    each = response.densities_each(*events, sources[..., :1], [(*POINT, strength)], is_exact=True)
    wanted = response.densities_at(*events, sources[..., :1], [(*POINT, strength)], is_exact=True)
    np.testing.assert_allclose(each.sum(axis=1), wanted[:, 0], rtol=1e-11)


def test_densities_integrate_to_the_counts_of_a_bin(small):
    irf, true, seen, sources = small
    response = Response.build(irf, true, seen, POINTING)
    strength = np.ones((true.energy.size, 3))
    counts = response.fold(sources) + response.fold_point(*POINT, strength)
    # Bin 1 in energy and the middle pixel, by midpoints; the response is as wide as several of their steps.
    low, high = seen.energy.edges_tev[1:3]
    energy = low + (high - low) * (np.arange(12) + 0.5) / 12
    cells = -0.2 + 0.4 * (np.arange(20) + 0.5) / 20
    tev, lon, lat = (x.ravel() for x in np.meshgrid(energy, cells, cells))
    found = response.densities_at(tev, lon, lat, sources, [(*POINT, strength)])
    total = (np.cos(np.radians(lat)) @ found) * (high - low) / 12 * 0.02**2
    np.testing.assert_allclose(total, counts[1, 4], rtol=1e-2)


@pytest.fixture(scope="module")
def field(south):
    seen = Axes(EnergyAxis.from_points(0.2, 10.0, 16), LonLatGrid.from_step(-0.8, 0.8, -0.8, 0.8, 0.4))
    pointing = Pointing(0.3, -0.2, 180000.0)
    true = make_true_axes(south, seen, [pointing])
    response = Response.build(south, true, seen, pointing)
    expected = make_sources(true) * (response.area_cm2 * true.volumes_tev_deg2)[..., None]
    return response, expected


@pytest.fixture(scope="module")
def truth(field, seed):
    """Events, and the densities of three sources and a point by the direct sum, of one event each."""
    response, expected = field
    expected = expected / response.detected(expected)
    strength = np.zeros((len(expected), 3))
    strength[:, 0] = 0.3 * expected[..., 0].sum(axis=1)
    events = draw_events(response.reconstructed, 600, seed)
    points = [(*POINT, strength)]
    return events, expected, points, response.densities_at(*events, expected, points, is_exact=True)


@pytest.mark.parametrize("total", [0, 10**6])
def test_quick_scheme_is_the_direct_sum_within_a_thousandth(field, truth, total):
    """Wherever a source has more than a ten-thousandth of all light, and a millionth of its own brightest."""
    events, expected, points, exact = truth
    quick = field[0].densities_at(*events, expected, points, total=total)
    counts = (exact > 1e-4 * exact.sum(axis=1, keepdims=True)) & (exact > 1e-6 * exact.max(axis=0))
    assert counts.sum() > 600
    error = np.abs(np.log(quick[counts] / exact[counts]))
    assert error.max() < 1e-3
    assert np.quantile(error, 0.9) < 2e-4
    # so likelihoods differ by the mean error, and their differences by less
    shares = np.array([[0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.05, 0.9, 0.05]])
    change = np.log(quick @ shares.T).sum(axis=0) - np.log(exact @ shares.T).sum(axis=0)
    assert np.abs(change).max() < 1e-4 * len(exact)
    assert np.ptp(change) < 2e-5 * len(exact)


def test_parts_of_energies_are_quick_too(field, truth):
    events, expected, points, exact = truth
    alone = [(*place, strength[:, :1]) for *place, strength in points]
    for total in (0, 10**6):
        each = field[0].densities_each(*events, expected[..., :1], alone, total=total)
        counts = (exact[:, 0] > 1e-4 * exact.sum(axis=1)) & (exact[:, 0] > 1e-6 * exact[:, 0].max())
        assert np.abs(np.log(each.sum(axis=1)[counts] / exact[counts, 0])).max() < 1e-3


@pytest.mark.parametrize("total", [0, 10**6])
def test_no_source_depends_on_those_beside_it(field, truth, total):
    events, expected, _, _ = truth
    whole = field[0].densities_at(*events, expected, total=total)
    for source in range(3):
        alone = field[0].densities_at(*events, expected[..., [source]], total=total)[:, 0]
        np.testing.assert_allclose(whole[:, source], alone, rtol=1e-5, atol=1e-9 * alone.max())


def sum_directly(response, expected):
    return lambda *events: response.densities_at(*events, expected, [(*POINT, expected[:, 0])], is_exact=True)


def look_up(response, expected):
    # Maps are made once, as by a process that takes many chunks in turn.
    return InterpolatedDensities(response, expected, is_mapped=True).evaluate


def sum_quickly(response, expected):
    return InterpolatedDensities(response, expected, is_mapped=False).evaluate


@pytest.mark.parametrize(("scheme", "number"), [(sum_directly, 200), (sum_quickly, 200), (look_up, 9_000)])
def test_chunks_change_no_bit(field, seed, scheme, number):
    events, evaluate = draw_events(field[0].reconstructed, number, seed), scheme(*field)
    whole, rng = evaluate(*events), np.random.default_rng(seed)
    for chunks in (7, 64 if scheme is look_up else 13):
        bounds = np.sort(np.concatenate(([0, 1, number], rng.integers(0, number, chunks - 2))))
        parts = [evaluate(*(x[first:end] for x in events)) for first, end in list(pairwise(bounds))[::-1]]
        assert np.array_equal(np.concatenate(parts[::-1]), whole)


def test_a_response_is_gone_with_its_last_user(small, seed):
    """With all the tables made for it: a process that takes many chunks does not grow."""
    irf, true, seen, sources = small
    response = Response.build(irf, true, seen, POINTING)
    gc.collect()
    gc.disable()
    try:
        response.densities_at(*draw_events(seen, 5, seed), sources)
        alive = weakref.ref(response), weakref.ref(response.kernel)
        del response
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


def test_events_of_nothing_have_no_density(field):
    response, expected = field
    events = (np.array([1.0]), np.array([0.9]), np.array([0.9]))
    only = np.where((np.arange(expected.shape[1]) == 0)[None, :, None], expected, 0.0)
    assert np.all(response.densities_at(*events, only, is_exact=True) == 0)
    assert np.all(response.densities_at(*events, only) == 0)
    assert response.densities_at(*(np.zeros(0),) * 3, expected).shape == (0, 3)
