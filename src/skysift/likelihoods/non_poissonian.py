"""The likelihood of counts from smooth emission and from populations of sources too faint to resolve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["PixelCounts", "non_poissonian_log_likelihood", "smooth_derivatives"]

#: Rows are scaled down when they pass this; one row in so many is looked at.
_LARGE, _LOOK = 1e100, 8
#: Smaller than this, a probability may have lost digits on its way: it is found again with tilted counts.
_SMALL = 1e-250
_MOST_NEWTON = 200
#: Pixels of no more counts are one part.
_FEW = 8


class PixelCounts:
    """Counts of pixels in the order in which the recursion visits them: the largest first, in parts of like counts.

    Parameters
    ----------
    counts : (pixel,), whole numbers
    weights : (pixel, population), sources of each population per unit of its coefficients
    """

    def __init__(self, counts: Tensor, weights: Tensor) -> None:
        self.order = torch.argsort(counts, descending=True, stable=True)
        self.counts = counts[self.order].to(torch.int64)
        self.weights = weights[self.order].to(torch.float64)
        self.back = torch.argsort(self.order)
        self.largest = int(self.counts[0]) if len(counts) else 0
        self.parts = list(self._divide())

    @property
    def table_size(self) -> int:
        """How many probabilities the tables hold."""
        return sum((part.largest + 1) * len(part.counts) for _, part in self.parts)

    def _divide(self) -> Iterator[tuple[slice, _Part]]:
        """Yield parts within a factor of two in counts: tables are as long as the largest count of their part."""
        start, top = 0, self.largest
        while start < len(self.counts):
            stop = len(self.counts) if top <= _FEW else int((self.counts > top // 2).sum())
            if stop > start:
                place = slice(start, stop)
                yield place, _Part(self.counts[place], self.weights[place])
            start, top = stop, top // 2


class _Part:
    """Pixels in falling order of their counts, and how many of them have at least so many counts."""

    def __init__(self, counts: Tensor, weights: Tensor) -> None:
        self.counts, self.weights = counts, weights
        self.largest = int(counts[0])
        self.active = [int((counts >= k).sum()) for k in range(self.largest + 1)]


def non_poissonian_log_likelihood(pixels: PixelCounts, smooth: Tensor, means: Tensor, totals: Tensor) -> Tensor:
    r"""Return the log probability of each pixel's counts.

    .. math:: \ln P_p(t) = \mu_p (t - 1) + \sum_{m \ge 1} x_{pm} (t^m - 1), \qquad
              p_k = \text{coefficient of } t^k, \quad x_{pm} = \sum_r T_{pr} c_{rm}

    by the recursion :math:`k p_k = \sum_{j=1}^k j g_j p_{k-j}`, with g = x and :math:`g_1 = \mu + x_1`. Gradients are
    closed forms of the same table: :math:`\partial \ln p_k / \partial x_j = p_{k-j} / p_k`.

    Parameters
    ----------
    pixels : counts d and weights T
    smooth : (batch, pixel), expected counts :math:`\mu` of smooth emission
    means : (batch, population, m), coefficients c for m = 1, 2, ..., at least as many as the largest count
    totals : (batch, population), their sum X over all m

    Returns
    -------
    (batch, pixel), -inf where counts are impossible

    References
    ----------
    Malyshev and Hogg (2011), ApJ 738, 181; Lee et al. (2016), PRL 116, 051103; Mishra-Sharma, Rodd and Safdi (2017),
    AJ 153, 253
    """
    inputs = smooth[:, pixels.order], means[:, :, : pixels.largest], totals, pixels
    found: Tensor = _LogProbability.apply(*inputs)  # type: ignore[no-untyped-call]
    return found[:, pixels.back]


def smooth_derivatives(
    pixels: PixelCounts, smooth: Tensor, means: Tensor, totals: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return each pixel's log probability and its first two derivatives in the smooth emission.

    .. math:: \partial \ln p_k / \partial \mu = p_{k-1}/p_k - 1, \qquad
              \partial^2 \ln p_k / \partial \mu^2 = p_{k-2}/p_k - (p_{k-1}/p_k)^2

    Parameters
    ----------
    pixels : counts and weights
    smooth : (pixel,), expected counts of smooth emission
    means : (population, m), coefficients
    totals : (population,), their sum over all m

    Returns
    -------
    three of (pixel,)
    """
    own, parts = smooth[None, pixels.order], []
    for place, part in pixels.parts:
        solved = _solve(part, own[:, place], means[None, :, : part.largest], totals[None])
        ratios = torch.cat((_ratios(part, solved)[0], own.new_zeros(2, len(part.counts))))
        parts.append(torch.stack((solved.value[0], ratios[0] - 1, ratios[1] - ratios[0] ** 2)))
    value, once, twice = torch.cat(parts, 1)[:, pixels.back]
    return value, once, twice


class _Solved(NamedTuple):
    """Log probability, its table (batch, k, pixel), the entry at each count and its tilt, (batch, pixel) each."""

    value: Tensor
    table: Tensor
    last: Tensor
    tilted: Tensor


class _LogProbability(torch.autograd.Function):
    """Log probabilities of sorted pixels, and their gradients from the tables of the recursion."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, means: Tensor, totals: Tensor, pixels: PixelCounts) -> Tensor:  # noqa: ANN401 - torch's own
        found, ratios = [smooth.new_zeros(len(smooth), 0)], []
        for place, part in pixels.parts:
            solved = _solve(part, smooth[:, place], means[:, :, : part.largest], totals)
            found.append(solved.value)
            if any(ctx.needs_input_grad):
                ratios.append(_ratios(part, solved))
        ctx.pixels, ctx.length = pixels, means.shape[2]
        ctx.save_for_backward(*ratios)
        return torch.cat(found, 1)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's own
        (above,) = upstream
        smooth = -above
        of_means = above.new_zeros(len(above), ctx.pixels.weights.shape[1], ctx.length)
        for (place, part), ratios in zip(ctx.pixels.parts, ctx.saved_tensors, strict=True):
            if part.largest:
                # (batch, m, pixel) x (batch, pixel): derivatives in x
                weighted = ratios * above[:, None, place]
                smooth[:, place] += weighted[:, 0]
                of_means[:, :, : part.largest] += (weighted @ part.weights).transpose(1, 2)
        return smooth, of_means, -(above @ ctx.pixels.weights), None


def _solve(part: _Part, smooth: Tensor, means: Tensor, totals: Tensor) -> _Solved:
    """Return the log probability of sorted pixels and the table that it comes from."""
    table, log_scale = _recur(part, smooth, means)
    last = table.gather(1, part.counts.expand(len(table), 1, -1))[:, 0]
    tilted = _retry(part, smooth, means, table, log_scale, last)
    value = last.log() + log_scale + tilted - smooth - totals @ part.weights.T
    return _Solved(value, table, last, tilted)


def _recur(pixels: _Part, smooth: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Return p_k / p_0 (batch, k, pixel) of sorted pixels, and the logarithm of what each pixel's were divided by."""
    largest = pixels.largest
    table = smooth.new_zeros(len(smooth), largest + 1, smooth.shape[1])
    table[:, 0] = 1.0
    log_scale = torch.zeros_like(smooth)
    numbers = torch.arange(1, largest + 1, dtype=smooth.dtype, device=smooth.device)
    # j c_j with the last first, so that a slice of it meets p_0, p_1, ...
    turned = (means * numbers).flip(2)
    weights = pixels.weights.T.contiguous()
    for k in range(1, largest + 1):
        n = pixels.active[k]
        row = (weights[:, :n] * (turned[:, :, largest - k :] @ table[:, :k, :n])).sum(1)
        row = row.addcmul_(smooth[:, :n], table[:, k - 1, :n]).div_(k)
        table[:, k, :n] = row
        if k % _LOOK == 0 and float(row.max()) > _LARGE:
            large = torch.where(row > _LARGE, row, 1.0)
            table[:, : k + 1, :n] /= large[:, None]
            log_scale[:, :n] += large.log()
    return table, log_scale


def _ratios(pixels: _Part, solved: _Solved) -> Tensor:
    """Return p_{d-j} / p_d (batch, j, pixel) for j = 1, 2, ..., zero where j is above d or counts are impossible."""
    numbers = torch.arange(1, pixels.largest + 1, device=solved.table.device)[:, None]
    place = pixels.counts - numbers
    table, last, tilted = solved.table, solved.last, solved.tilted
    ratios = table.gather(1, place.clamp(min=0).expand(len(table), -1, -1))
    ratios *= torch.where(last > 0, 1.0 / last, 0.0)[:, None]
    ratios *= place >= 0
    if tilted.any():
        log_tilt = torch.where(pixels.counts > 0, tilted / pixels.counts.clamp(min=1), 0.0)
        # p_k = q_k exp(k s), so that ratios have exp(-j s)
        ratios = ratios * torch.exp((-numbers * log_tilt[:, None]).clamp(max=600.0))
    return ratios


def _retry(pixels: _Part, smooth: Tensor, means: Tensor, table: Tensor, log_scale: Tensor, last: Tensor) -> Tensor:
    r"""Compute again, in their places, pixels whose probability is too small for plain numbers.

    With :math:`g_j = \tilde g_j e^{j s}` the recursion gives :math:`p_k = \tilde p_k e^{k s}`; s is such that the mean
    :math:`\sum_j j \tilde g_j` is the pixel's count, where nothing overflows or vanishes.

    Returns
    -------
    (batch, pixel), d s, zero elsewhere
    """
    shift = torch.zeros_like(last)
    for one, pixel in torch.nonzero((last < _SMALL) & (pixels.counts > 0)).tolist():
        count = int(pixels.counts[pixel])
        terms = pixels.weights[pixel] @ means[one, :, :count]
        terms = torch.cat((terms[:1] + smooth[one, pixel], terms[1:]))
        if not bool((terms > 0).any()):
            last[one, pixel] = 0.0
            continue
        log_terms = torch.where(terms > 0, terms, 0.0).log()
        slope = _find_tilt(log_terms, count)
        numbers = torch.arange(1, count + 1, dtype=terms.dtype, device=terms.device)
        own = _Part(pixels.counts[pixel : pixel + 1], terms.new_ones(1, 1))
        column, scale = _recur(own, terms.new_zeros(1, 1), (log_terms - numbers * slope).exp()[None, None])
        table[one, : count + 1, pixel] = column[0, :, 0]
        last[one, pixel] = column[0, count, 0]
        log_scale[one, pixel] = scale[0, 0]
        shift[one, pixel] = count * slope
    return shift


def _find_tilt(log_terms: Tensor, count: int) -> float:
    """Return the s for which sum j g_j exp(-j s) is the count: Newton's steps on its logarithm, which is convex."""
    numbers = torch.arange(1, len(log_terms) + 1, dtype=log_terms.dtype, device=log_terms.device)
    wanted = math.log(count)
    logs = log_terms + numbers.log()
    # a bound from below: there one term alone is the count, so that Newton's steps climb from one side
    slope = float(((logs - wanted) / numbers).max())
    for _ in range(_MOST_NEWTON):
        tilted = logs - numbers * slope
        total = torch.logsumexp(tilted, 0)
        mean = float((torch.softmax(tilted, 0) * numbers).sum())
        step = float(total - wanted) / mean
        slope += step
        if abs(step) * count < 1e-6:
            break
    return slope
