"""The discrete normalisation against its definition."""

import numpy as np
import pytest
from tests.instruments.ctao.slow_fold import discrete_densities

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, analytic_irf
from skysift.instruments.ctao.discrete import DiscreteResponse, discrete_volumes

POINTING = Pointing(0.3, 0.2, 1.0)


@pytest.fixture(scope="module", params=["analytic", "prod5"])
def problem(request):
    irf = analytic_irf() if request.param == "analytic" else request.getfixturevalue("south")
    axes = Axes(EnergyAxis.from_points(0.1, 20.0, 9), LonLatGrid.from_step(-1.6, 1.6, -0.8, 0.8, 0.4))
    grid, energy = axes.grid, axes.energy.centres_tev[:, None]
    return irf, axes, energy**-2.4 * np.exp(-np.abs(grid.lat_deg)) * (2 + grid.lon_deg)


def densities(response, flux):
    expected = (flux * response.area_cm2 * response.volumes)[..., None]
    return (response.fold(expected) / response.detected(expected))[..., 0] / response.volumes


@pytest.mark.parametrize("window", ["gammabayes", "none"])
def test_discrete_is_its_definition(problem, window):
    irf, axes, flux = problem
    found = densities(DiscreteResponse(irf, axes, POINTING, window), flux)
    wanted = discrete_densities(irf, axes, POINTING, flux, window == "gammabayes")
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-16 * wanted.max())


def test_without_a_window_densities_sum_to_one_up_to_bins_of_zero_norm(problem):
    irf, axes, flux = problem
    response = DiscreteResponse(irf, axes, POINTING, "none")
    expected = flux * response.area_cm2 * response.volumes
    arriving = np.stack([spread.sum(axis=0) for spread in response.operator.spreads])
    arriving *= np.stack([shares.sum(axis=1) for _, shares in response.operator.bands])
    assert np.all((np.abs(arriving - 1) < 1e-10) | (arriving == 0))
    total = np.sum(densities(response, flux) * response.volumes)
    assert total == pytest.approx(np.sum(expected * arriving) / expected.sum(), abs=1e-10)


def test_the_window_cuts(problem):
    irf, axes, flux = problem
    cut, whole = (densities(DiscreteResponse(irf, axes, POINTING, window), flux) for window in ("gammabayes", "none"))
    assert np.all(cut <= whole * (1 + 1e-12))


def test_volumes_are_too_large_by_what_is_known():
    axes = Axes(EnergyAxis.from_points(0.1, 100.0, 50), LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4))
    ratio = 1000 ** (1 / 49)
    found = discrete_volumes(axes)[7, 8] / axes.volumes_tev_deg2[7, 8]
    cosine = np.cos(np.radians(axes.grid.lat_deg[8]))
    # On bin edges, E_k = sqrt(E_low E_high): the exact width is 2 sinh(ln q / 2) E_k.
    assert found == pytest.approx(ratio / (2 * np.sinh(0.5 * np.log(ratio))) / cosine, rel=1e-4)


def test_background_is_smeared_as_a_flux(problem):
    irf, axes, _ = problem
    response = DiscreteResponse(irf, axes, POINTING)
    rate = response.smeared_background()
    assert rate.shape == axes.shape
    offset = POINTING.offsets_deg(axes.grid)[3]
    energy = axes.energy.centres_tev[2]
    wanted = float(irf.background_radial(energy, offset)) * discrete_volumes(axes)[2, 3]
    assert rate[2, 3] == pytest.approx(wanted, rel=1e-12)


def test_adjoint_is_the_transpose(problem, seed):
    irf, axes, flux = problem
    response = DiscreteResponse(irf, axes, POINTING)
    weights = np.random.default_rng(seed).normal(size=(*axes.shape, 1))
    inner = np.sum(response.fold(flux[..., None]) * weights)
    assert np.sum(response.adjoint(weights)[..., 0] * flux) == pytest.approx(inner, rel=1e-11)


def test_an_unknown_window_is_refused():
    axes = Axes(EnergyAxis.from_bins(1.0, 2.0, 2), LonLatGrid.from_step(0.0, 1.0, 0.0, 1.0, 0.5))
    with pytest.raises(InputError, match="window"):
        DiscreteResponse(analytic_irf(), axes, POINTING, "wide")
