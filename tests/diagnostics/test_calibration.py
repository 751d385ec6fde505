"""The checkers checked: right posteriors pass, wrong ones fail."""

import numpy as np
import pytest

from skysift.diagnostics.bands import make_ecdf_band
from skysift.diagnostics.calibration import check_calibration
from skysift.diagnostics.coverage import binomial_interval, binomial_tolerance
from skysift.diagnostics.ranks import adjust_holm, rank_truths, uniforms_from_ranks

SIMULATIONS, DRAWS, REPEATS = 1000, 100, 40


def conjugate(random, scale=1.0, shift=0.0):
    """Truth ~ N(0, 1), datum ~ N(truth, 1): the posterior is N(datum / 2, 1 / 2), exactly."""
    truth = random.normal(size=(SIMULATIONS, 1))
    datum = truth + random.normal(size=truth.shape)
    sd = np.sqrt(0.5)
    draws = datum / 2 + shift * sd + scale * sd * random.normal(size=(SIMULATIONS, DRAWS))
    return truth, draws[:, :, None]


def failing_share(scale, shift, repeats=REPEATS):
    random = np.random.default_rng(5)
    failed = 0
    for _ in range(repeats):
        truth, draws = conjugate(random, scale, shift)
        failed += not check_calibration(("x",), truth, draws, random).is_calibrated
    return failed / repeats


def test_calibrated_posterior_passes():
    # Seven tests at about 3 sigma: about 4 % false alarms are expected; 12 of 40 has probability below 1e-7.
    assert failing_share(1.0, 0.0) < 0.3


@pytest.mark.parametrize(("scale", "shift"), [(0.7, 0.0), (1.4, 0.0), (1.0, 0.5), (1.0, -0.5)])
def test_wrong_posterior_fails(scale, shift):
    # A power of 0.99 gives fewer than 38 failures of 40 with probability 7e-4; the real power is 1 to many digits.
    assert failing_share(scale, shift) == 1.0


def test_failures_name_quantity_and_test():
    random = np.random.default_rng(1)
    good, bad = conjugate(random), conjugate(random, scale=0.7)
    truths = np.concatenate([good[0], bad[0]], axis=1)
    draws = np.concatenate([good[1], bad[1]], axis=2)
    found = check_calibration(("good", "narrow"), truths, draws, random)
    assert not [text for text in found.failures if text.startswith("good")]
    assert any("narrow: sd of pulls" in text for text in found.failures)
    rows = found.rows()
    assert rows[0]["coverage_68"] == pytest.approx(0.68, abs=0.045)
    assert rows[1]["pull_sd"] == pytest.approx(1 / 0.7, abs=0.15)


@pytest.mark.parametrize("count", [20, 100, 1000])
def test_band_holds_uniform_samples_simultaneously(count):
    random = np.random.default_rng(3)
    band = make_ecdf_band(count, 0.99)
    inside = sum(band.contains(random.random(count)) for _ in range(2000))
    # The binomial is discrete, so the band may hold more than 99 %; 4 sd of 2000 trials are 0.9 %.
    assert 0.981 < inside / 2000 <= 1.0
    assert not band.contains(random.random(count) ** 5)


def test_band_p_value_is_uniform_and_small_for_a_wrong_sample():
    random = np.random.default_rng(4)
    band = make_ecdf_band(200)
    values = [band.p_value(random.random(200)) for _ in range(500)]
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.055)
    assert band.p_value(random.beta(2, 2, size=200)) < 1e-3


def test_ranks_break_ties_evenly():
    random = np.random.default_rng(6)
    ranks = rank_truths(np.zeros((4000, 1)), np.zeros((4000, 9, 1)), random)
    assert set(np.unique(ranks)) == set(range(10))
    uniforms = uniforms_from_ranks(ranks, 9, random)
    assert make_ecdf_band(4000).p_value(uniforms[:, 0]) > 1e-4


def test_holm_matches_hand_calculation():
    assert adjust_holm(np.array([0.5, 0.01, 0.02])).tolist() == [0.5, 0.03, 0.04]
    assert adjust_holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_binomial_numbers():
    assert 100 * binomial_tolerance(0.5, 1000) == pytest.approx(4.7, abs=0.05)
    low, high = binomial_interval(17, 20, 0.95)
    assert (low, high) == (pytest.approx(0.621, abs=1e-3), pytest.approx(0.968, abs=1e-3))
    assert binomial_interval(0, 5)[0] == 0.0
    assert binomial_interval(5, 5)[1] == 1.0
