"""Pareto-smoothed importance sampling: how far the weights of a proposal can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SmoothedWeights", "effective_size", "fit_pareto", "smooth_weights", "truncate_weights"]

BOUNDED = -1.0  # shape reported for weights that do not differ: a uniform tail
FURTHER = 100.0  # so many times more draws find what the error of the mean weight allows for


class SmoothedWeights(NamedTuple):
    """Importance weights after Pareto smoothing, and what they are worth.

    ``log_weights`` (n,), normalised to sum to one; ``k_hat`` shape of the tail of the raw weights; ``ess`` effective
    number of draws and ``largest`` largest weight, both of the raw weights; ``log_mean`` logarithm of the mean raw
    weight (log Z when the target is not normalised) and ``log_mean_error`` its error: the standard error, and what a
    hundred times more draws would find further out in the fitted tail, which weights without a variance do not show.
    """

    log_weights: Tensor
    k_hat: float
    ess: float
    largest: float
    log_mean: float
    log_mean_error: float


def fit_pareto(excess: Tensor) -> tuple[float, float]:
    """Fit a generalised Pareto distribution to positive excesses.

    Parameters
    ----------
    excess : (n,), sorted ascending, positive

    Returns
    -------
    shape k (positive: heavy tail; drawn towards 0.5 with the weight of ten excesses) and scale

    References
    ----------
    Zhang and Stephens (2009), Technometrics 51, 316; Vehtari et al. (2024), appendix C

    Examples
    --------
    >>> p = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    >>> shape, scale = fit_pareto((torch.expm1(-0.7 * torch.log1p(-p))) / 0.7)
    >>> round(shape, 1), round(scale, 1)
    (0.7, 1.0)
    """
    n = len(excess)
    m = 30 + math.isqrt(n)
    j = torch.arange(1, m + 1, dtype=excess.dtype, device=excess.device)
    quartile = excess[max(int(n / 4 + 0.5) - 1, 0)]
    theta = 1.0 / excess[-1] + (1.0 - torch.sqrt(m / (j - 0.5))) / (3.0 * quartile)
    shapes = torch.log1p(-theta[:, None] * excess).mean(1)
    profile = n * (torch.log(-theta / shapes) - shapes - 1.0)
    best = (torch.softmax(profile, 0) * theta).sum()
    shape = torch.log1p(-best * excess).mean()
    scale = -shape / best
    return float((shape * n + 5.0) / (n + 10.0)), float(scale)


def smooth_weights(log_ratios: Tensor) -> SmoothedWeights:
    """Smooth the largest importance weights and report their tail.

    Parameters
    ----------
    log_ratios : (n,), log target minus log proposal at draws of the proposal; -inf is a weight of zero

    Returns
    -------
    SmoothedWeights

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25(72)

    Examples
    --------
    >>> smooth_weights(torch.zeros(100)).ess
    100.0
    """
    raw = log_ratios.detach().double().nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)
    n, top = len(raw), raw.max()
    if not torch.isfinite(top):
        return SmoothedWeights(raw, math.inf, 0.0, 1.0, -math.inf, math.inf)
    weights = torch.exp(raw - top)
    total = weights.sum()
    ess = total.square() / weights.square().sum()
    k_hat, smoothed, unseen = _smooth_tail(weights)
    error = math.hypot(float(weights.std() / weights.mean()) / math.sqrt(n), math.log1p(unseen))
    return SmoothedWeights(
        log_weights=torch.log(smoothed / smoothed.sum()),
        k_hat=k_hat,
        ess=float(ess),
        largest=float(1.0 / total),
        log_mean=float(top + torch.log(total / n)),
        log_mean_error=error,
    )


def truncate_weights(log_ratios: Tensor) -> Tensor:
    r"""Return normalised log weights, (n,), none above :math:`\sqrt n` times their mean before.

    A single draw far in a tail then cannot take over; the bias vanishes as n grows.

    References
    ----------
    Ionides (2008), J. Comput. Graph. Stat. 17, 295

    Examples
    --------
    >>> weights = truncate_weights(torch.tensor([0.0] * 99 + [20.0])).exp()
    >>> round(float(weights[-1] / weights[0])) < math.exp(20.0)
    True
    """
    raw = log_ratios.detach().double().nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)
    cut = torch.logsumexp(raw, 0) - 0.5 * math.log(len(raw))
    return torch.log_softmax(torch.minimum(raw, cut), 0)


def effective_size(log_weights: Tensor) -> float:
    """Return the effective number of draws of normalised log weights, (n,)."""
    return float(torch.exp(-torch.logsumexp(2.0 * log_weights, 0)))


def _smooth_tail(weights: Tensor) -> tuple[float, Tensor, float]:
    """Return the tail's shape, the weights with expected order statistics there, and the share of weight unseen."""
    n = len(weights)
    count = min(n // 5, math.ceil(3.0 * math.sqrt(n)))
    order = torch.argsort(weights)
    tail = order[n - count :]
    cut = weights[order[n - count - 1]] if count else weights.new_zeros(())
    excess = weights[tail] - cut
    if count < 5 or float(excess[-1]) < 1e-10:
        return (BOUNDED if count >= 5 else math.inf), weights, 0.0
    excess = excess.clamp_min(float(excess[-1]) * 1e-14)
    shape, scale = fit_pareto(excess)
    p = (torch.arange(count, dtype=weights.dtype, device=weights.device) + 0.5) / count
    log_survival = torch.log1p(-p)
    quantiles = -log_survival if abs(shape) < 1e-8 else torch.expm1(-shape * log_survival) / shape
    smoothed = weights.clone()
    smoothed[tail] = (cut + scale * quantiles).clamp_max(float(weights.max()))
    unseen = count * scale * _mean_excess(shape, 1.0 / (FURTHER * count)) - float(excess.sum())
    return shape, smoothed, max(0.0, unseen / float(weights.sum()))


def _mean_excess(shape: float, rest: float) -> float:
    r"""Return :math:`\int_\epsilon^1 (p^{-k} - 1) / k \, dp`: the mean of a Pareto of scale one, its last share cut."""
    if abs(shape) < 1e-8:
        return 1.0 - rest + rest * math.log(rest)
    slope = 1.0 - shape
    power = -math.log(rest) if abs(slope) < 1e-8 else -math.expm1(slope * math.log(rest)) / slope
    return (power - 1.0 + rest) / shape
