"""Folds with point-spread functions of several terms."""

import dataclasses

import numpy as np
import pytest

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf
from skysift.instruments.ctao.psf import GaussianPsf, KingPsf

POINTING = Pointing(0.3, 0.1, 1.0)
SEEN = Axes(EnergyAxis.from_bins(0.4, 6.0, 3), LonLatGrid.from_step(-0.4, 0.4, -0.4, 0.4, 0.2))
TRUE = Axes(EnergyAxis.from_bins(0.25, 9.0, 6), LonLatGrid.from_step(-0.75, 0.75, -0.75, 0.75, 0.1))
SOURCE = np.random.default_rng(3).random((6, 256, 1))
EVENTS = np.array([0.7, 2.0, 4.0]), np.array([-0.3, 0.0, 0.21]), np.array([0.2, -0.1, 0.3])


def response(psf):
    return Response.build(dataclasses.replace(analytic_irf(), psf_model=psf), TRUE, SEEN, POINTING, cut=1e-6)


def gaussian(*terms):
    """Terms of (weight, sigma in deg), the same at all energies and offsets."""
    base = analytic_irf().psf_model
    ones = np.ones(base.sigmas_deg.shape[1:])
    amplitudes = [weight / sigma**2 * ones for weight, sigma in terms]
    return GaussianPsf(base.energy, base.offset, np.stack(amplitudes), np.stack([s * ones for _, s in terms]), ones)


@pytest.mark.parametrize(
    "apply",
    [
        lambda r: r.fold(SOURCE),
        lambda r: r.fold_point(0.1, 0.05, SOURCE[:, 0]),
        lambda r: r.efficiency,
        lambda r: r.densities_at(*EVENTS, SOURCE, [(0.1, 0.05, SOURCE[:, 0])], is_exact=True),
    ],
)
def test_a_sum_of_gaussians_is_the_sum_of_their_folds(apply):
    both = apply(response(gaussian((0.7, 0.05), (0.3, 0.12))))
    parts = [apply(response(gaussian((1.0, sigma)))) for sigma in (0.05, 0.12)]
    wanted = 0.7 * parts[0] + 0.3 * parts[1]
    np.testing.assert_allclose(both, wanted, rtol=1e-5, atol=1e-7 * wanted.max())


@pytest.mark.parametrize("total", [0, 10**6])
def test_quick_densities_take_all_terms(total):
    made = response(gaussian((0.7, 0.05), (0.3, 0.12)))
    smooth = np.exp(-0.5 * (TRUE.grid.lon_deg**2 + TRUE.grid.lat_deg**2) / 0.3**2)[None, :, None] * np.ones((6, 1, 1))
    exact = made.densities_at(*EVENTS, smooth, is_exact=True)
    np.testing.assert_allclose(made.densities_at(*EVENTS, smooth, total=total), exact, rtol=1e-3)


def test_a_king_profile_keeps_its_light():
    base = analytic_irf().psf_model
    ones = np.ones(base.sigmas_deg.shape[1:])
    made = response(KingPsf(base.energy, base.offset, 0.04 * ones, 2.5 * ones))
    point = made.fold_point(0.0, 0.0, np.ones((6, 1))).sum()
    # Of the light of a point in the middle, what misses half a degree misses the region of 1 deg square or its corners.
    share = [made.irf.psf_model.containment(1.0, 0.3, radius) for radius in (0.5, 0.5 * np.sqrt(2))]
    within = sum(shares[0].sum() for _, shares in made.factors.migration.shares(POINTING.offset_deg([0.0], [0.0])))
    assert share[0] * within < point < share[1] * within
    folded = made.fold(SOURCE)
    assert folded.sum() == pytest.approx(made.detected(SOURCE)[0], rel=1e-5)
