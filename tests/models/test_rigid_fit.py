"""The rigid fit is the constrained maximum of the likelihood."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from skysift.models.rigid import fit_rigid


def sky(seed=0, norms=(3.0, 1.5, 0.7), bands=2, pixels=200):
    random = np.random.default_rng(seed)
    phase = np.linspace(0.0, 1.0, pixels)
    shapes = np.stack([np.ones_like(phase), np.exp(-(((phase - 0.5) / 0.1) ** 2)), phase**2])
    templates = 20.0 * shapes[:, None, :] * np.linspace(1.0, 2.0, bands)[None, :, None]
    return random.poisson(np.einsum("n,nep->ep", norms, templates)).astype(float), templates


def deviance(norms, counts, templates):
    mean = np.einsum("n,nep->ep", norms, templates)
    return (mean - counts * np.log(np.maximum(mean, 1e-300))).sum()


def test_maximum_by_another_minimiser():
    counts, templates = sky()
    found = fit_rigid(counts, templates)
    options = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000}
    other = minimize(deviance, found * 1.1, (counts, templates), "Nelder-Mead", options=options)
    np.testing.assert_allclose(found, other.x, rtol=1e-5)


def test_gradient_vanishes_on_free_norms_and_points_outwards_on_fixed_ones():
    counts, templates = sky(norms=(3.0, 0.0, 0.7))
    counts[:, 80:120] = np.floor(0.8 * counts[:, 80:120])
    found = fit_rigid(counts, templates, largest=2.7)
    mean = np.einsum("n,nep->ep", found, templates)
    slope = (templates * (1.0 - counts / mean)).sum((1, 2)) / templates.sum((1, 2))
    assert found[1] == 0.0
    assert slope[1] > 0.0
    assert found[0] == pytest.approx(2.7)
    assert slope[0] < 0.0
    assert abs(slope[2]) < 1e-4


@pytest.mark.statistics
def test_norms_are_unbiased_with_fisher_errors(seed):
    """Chi-square of 100 fits with 3 norms each; 1e-5 on either side. Errors too small by 0.7 must fail."""
    norms = np.array([3.0, 1.5, 0.7])
    _, templates = sky()
    mean = np.einsum("n,nep->ep", norms, templates)
    fisher = np.einsum("nep,mep->nm", templates, templates / mean)
    random = np.random.default_rng(seed)
    pulls = np.stack([fit_rigid(random.poisson(mean).astype(float), templates) - norms for _ in range(100)])
    chi2 = float(np.einsum("in,nm,im->", pulls, fisher, pulls))
    low, high = stats.chi2.ppf([1e-5, 1.0 - 1e-5], 300)
    assert low < chi2 < high
    assert not low < chi2 / 0.49 < high, "the control passed: the test is blind"


def test_one_template_is_a_ratio_of_sums():
    counts, templates = sky()
    found = fit_rigid(counts, templates[:1])
    assert found[0] == pytest.approx(counts.sum() / templates[0].sum(), rel=1e-9)


def test_no_counts_no_norms():
    _, templates = sky()
    assert fit_rigid(np.zeros(templates.shape[1:]), templates).max() < 1e-6


def test_pixels_that_no_template_reaches_do_not_matter():
    counts, templates = sky()
    holes = templates.copy()
    holes[:, :, :30] = 0.0
    np.testing.assert_allclose(fit_rigid(counts, holes), fit_rigid(counts[:, 30:], templates[:, :, 30:]), rtol=1e-7)


def test_a_template_without_light_gets_some_finite_norm():
    counts, templates = sky()
    found = fit_rigid(counts, np.concatenate([templates, np.zeros_like(templates[:1])]), largest=30.0)
    assert np.isfinite(found).all()
    assert 0.0 <= found[3] <= 30.0


def test_inputs_are_left_alone():
    counts, templates = sky()
    kept = counts.copy(), templates.copy()
    fit_rigid(counts, templates)
    assert all(np.array_equal(*pair) for pair in zip(kept, (counts, templates), strict=True))
