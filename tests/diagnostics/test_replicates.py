"""Summaries over replicates, and the peak with the prior taken out."""

import numpy as np
import pytest
from scipy import stats

from skysift.diagnostics.replicates import measure_contraction, peak_without_prior, summarise_replicates


def test_summary_of_known_posteriors():
    random = np.random.default_rng(1)
    centres = random.normal(1.0, 0.2, size=400)
    draws = [random.normal(c, 0.2, size=500) for c in centres]
    found = summarise_replicates(1.0, draws, centres, 0.4)
    assert found.n == 400
    assert abs(found.bias) < 0.04
    assert found.scatter == pytest.approx(0.2, rel=0.2)
    assert found.sd_over_prior_sd == pytest.approx(0.5, rel=0.1)
    assert found.coverage_68 == pytest.approx(0.68, abs=0.1)
    assert found.coverage_95 == pytest.approx(0.95, abs=0.05)
    biased = summarise_replicates(1.3, draws, centres, 0.4)
    assert biased.bias == pytest.approx(found.bias - 0.3)
    assert biased.coverage_95 < 0.9


def test_prior_is_taken_out():
    # Likelihood N(1, 0.3), prior N(0, 0.3): the posterior is N(0.5, 0.21), the likelihood peaks at 1.
    draws = np.random.default_rng(2).normal(0.5, 0.3 / np.sqrt(2), size=40_000)
    grid = np.linspace(-2, 3, 501)
    prior = stats.norm.logpdf(grid, 0, 0.3)
    assert peak_without_prior(draws, prior, grid) == pytest.approx(1.0, abs=0.12)
    flat = np.where(np.abs(grid) <= 2, 0.0, -np.inf)
    assert peak_without_prior(draws, flat, grid) == pytest.approx(0.5, abs=0.05)


def test_peak_at_a_bound_stays_there():
    draws = np.random.default_rng(3).exponential(0.2, size=5000)
    grid = np.linspace(-1, 3, 801)
    prior = np.where((grid >= 0) & (grid <= 3), 0.0, -np.inf)
    assert peak_without_prior(draws, prior, grid) < 0.06


def test_no_width_and_no_prior():
    assert np.isnan(peak_without_prior(np.ones(5), np.zeros(3), np.arange(3.0)))
    assert np.isnan(measure_contraction(0.1, float("inf")))
