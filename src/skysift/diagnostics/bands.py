"""Simultaneous bands for the empirical distribution of numbers that should be uniform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["EcdfBand", "count_below", "make_ecdf_band"]

SIMULATIONS = 20_000


@dataclass(frozen=True)
class EcdfBand:
    """Band that holds the whole empirical distribution of ``count`` uniform numbers with ``probability``.

    ``points`` (K,): where the distribution is evaluated; ``lower`` and ``upper`` (K,): shares;
    ``null`` (simulations,): sorted values of the test statistic for uniform numbers.
    """

    count: int
    probability: float
    points: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    null: NDArray[np.float64]

    def contains(self, uniforms: NDArray[np.float64]) -> bool:
        """Return whether the empirical distribution of ``uniforms`` (count,) stays inside everywhere."""
        share = count_below(uniforms, self.points) / self.count
        return bool(np.all((share >= self.lower) & (share <= self.upper)))

    def p_value(self, uniforms: NDArray[np.float64]) -> float:
        """Return the share of uniform samples whose distribution strays at least as far."""
        statistic = _pointwise_tail(count_below(uniforms, self.points)[None], self.count, self.points)[0]
        rank = int(np.searchsorted(self.null, statistic * (1 + 1e-9), side="right"))
        return (rank + 1) / (self.null.size + 1)


def count_below(uniforms: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the members of ``uniforms`` (N,) at or below each of ``points`` (K,)."""
    return np.searchsorted(np.sort(uniforms), points, side="right").astype(np.int64)


def _pointwise_tail(below: NDArray[np.int64], count: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest two-sided binomial tail over the points, one per row of ``below`` (M, K)."""
    if count * points.size < below.size:
        table = stats.binom.cdf(np.arange(-1, count + 1)[:, None], count, points[None])
        column = np.arange(points.size)
        left, right = table[below + 1, column], 1.0 - table[below, column]
    else:
        left, right = stats.binom.cdf(below, count, points), stats.binom.sf(below - 1, count, points)
    return np.asarray(2.0 * np.minimum(left, right).min(axis=1), dtype=np.float64)


@lru_cache(maxsize=32)
def make_ecdf_band(count: int, probability: float = 0.99, bins: int | None = None, seed: int = 0) -> EcdfBand:
    """Make the simultaneous band for ``count`` independent uniform numbers by simulation.

    Parameters
    ----------
    count : numbers in the sample
    probability : chance that the whole distribution of a uniform sample stays inside
    bins : points of evaluation plus one; default: the smaller of ``count`` and 100
    seed : of the simulation that fixes the width

    Returns
    -------
    EcdfBand; the same for the same arguments

    References
    ----------
    Säilynoja, Bürkner and Vehtari (2022), Statistics and Computing 32, 32, section 2.2

    Examples
    --------
    >>> band = make_ecdf_band(50)
    >>> band.contains((np.arange(50) + 0.5) / 50)
    True
    >>> band.contains((np.arange(50) + 0.5) / 100)
    False
    """
    bins = bins or max(2, min(count, 100))
    points = np.arange(1, bins) / bins
    random = np.random.Generator(np.random.PCG64(seed))
    below = np.cumsum(random.multinomial(count, np.full(bins, 1.0 / bins), size=SIMULATIONS), axis=1)[:, :-1]
    null = np.sort(_pointwise_tail(below, count, points))
    gamma = float(np.quantile(null, 1.0 - probability, method="lower"))
    # A sample is inside when its smallest tail exceeds gamma; binomial quantiles state the same in counts.
    lower = stats.binom.ppf(gamma / 2 * (1 + 1e-9), count, points)
    upper = stats.binom.isf(gamma / 2 * (1 + 1e-9), count, points)
    return EcdfBand(count, probability, points, lower / count, upper / count, null)
