"""Draws between the nodes of a quadrature follow the density that the nodes stand for."""

import itertools

import numpy as np
import pytest
from scipy import stats

from skysift.inference.hyper_draws import spread_draws

DRAWS = 2000
# a false alarm in 1e5, shared by a handful of tests
SMALLEST_P_VALUE = 2e-6


def make_nodes(log_density, centre, scale, count):
    """Return nodes (K, n) and log weights of the quadrature that `integrate` makes of a density."""
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    theta, terms = [], []
    for index in itertools.product(range(count), repeat=len(centre)):
        x = points[list(index)]
        theta.append(centre + scale @ x)
        terms.append(log_density(theta[-1]) + np.log(weights[list(index)]).sum() + 0.5 * x @ x)
    terms = np.array(terms)
    return np.stack(theta), terms - np.logaddexp.reduce(terms)


def spread(log_density, centre, scale, seed, count=5):
    theta, log_weight = make_nodes(log_density, np.array(centre), np.array(scale), count)
    random = np.random.default_rng(seed)
    variant = random.choice(len(theta), size=DRAWS, p=np.exp(log_weight))
    return spread_draws(theta, log_weight, variant, random), theta[variant], variant


def test_a_skewed_density_is_drawn_as_it_is(seed):
    law = stats.gumbel_r(loc=0.3, scale=0.5)
    draws, at_nodes, _ = spread(lambda theta: law.logpdf(theta[0]), [0.3], [[0.5]], seed)
    assert stats.kstest(draws[:, 0], law.cdf).pvalue > SMALLEST_P_VALUE
    # neither the nodes themselves nor the Gaussian at the mode would do
    assert stats.kstest(at_nodes[:, 0], law.cdf).pvalue < 1e-12
    assert stats.kstest(draws[:, 0], stats.norm(0.3, 0.5).cdf).pvalue < 1e-12


@pytest.mark.parametrize("count", [3, 5])
def test_two_correlated_numbers_are_drawn_together(seed, count):
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    law = stats.multivariate_normal([1.0, -2.0], covariance)
    draws, _, _ = spread(law.logpdf, [1.0, -2.0], np.linalg.cholesky(covariance), seed, count)
    white = np.linalg.solve(np.linalg.cholesky(covariance), (draws - [1.0, -2.0]).T)
    for row in (*white, (white[0] + white[1]) / 2**0.5, (white[0] - white[1]) / 2**0.5):
        assert stats.kstest(row, "norm").pvalue > SMALLEST_P_VALUE


def test_draws_stay_near_their_node():
    law = stats.norm(0, 1)
    draws, at_nodes, variant = spread(lambda theta: law.logpdf(theta[0]), [0.0], [[1.0]], 1)
    order = np.argsort(draws[:, 0])
    assert (np.diff(variant[order]) >= 0).all()
    assert np.corrcoef(draws[:, 0], at_nodes[:, 0])[0, 1] > 0.9
