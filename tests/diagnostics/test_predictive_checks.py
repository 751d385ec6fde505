"""Predictive checks: uniform for the right model, far from it for wrong ones."""

import numpy as np
import pytest
from scipy import stats

from skysift.diagnostics.predictive import (
    compare_histogram,
    draw_replicas,
    measure_deviance,
    predictive_p_value,
    randomise_pit,
)
from skysift.diagnostics.residuals import (
    bin_pairs,
    compare_autocorrelation,
    correlate,
    make_smoother,
    measure_significance,
)

MEAN = np.random.default_rng(0).uniform(0.3, 40, size=2000)


def directions(count=600, size_deg=10.0):
    random = np.random.default_rng(2)
    lon, lat = np.radians(random.uniform(-size_deg, size_deg, size=(2, count)))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def test_pit_is_uniform_for_the_right_mean_and_not_for_a_wrong_one():
    random = np.random.default_rng(1)
    counts = random.poisson(MEAN)
    right = randomise_pit(counts, np.stack([MEAN, MEAN]), random)
    assert stats.kstest(right, "uniform").pvalue > 1e-4
    assert stats.kstest(randomise_pit(counts, 1.1 * MEAN[None], random), "uniform").pvalue < 1e-6


def test_pit_equals_the_plain_formula():
    counts = np.array([0, 1, 7])
    mean = np.array([[0.5, 2.0, 3.0], [1.0, 2.0, 9.0]])

    class Half:
        def random(self, shape):
            return np.full(shape, 0.5)

    plain = (stats.poisson.cdf(counts - 1, mean) + 0.5 * stats.poisson.pmf(counts, mean)).mean(axis=0)
    assert randomise_pit(counts, mean, Half()) == pytest.approx(plain, rel=1e-12)


def test_deviance_matches_its_definition_and_vanishes_at_the_data():
    counts = np.array([0, 3, 10])
    expected = np.array([[0.5, 3.0, 8.0]])
    log_ratio = stats.poisson.logpmf(counts, np.maximum(counts, 1e-300)) - stats.poisson.logpmf(counts, expected)
    assert measure_deviance(counts, expected) == pytest.approx(2 * log_ratio)
    assert measure_deviance(counts, expected)[0, 1] == 0


def test_predictive_p_value_finds_overdispersion():
    random = np.random.default_rng(7)
    expected = np.tile(MEAN, (200, 1))
    replicas = draw_replicas(expected, random)
    null = measure_deviance(replicas, expected).sum(axis=1)
    right = measure_deviance(random.poisson(MEAN), expected).sum(axis=1)
    wide = measure_deviance(random.poisson(MEAN * random.lognormal(0, 0.3, MEAN.shape)), expected).sum(axis=1)
    assert predictive_p_value(right, null) > 0.005
    assert predictive_p_value(wide, null) == pytest.approx(1 / 201)


def test_histogram_counts_every_pixel():
    random = np.random.default_rng(8)
    counts = random.poisson(MEAN)
    found = compare_histogram(counts, draw_replicas(np.tile(MEAN, (50, 1)), random))
    assert found.observed.sum() == MEAN.size
    assert found.counts[1] == found.width
    assert found.observed[3] == np.sum(counts // found.width == 3)
    assert found.predicted.shape == (5, found.counts.size)
    assert np.all(np.diff(found.predicted, axis=0) >= 0)


def test_histogram_of_bright_pixels_has_few_bins():
    random = np.random.default_rng(12)
    found = compare_histogram(random.poisson(900, size=500), random.poisson(900, size=(20, 500)))
    assert found.counts.size <= 60
    assert found.observed.sum() == 500


def test_one_bright_source_of_a_replica_does_not_widen_the_bins():
    random = np.random.default_rng(13)
    counts, replicas = random.poisson(20, size=500), random.poisson(20, size=(40, 500))
    replicas[3, 7] = 5000
    found = compare_histogram(counts, replicas, levels=(0.5, 1.0))
    assert found.width == 1
    assert found.counts.size < 60
    assert found.predicted[1, -1] >= 1
    assert found.observed.sum() == 500


def test_pair_sums_match_a_double_loop():
    places = directions(60)
    edges = np.array([0.5, 2.0, 5.0])
    bins = bin_pairs(places, edges)
    residual = np.random.default_rng(9).normal(size=(1, 60))
    centred = residual[0] - residual[0].mean()
    angle = np.degrees(np.arccos(np.clip(places @ places.T, -1, 1)))
    for k in range(2):
        chosen = np.triu((angle >= edges[k]) & (angle < edges[k + 1]), 1)
        assert bins.pairs[k] == chosen.sum()
        expected = (np.outer(centred, centred) * chosen).sum() / chosen.sum()
        assert correlate(residual, bins)[0, k] == pytest.approx(expected)


def test_autocorrelation_sees_structure_and_only_structure():
    random = np.random.default_rng(10)
    places, mean = directions(), np.full(600, 20.0)
    bins = bin_pairs(places, np.linspace(0.3, 5, 6))
    copies = measure_significance(random.poisson(mean, size=(200, 600)), mean)
    white = measure_significance(random.poisson(mean), mean)
    lumpy = measure_significance(random.poisson(mean * (1 + 0.3 * np.sin(20 * places[:, 1]))), mean)
    assert compare_autocorrelation(white[None], copies, bins).p_value > 0.005
    assert compare_autocorrelation(lumpy[None], copies, bins).p_value < 0.006


def test_significance_of_an_empty_pixel_is_zero():
    assert measure_significance(np.array([0, 4]), np.array([0.0, 1.0])).tolist() == [0.0, 3.0]


def test_smoother_keeps_constants_and_measures_noise_right():
    places = directions()
    smoother = make_smoother(places, 1.0)
    assert smoother.mean(np.full(600, 3.0)) == pytest.approx(np.full(600, 3.0))
    random = np.random.default_rng(11)
    mean = np.full(600, 20.0)
    scores = np.stack([smoother.significance(random.poisson(mean).astype(float), mean) for _ in range(200)])
    # 200 scores of sd 1 per pixel: the sd of all, over correlated pixels, is far better known than 5 %.
    assert scores.std() == pytest.approx(1.0, abs=0.05)
    assert scores.mean() == pytest.approx(0.0, abs=0.1)
