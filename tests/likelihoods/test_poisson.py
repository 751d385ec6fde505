"""The Poisson likelihood: normalised, differentiated, and clear about what is impossible."""

import math

import pytest
import torch
from scipy import stats
from tests.contracts.likelihood_contract import LikelihoodContract

from skysift.likelihoods.poisson import poisson_curvature, poisson_log_likelihood, poisson_residual


class TestPoisson(LikelihoodContract):
    def log_likelihood(self, data, expected):
        return poisson_log_likelihood(data, expected)

    def slope(self, data, expected):
        return poisson_residual(data, expected)

    def curvature(self, data, expected, *, observed):
        return poisson_curvature(data, expected, observed=observed)

    def support(self):
        return torch.arange(150, dtype=torch.float64)

    def reference(self, data, expected):
        return stats.poisson.logpmf(data, expected)


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_nothing_seen_where_nothing_is_expected_is_certain():
    counts, expected = vector(0.0, 3.0), vector(0.0, 2.0)[None]
    exact = 3.0 * math.log(2.0) - 2.0 - math.log(6.0)
    assert float(poisson_log_likelihood(counts, expected)[0]) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("expected", [0.0, -1e-300, -2.0])
def test_photons_where_none_are_expected_are_impossible(expected):
    means = torch.stack([vector(1.0, expected), vector(1.0, 1.0)])
    found = poisson_log_likelihood(vector(1.0, 1.0), means)
    assert found[0] == -torch.inf
    assert float(found[1]) == pytest.approx(-2.0)


def test_a_negative_expectation_is_impossible_even_without_photons():
    assert poisson_log_likelihood(vector(0.0), vector(-0.1)[None])[0] == -torch.inf


def test_derivatives_are_finite_where_nothing_is_expected():
    counts, expected = vector(0.0, 2.0, 1.0), vector(0.0, 0.0, 4.0)[None]
    assert poisson_residual(counts, expected).tolist() == [[0.0, 0.0, 0.25 - 1.0]]
    assert poisson_curvature(counts, expected, observed=True).tolist() == [[0.0, 0.0, 1.0 / 16.0]]
    assert poisson_curvature(counts, expected, observed=False).tolist() == [[0.0, 0.0, 0.25]]


def test_bright_and_faint_pixels_keep_their_digits():
    counts, expected = vector(1e7, 0.0), vector(1.0e7, 1e-250)[None]
    exact = float(stats.poisson.logpmf(10**7, 1e7))
    assert float(poisson_log_likelihood(counts, expected)[0]) == pytest.approx(exact, abs=1e-6)


def test_an_overflow_in_one_row_leaves_the_others_alone():
    expected = vector(1.0, 2.0).repeat(3, 1)
    expected[1, 0], expected[2, 1] = math.inf, math.nan
    found = poisson_log_likelihood(vector(2.0, 0.0), expected)
    assert found[0] > -10.0
    assert found[1:].tolist() == [-math.inf, -math.inf]
