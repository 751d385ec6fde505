"""Pareto k-hat against weights of known tails."""

import math

import pytest
import torch

from skysift.inference.psis import effective_size, smooth_weights, truncate_weights


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.7, 1.0])
def test_shape_of_a_known_tail(shape, seed):
    u = torch.rand(100_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = smooth_weights(-shape * torch.log(u)).k_hat
    # sd of the estimator from 950 excesses is (1 + k) / sqrt(950)
    assert abs(found - shape) < 5.0 * (1.0 + shape) / math.sqrt(950) + 0.02


def test_light_tails_and_equal_weights(seed):
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert smooth_weights(0.1 * noise).k_hat < 0.3
    equal = smooth_weights(torch.full((1000,), 3.0, dtype=torch.float64))
    assert equal.k_hat == -1.0
    assert equal.ess == pytest.approx(1000)
    assert equal.log_mean == pytest.approx(3.0)


def test_mean_weight_is_the_evidence(seed):
    """N(0, 1) weighed for 5 N(0, 0.8): log Z = log 5."""
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    log_ratio = math.log(5.0) - 0.5 * (x / 0.8) ** 2 - math.log(0.8) + 0.5 * x**2
    found = smooth_weights(log_ratio)
    assert abs(found.log_mean - math.log(5.0)) < 5 * found.log_mean_error
    assert found.log_mean_error < 0.02
    smoothed = torch.exp(found.log_weights)
    assert float(smoothed.sum()) == pytest.approx(1.0)
    assert float((smoothed * x**2).sum()) == pytest.approx(0.64, abs=0.05)


@pytest.mark.parametrize("shape", [0.2, 0.8])
def test_the_error_allows_for_the_tail_that_draws_have_not_seen(shape, seed):
    """Pareto weights of mean 1 / (1 - k): without a variance, three standard errors miss it half of the time."""
    generator = torch.Generator().manual_seed(seed)
    told, plain = 0, 0
    for _ in range(100):
        raw = -shape * torch.log(torch.rand(4000, generator=generator, dtype=torch.float64))
        found, weights = smooth_weights(raw), raw.exp()
        gap = abs(found.log_mean + math.log(1.0 - shape))
        told += gap < 3.0 * found.log_mean_error
        plain += gap < 3.0 * float(weights.std() / weights.mean()) / math.sqrt(4000)
    # five errors of a binomial below what is expected
    assert told >= (93 if shape < 0.5 else 70)
    if shape < 0.5:
        assert found.log_mean_error < 1.1 * float(weights.std() / weights.mean()) / math.sqrt(4000)
    else:
        assert plain < told


def test_impossible_draws_weigh_nothing():
    log_ratio = torch.zeros(1000, dtype=torch.float64)
    log_ratio[::2] = -torch.inf
    log_ratio[1] = torch.nan
    found = smooth_weights(log_ratio)
    assert found.log_mean == pytest.approx(math.log(0.499))
    assert smooth_weights(torch.full((10,), -torch.inf, dtype=torch.float64)).k_hat == math.inf


def test_smoothing_never_exceeds_the_largest_weight(seed):
    u = torch.rand(5000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    raw = -1.2 * torch.log(u)
    found = smooth_weights(raw)
    # relative to the smallest weight, which is not smoothed
    assert float(found.log_weights.max() - found.log_weights.min()) <= float(raw.max() - raw.min()) + 1e-9
    assert found.k_hat > 0.7


def test_truncated_weights_hold_back_a_single_draw_and_keep_the_mean(seed):
    raw = 0.5 * torch.randn(10_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kept = truncate_weights(raw)
    assert torch.allclose(kept, torch.log_softmax(raw, 0))
    raw[7] = 20.0
    assert effective_size(torch.log_softmax(raw, 0)) < 2.0
    cut = truncate_weights(raw)
    # below a hundred times the mean before, which that draw makes itself: half of all is left to the others
    assert float(cut.exp().sum()) == pytest.approx(1.0)
    assert float(cut[7].exp()) < 0.999
    assert effective_size(cut) > effective_size(torch.log_softmax(raw, 0))
    assert torch.isfinite(truncate_weights(torch.tensor([0.0, -math.inf, math.nan]))).tolist() == [True, False, False]
