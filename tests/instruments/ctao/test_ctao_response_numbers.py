"""Known numbers of the prod5 response files, and what an interpolated table must obey."""

import numpy as np
import pytest
from astropy.io import fits
from tests.instruments.ctao.conftest import SOUTH_5H, SOUTH_50H

from skysift.instruments.ctao import read_irf


def test_widths_of_the_point_spread_function(south):
    weights, sigmas = south.psf_components([0.1, 1.0, 10.0], 0.5)
    assert np.array_equal(weights, np.ones((3, 1))), "one Gaussian"
    assert np.array_equal(sigmas[:, 0].round(3), [0.100, 0.037, 0.022])


def test_area_tells_5_h_from_50_h(south, data_folder):
    short = read_irf(data_folder / "ctao" / SOUTH_5H)
    assert south.area_cm2(1.0, 0.5) == pytest.approx(7.4e9, rel=0.01)
    assert short.area_cm2(1.0, 0.5) == pytest.approx(9.3e9, rel=0.01)
    assert (south.live_time_s, short.live_time_s) == (180000.0, 18000.0)
    assert (south.name, south.sha256[:12]) == (SOUTH_50H, "c979ebf576c6")
    assert south.offset_max_deg == 6.0


def test_outside_the_outer_edges(south):
    assert np.array_equal(south.area_cm2([0.0125, 1.0, 200.0], [1.0, 6.0, 1.0]), np.zeros(3))
    assert np.all(south.area_cm2([0.03, 1.0, 199.0], [1.0, 5.0, 1.0]) > 0)
    assert np.array_equal(south.dispersion_raw(1.0, [3.0, 3.5, 1.0, -0.1], [1.0, 1.0, 6.0, 1.0]), np.zeros(4))
    assert np.array_equal(south.background(1.0, [6.0, 0.0, -6.01], [0.0, 6.0, 0.0]), np.zeros(3))
    assert np.all(south.background(1.0, [-6.0, 0.0], [0.0, -6.0]) > 0)


def test_background_is_per_tev_and_deg2(south, data_folder):
    with fits.open(data_folder / "ctao" / SOUTH_50H) as file:
        table = file["BACKGROUND"].data
        energy = np.sqrt(float(table["ENERG_LO"][0][10]) * float(table["ENERG_HI"][0][10]))
        raw = float(table["BKG"][0][30, 30, 10])
    expected = raw * 1e6 / 3282.806
    assert south.background(energy, 0.1, 0.1) == pytest.approx(expected, rel=1e-5)


def test_empty_nodes_of_the_point_spread_function(data_folder):
    path = data_folder / "ctao" / SOUTH_50H
    nearest, one_degree = read_irf(path), read_irf(path, psf_empty="one_degree")
    with fits.open(path) as file:
        table = file["POINT SPREAD FUNCTION"].data
        stated = table["SIGMA_1"][0].T.astype(np.float64)
    is_empty = stated == 0
    assert is_empty.sum() == 19
    assert is_empty.size == 126
    model = nearest.psf_model
    energy, offset = model.energy.nodes[:, None], model.offset.nodes
    filled = nearest.psf_components(energy, offset)[1][..., 0]
    leaking = one_degree.psf_components(energy, offset)[1][..., 0]
    assert np.allclose(filled[~is_empty], stated[~is_empty], rtol=1e-12)
    assert np.allclose(leaking, np.where(is_empty, 1.0, stated), rtol=1e-12)
    for column in range(6):
        first = np.flatnonzero(~is_empty[:, column])[0]
        assert np.allclose(filled[:first, column], stated[first, column], rtol=1e-12)
    assert np.all(np.isfinite(filled) & (filled > 0))


def test_share_of_a_flat_field_that_one_degree_spoils(data_folder):
    """Some 0.2 % of a flat field of slope -2.5 get sigma > 0.3 deg from their neighbours; none with the default."""
    path = data_folder / "ctao" / SOUTH_50H
    nearest, one_degree = read_irf(path), read_irf(path, psf_empty="one_degree")
    edges, side = np.geomspace(0.0932, 107.3, 201), np.arange(-3.35, 3.4, 0.1)
    energy, offset = np.sqrt(edges[1:] * edges[:-1])[:, None], np.hypot(*np.meshgrid(side, side)).ravel()
    counts = nearest.area_cm2(energy, offset) * energy**-2.5 * np.diff(edges)[:, None]
    spoilt = [counts[irf.psf_components(energy, offset)[1][..., 0] > 0.3].sum() for irf in (one_degree, nearest)]
    assert 0.001 < spoilt[0] / counts.sum() < 0.005
    assert spoilt[1] == 0


def test_empty_columns_of_the_dispersion(south):
    table = south.energy_dispersion
    sums = table.values.sum(axis=-1)
    assert sums.size == 1800
    assert (sums == 0).sum() == 679
    assert np.allclose(sums[sums > 0], 1.0, atol=0.01), "columns sum to one"


def test_sum_of_the_raw_dispersion_after_interpolation(south, seed):
    rng = np.random.default_rng(seed)
    energy, offset = np.exp(rng.uniform(np.log(0.02), np.log(150.0), 20000)), rng.uniform(0.0, 6.0, 20000)
    sums = south.energy_dispersion.integral(energy, offset) / 0.01
    sums = sums[sums > 0]
    assert sums.min() < 0.05
    assert 1.2 < sums.max() < 1.35


def test_dispersion_is_normalised_after_interpolation(south, seed):
    rng = np.random.default_rng(seed)
    energy, offset = np.exp(rng.uniform(np.log(0.05), np.log(100.0), (30, 1))), rng.uniform(0.0, 6.0, (30, 1))
    table = south.energy_dispersion
    mu = np.unique(np.concatenate((table.migra.edges, table.migra.nodes, np.linspace(0.0, 3.0, 20001))))
    mu = np.clip(mu, 0.0, np.nextafter(3.0, 0.0))
    density = south.dispersion(energy, mu, offset)
    total = np.trapezoid(density, mu, axis=1)
    is_filled = table.integral(energy, offset)[:, 0] > 0
    assert is_filled.mean() > 0.5
    assert np.allclose(total[is_filled], 1.0, rtol=0, atol=2e-4)
    assert np.all(total[~is_filled] == 0)


def test_cumulative_is_the_integral_of_the_density(south, seed):
    rng = np.random.default_rng(seed)
    energy, offset = np.exp(rng.uniform(np.log(0.05), np.log(100.0), 50)), rng.uniform(0.0, 5.9, 50)
    offset[:20] = rng.uniform(0.0, 0.5, 20)  # where the table goes on linearly and is clipped
    nodes, below = south.dispersion_cumulative(energy, offset)
    assert np.all(np.diff(below, axis=1) >= 0)
    ends = below[:, -1]
    assert np.all((np.abs(ends - 1) < 1e-12) | (ends == 0))
    assert np.allclose(south.dispersion_share(energy[:, None], nodes, offset[:, None]), below, rtol=0, atol=1e-13)
    edges = np.sort(rng.uniform(0.5, 1.5, (50, 4)), axis=1)
    shares = np.diff(south.dispersion_share(energy[:, None], edges, offset[:, None]), axis=1)
    fine = edges[:, :-1, None] + (edges[:, 1:, None] - edges[:, :-1, None]) * np.linspace(0, 1, 4001)
    density = south.dispersion(energy[:, None, None], fine, offset[:, None, None])
    assert np.allclose(shares, np.trapezoid(density, fine, axis=2), rtol=0, atol=2e-6)


def test_draws_follow_the_dispersion(south):
    share = (np.arange(20000) + 0.5) / 20000
    for energy, offset in ((0.1, 0.2), (1.0, 0.0), (0.3, 1.7), (20.0, 3.1), (5.0, 5.8)):
        energies, offsets = np.full(share.shape, energy), np.full(share.shape, offset)
        mu = south.dispersion_draw(energies, offsets, share)
        below = np.sort(south.dispersion_share(energy, mu, offset))
        assert np.abs(below - share).max() < 3e-4
        assert np.abs(np.sort(south.dispersion_share(energy, mu * 1.005, offset)) - share).max() > 3e-3, "control"
    assert np.all(np.isnan(south.dispersion_draw(np.array([1.0, 0.02]), np.array([6.1, 5.9]), np.array([0.5, 0.5]))))


def test_quick_integral_equals_the_long_one(south, seed):
    """Between nodes the integral is interpolated, elsewhere summed: both ways must agree."""
    rng = np.random.default_rng(seed)
    energy, offset = np.exp(rng.uniform(np.log(0.02), np.log(150.0), 3000)), rng.uniform(0.0, 6.0, 3000)
    table = south.energy_dispersion
    assert np.allclose(table.integral(energy, offset), table._cell_integrals(energy, offset).sum(axis=1), rtol=1e-10)


def test_values_broadcast(south):
    energy, offset = np.geomspace(0.1, 50.0, 5)[:, None], np.linspace(0.0, 5.0, 7)
    assert south.area_cm2(energy, offset).shape == (5, 7)
    assert south.area_cm2(energy, offset)[2, 3] == south.area_cm2(energy[2, 0], offset[3])
    assert south.psf(energy, offset, 0.1).shape == (5, 7)
    assert south.psf_components(energy, offset)[1].shape == (5, 7, 1)
    assert south.dispersion(energy, 1.0, offset).shape == (5, 7)
    assert south.dispersion_cumulative(energy, offset)[1].shape == (5, 7, 302)
    assert south.area_cm2(1.0, 1.0).shape == ()


def test_containment(south):
    sigma = south.psf_components([0.1, 1.0], 0.5)[1][:, 0]
    assert np.allclose(south.psf_containment_deg([0.1, 1.0], 0.5, 0.68), sigma * np.sqrt(-2 * np.log(0.32)), rtol=1e-10)


def test_reading_again_gives_the_same(data_folder, south):
    again = read_irf(data_folder / "ctao" / SOUTH_50H)
    assert again.sha256 == south.sha256
    assert np.array_equal(again.energy_dispersion.values, south.energy_dispersion.values)
    assert again.area.values_cm2.dtype == np.float64
    assert again.area.values_cm2.dtype.isnative
