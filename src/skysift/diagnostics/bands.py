"""Simultaneous bands for the empirical distribution of numbers that should be uniform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

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


# The binomial distribution in special functions: scipy.stats takes as long to load as a small fit to run.


def _share_below(at: NDArray[np.int64], count: int, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of at most ``at`` of ``count`` hits; -1 is allowed."""
    inside = special.betaincc(np.maximum(at, 0) + 1.0, np.maximum(count - at, 1), chance)
    return np.where(at < 0, 0.0, np.where(at >= count, 1.0, inside))


def _share_above(at: NDArray[np.int64], count: int, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of more than ``at`` of ``count`` hits; -1 is allowed."""
    return _share_below(count - 1 - at, count, 1.0 - chance)


def _quantile(share: float, count: int, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fewest hits of ``count`` that are not exceeded with at least the chance ``share``."""
    low, high = np.full(chance.shape, -1), np.full(chance.shape, count)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        enough = _share_below(middle, count, chance) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high.astype(np.float64)


def _pointwise_tail(below: NDArray[np.int64], count: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest two-sided binomial tail over the points, one per row of ``below`` (M, K)."""
    lowest = below.min(axis=0)
    reach = int((below - lowest).max()) + 2
    if reach < below.shape[0]:
        # Many rows hold the same few numbers of hits: look each up once.
        table = _share_below(lowest - 1 + np.arange(reach)[:, None], count, points[None])
        column = np.arange(points.size)
        left, right = table[below - lowest + 1, column], 1.0 - table[below - lowest, column]
    else:
        left, right = _share_below(below, count, points), _share_above(below - 1, count, points)
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
    lower = _quantile(gamma / 2 * (1 + 1e-9), count, points)
    upper = count - _quantile(gamma / 2 * (1 + 1e-9), count, 1.0 - points)
    return EcdfBand(count, probability, points, lower / count, upper / count, null)
