"""Coverage of joint regions (TARP): what marginal ranks cannot see, and the power of the whole verdict.

Controls: widths times 0.7, means moved by half an sd, one of two modes dropped, correlations dropped. Each is tried 20
times on 1000 simulations, more often and by `make test-all`.
"""

import numpy as np
import pytest

from skysift.diagnostics.calibration import check_calibration
from skysift.diagnostics.tarp import LEVELS, measure_joint_coverage

DRAWS = 100


def gaussian(random, count, scale=1.0, shift=0.0, correlation=0.9, correlated=True):
    """Truth and draws of one Gaussian each, (count, 2) and (count, DRAWS, 2); the marginals are right by default."""
    factor = np.linalg.cholesky(np.array([[1.0, correlation], [correlation, 1.0]]))
    centre = random.normal(size=(count, 1, 2))
    truth = centre + random.normal(size=(count, 1, 2)) @ factor.T
    noise = random.normal(size=(count, DRAWS, 2))
    return truth[:, 0], centre + shift + scale * (noise @ factor.T if correlated else noise)


def two_modes(random, count, share=0.3, kept=2):
    """Truth and draws from two modes, the higher one with a share of the mass; ``kept`` 1 forgets the lower one."""
    centre = random.normal(size=(count, 1, 1))
    truth = np.where(random.random((count, 1, 1)) < share, 3.0, -3.0)
    mode = np.where(random.random((count, DRAWS, 1)) < share, 3.0, -3.0) if kept == 2 else 3.0
    return (centre + truth + random.normal(size=(count, 1, 1)))[:, 0], centre + mode + random.normal(
        size=(count, DRAWS, 1)
    )


SOUND = {"gaussian": gaussian, "two modes": two_modes}
WRONG = {
    "sd x 0.7": lambda random, count: gaussian(random, count, scale=0.7),
    "mean + 0.5 sd": lambda random, count: gaussian(random, count, shift=0.5),
    "a mode dropped": lambda random, count: two_modes(random, count, kept=1),
    "the larger mode": lambda random, count: two_modes(random, count, share=0.7, kept=1),
    "correlations dropped": lambda random, count: gaussian(random, count, correlated=False),
}


def judged(make, repeats, count=1000):
    """Return verdicts of the whole check, True where calibrated."""
    random = np.random.default_rng(11)
    names = ("a", "b")
    found = []
    for _ in range(repeats):
        truths, draws = make(random, count)
        found.append(check_calibration(names[: truths.shape[1]], truths, draws, random))
    return found


@pytest.mark.parametrize("count", [50, 1000])
@pytest.mark.parametrize("name", SOUND)
def test_right_posteriors_stay_inside_the_band(name, count, seed):
    # one in a hundred may leave it: more than 12 of 200 have a probability below 1e-6, more than 7 of 40 below 1e-8
    random = np.random.default_rng(seed)
    repeats, most = (200, 12) if count < 100 else (40, 7)
    outside = sum(not measure_joint_coverage(*SOUND[name](random, count), random).is_inside for _ in range(repeats))
    assert outside <= most


@pytest.mark.parametrize("name", WRONG)
def test_wrong_posteriors_are_seen_at_a_thousand_simulations(name):
    assert not any(found.is_calibrated for found in judged(WRONG[name], 20))


@pytest.mark.slow
@pytest.mark.statistics
@pytest.mark.parametrize("name", WRONG)
def test_the_power_is_above_99_percent(name):
    # a power of 0.99 has no miss in 500 with a probability of 0.7 %
    assert not any(found.is_calibrated for found in judged(WRONG[name], 500))


def test_lost_correlations_leave_the_marginals_right():
    random = np.random.default_rng(3)
    truths, draws = WRONG["correlations dropped"](random, 1000)
    found = check_calibration(("a", "b"), truths, draws, random)
    assert [text.split(":")[0] for text in found.failures] == ["joint"]
    assert found.rows()[-1] == {"quantity": "joint", "n": 1000, "inside_band": False}


def test_narrow_posteriors_hold_the_truth_too_seldom():
    random = np.random.default_rng(4)
    found = measure_joint_coverage(*WRONG["sd x 0.7"](random, 1000), random)
    assert (found.coverage < LEVELS).all()
    assert found.worst[1] < found.worst[0]


def test_the_log_density_is_no_coordinate():
    random = np.random.default_rng(5)
    truths, draws = gaussian(random, 200)
    alone = check_calibration(("a",), truths[:, :1], draws[:, :, :1], np.random.default_rng(1)).joint
    both = check_calibration(("a", "log_density"), truths, draws, np.random.default_rng(1)).joint
    assert np.ptp(alone.coverage - both.coverage) < 0.2
    wrong = draws + np.array([0.0, 9.0])
    assert check_calibration(("a", "log_density"), truths, wrong, np.random.default_rng(1)).joint.is_inside


def test_equal_numbers_are_ranked_at_random():
    random = np.random.default_rng(6)
    found = measure_joint_coverage(np.zeros((1000, 2)), np.zeros((1000, DRAWS, 2)), random)
    assert found.is_inside
