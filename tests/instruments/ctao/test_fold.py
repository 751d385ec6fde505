"""The fold against the slow one, its transpose, and the limits of its approximations."""

import numpy as np
import pytest
import torch
from tests.instruments.ctao.slow_fold import SlowFold

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf, make_true_axes

POINT = (0.137, -0.211)
# Nearer than half a degree a real table goes on beyond its first node, see the test of it.
POINTING = Pointing(1.4, -1.2, 180000.0)


def make_axes():
    seen = Axes(EnergyAxis.from_bins(0.4, 6.0, 4), LonLatGrid.from_step(359.6, 360.4, -0.4, 0.4, 0.4))
    true = Axes(EnergyAxis.from_bins(0.25, 9.0, 7), LonLatGrid.from_step(-0.7, 0.7, -0.7, 0.7, 0.2))
    return true, seen


def make_sources(true):
    """An extended source, a diffuse one with a gradient, and a cusp with the spectrum of an annihilation channel."""
    grid, energy = true.grid, true.energy.centres_tev[:, None]
    lon = (grid.lon_deg + 180) % 360 - 180
    gaussian = np.exp(-((lon - 0.1) ** 2 + (grid.lat_deg + 0.1) ** 2) / (2 * 0.15**2)) * energy**-2.2
    diffuse = np.exp(-np.abs(grid.lat_deg) / 0.4) * (1 + 0.3 * lon) * energy**-2.6
    cusp = 1 / np.hypot(lon, grid.lat_deg + 0.05) * energy**-1.5 * np.exp(-energy) * (energy < 8)
    return np.stack((gaussian, diffuse, cusp), axis=-1)


@pytest.fixture(scope="module", params=["analytic", "prod5"])
def problem(request):
    irf = analytic_irf() if request.param == "analytic" else request.getfixturevalue("south")
    true, seen = make_axes()
    return irf, true, seen, make_sources(true)


@pytest.fixture(scope="module")
def slow_counts(problem):
    irf, true, seen, sources = problem
    strength = np.linspace(1.0, 2.0, true.energy.size)[:, None] * np.array([0.0, 1.0, 3.0])
    return strength, SlowFold(irf, true, seen, POINTING).counts(sources, [(*POINT, strength)])


@pytest.mark.parametrize(("cut", "relative"), [(1e-9, False), (0.0, True)])
def test_fold_is_the_slow_one(problem, slow_counts, cut, relative):
    irf, true, seen, sources = problem
    strength, wanted = slow_counts
    response = Response.build(irf, true, seen, POINTING, cut=cut)
    found = response.fold(sources) + response.fold_point(*POINT, strength)
    scale = wanted if relative else wanted.max(axis=(0, 1))
    assert np.max(np.abs(found - wanted) / scale) < 1e-8


def test_migration_near_the_pointing_follows_the_clipped_table(south):
    true, seen = make_axes()
    pointing = Pointing(0.05, 0.1, 1.0)
    response, slow = Response.build(south, true, seen, pointing), SlowFold(south, true, seen, pointing)
    for pixel in (27, 28, 35):
        offset = slow.offset(true.grid.lon_deg[pixel], true.grid.lat_deg[pixel])
        assert offset < 0.5
        for energy in (1, 4):
            first, shares = response.bands[energy]
            wanted = [slow.migrate(energy, first + k, offset, 40) for k in range(shares.shape[1])]
            np.testing.assert_allclose(shares[pixel], wanted, atol=1e-5)


def test_area_is_the_mean_over_the_bin(problem):
    irf, true, seen, _ = problem
    response, slow = Response.build(irf, true, seen, POINTING), SlowFold(irf, true, seen, POINTING)
    for e, j in [(0, 0), (5, 17), (true.energy.size - 1, true.grid.size - 1)]:
        offset = slow.offset(true.grid.lon_deg[j], true.grid.lat_deg[j])
        assert response.area_cm2[e, j] == pytest.approx(slow.area(e, offset), rel=1e-12)
    offset = slow.offset(*POINT)
    np.testing.assert_allclose(response.area_at(*POINT)[3], slow.area(3, offset), rtol=1e-12)


@pytest.mark.parametrize("cut", [1e-9, 1e-5])
def test_efficiency_is_what_arrives_and_the_cut_is_recorded(problem, cut):
    irf, true, seen, sources = problem
    response = Response.build(irf, true, seen, POINTING, cut=cut)
    folded = response.fold(sources)
    missing = 1 - folded.sum(axis=(0, 1)) / response.detected(sources)
    assert 0 <= response.cut_loss < cut
    assert np.all(missing <= response.cut_loss + 1e-12)
    assert np.all((response.efficiency >= 0) & (response.efficiency <= 1 + 1e-12))
    assert np.all(response.leakage(sources) > 0.02)
    if cut > 1e-6:
        assert response.cut_loss > 1e-9


def test_adjoint_is_the_transpose_and_the_gradient(problem, seed):
    irf, true, seen, sources = problem
    response = Response.build(irf, true, seen, POINTING)
    weights = np.random.default_rng(seed).normal(size=(*seen.shape, 3))
    inner = np.sum(response.fold(sources) * weights)
    back = response.adjoint(weights)
    assert np.sum(back * sources) == pytest.approx(inner, rel=1e-12)
    tensor = torch.tensor(sources, requires_grad=True)
    torch.sum(response.fold(tensor) * torch.tensor(weights)).backward()
    np.testing.assert_array_equal(tensor.grad.numpy(), back)


def test_a_device_folds_as_the_processor_does(problem):
    from skysift.instruments.ctao.tensors import DeviceFold

    irf, true, seen, sources = problem
    operator = Response.build(irf, true, seen, POINTING).operator
    device = DeviceFold(operator, torch.device("cpu"))
    folded = operator.fold(sources)
    np.testing.assert_allclose(device.fold(torch.tensor(sources)).numpy(), folded, rtol=1e-12)
    np.testing.assert_allclose(device.adjoint(torch.tensor(folded)).numpy(), operator.adjoint(folded), rtol=1e-12)


def test_rows_of_bins_and_parts_of_energies_are_the_fold(problem):
    irf, true, seen, sources = problem
    response = Response.build(irf, true, seen, POINTING)
    folded = response.fold(sources)
    bins = np.array([0, 35, 7, 7, 20], dtype=np.int64)
    np.testing.assert_allclose(response.rows(bins) @ sources.reshape(-1, 3), folded.reshape(-1, 3)[bins], rtol=1e-12)
    np.testing.assert_allclose(response.operator.fold_each(sources).sum(axis=0), folded, rtol=1e-12)


def test_sources_are_columns_that_do_not_see_each_other(problem):
    irf, true, seen, sources = problem
    response = Response.build(irf, true, seen, POINTING)
    alone = [response.fold(sources[..., [number]])[..., 0] for number in range(3)]
    np.testing.assert_allclose(np.stack(alone, axis=-1), response.fold(sources), rtol=1e-13)


def test_a_point_source_is_the_limit_of_a_small_pixel():
    irf = analytic_irf()
    seen = Axes(EnergyAxis.from_bins(0.4, 6.0, 3), LonLatGrid.from_step(-0.4, 0.4, 39.6, 40.4, 0.2))
    lon, lat, half = 0.13, 40.07, 2e-4
    energy = EnergyAxis.from_bins(0.2, 20.0, 30)
    true = Axes(energy, LonLatGrid(np.array([lon - half, lon + half]), np.array([lat - half, lat + half])))
    pointing = Pointing(0.5, 40.5, 1.0)
    response = Response.build(irf, true, seen, pointing)
    strength = np.ones((30, 1))
    small, point = response.fold(strength[:, None, :]), response.fold_point(lon, lat, strength)
    np.testing.assert_allclose(small, point, atol=1e-4 * point.max())


def test_refining_moves_the_quick_start_little(south):
    seen = Axes(EnergyAxis.from_points(0.1, 100.0, 12), LonLatGrid.from_step(-1.2, 1.2, -1.2, 1.2, 0.4))
    pointing, folded = Pointing(0.0, 0.0, 1.0), []
    coarse = make_true_axes(south, seen, [pointing])
    edges = coarse.grid.lon_edges_deg, coarse.grid.lat_edges_deg
    halved = LonLatGrid(*(np.sort(np.concatenate((x, 0.5 * (x[1:] + x[:-1])))) for x in edges))
    for true in (coarse, Axes(coarse.energy, halved)):
        grid, energy = true.grid, true.energy.centres_tev[:, None]
        # As steep as the diffuse map is, integrated over pixels by fine points.
        points = np.linspace(-0.5, 0.5, 9)[:-1] + 1 / 16
        step = np.diff(grid.lat_edges_deg)[0]
        lon, lat = (c[:, None, None] + step * p for c, p in ((grid.lon_deg, points[:, None]), (grid.lat_deg, points)))
        shape = np.mean(np.exp(-np.abs(lat) / 0.8) / np.hypot(0.8, np.hypot(lon, lat)), axis=(1, 2))
        flux = energy**-2.41 * true.energy.widths_tev[:, None] * shape * grid.areas_deg2
        response = Response.build(south, true, seen, pointing)
        folded.append(response.fold((flux * response.area_cm2)[..., None])[..., 0])
    change = np.abs(np.log(folded[1] / folded[0]))
    assert np.median(change) < 2e-3
    assert change[folded[0] > 1e-4 * folded[0].sum()].max() < 2e-2


def test_margins_hold_what_reaches_the_region(south):
    seen = Axes(EnergyAxis.from_points(0.1, 100.0, 8), LonLatGrid.from_step(-0.8, 0.8, -0.8, 0.8, 0.4))
    pointing = Pointing(0.0, 0.0, 1.0)
    totals = []
    for margin in ("auto", 2.0):
        true = make_true_axes(south, seen, [pointing], margin_deg=margin)
        response = Response.build(south, true, seen, pointing)
        flux = true.energy.centres_tev[:, None] ** -2.5 * true.volumes_tev_deg2 * response.area_cm2
        totals.append(response.detected(flux[..., None])[0])
    assert totals[0] == pytest.approx(totals[1], rel=1e-3)
    assert true.energy.edges_tev[0] <= seen.energy.edges_tev[0] / 3 * (1 + 1e-12)


def test_what_the_tables_do_not_hold_is_told(south):
    seen = Axes(EnergyAxis.from_bins(0.0932, 107.3, 8), LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.8))
    pointing = Pointing(0.0, 0.0, 1.0)
    true = make_true_axes(south, seen, [pointing], refine=2)
    response = Response.build(south, true, seen, pointing)
    flux = true.energy.centres_tev[:, None] ** -2.5 * true.volumes_tev_deg2 * response.area_cm2
    assert 0 < response.lost_share(flux[..., None])[0] < 1e-5


def test_background_counts_are_the_integral(problem):
    irf, _, seen, _ = problem
    counts = Response.build(irf, *make_axes(), POINTING).background_counts()
    for bin_energy, pixel in [(0, 4), (3, 8)]:
        low, high = np.log(seen.energy.edges_tev[bin_energy : bin_energy + 2])
        row, column = divmod(pixel, 3)
        lon = np.linspace(*seen.grid.lon_edges_deg[column : column + 2], 42)[:-1] + 0.2 / 41
        lat = np.linspace(*seen.grid.lat_edges_deg[row : row + 2], 42)[:-1] + 0.2 / 41
        energy = np.exp(np.linspace(low, high, 42)[:-1] + 0.5 * (high - low) / 41)
        rate = irf.background_at(energy[:, None, None], lon[:, None], lat, POINTING)
        wanted = np.mean(rate * energy[:, None, None] * np.cos(np.radians(lat))) * (high - low) * 0.16
        assert counts[bin_energy, pixel] == pytest.approx(wanted, rel=1e-3)
