"""Simulation-based calibration: ranks of the truth among posterior draws, and tests of their uniformity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["adjust_holm", "measure_uniformity", "rank_truths", "uniforms_from_ranks"]

MANY = 100


def rank_truths(
    truths: NDArray[np.float64], draws: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Rank each truth among its own posterior draws; ties are broken at random.

    Parameters
    ----------
    truths : (simulation, quantity)
    draws : (simulation, draw, quantity); draws should be thinned to be nearly independent
    random : breaks ties

    Returns
    -------
    (simulation, quantity), integers from 0 to the number of draws

    References
    ----------
    Talts et al. (2018), arXiv 1804.06788, algorithm 1
    """
    less = (draws < truths[:, None]).sum(axis=1)
    ties = (draws == truths[:, None]).sum(axis=1)
    return np.asarray(less + random.integers(0, ties + 1), dtype=np.int64)


def uniforms_from_ranks(
    ranks: NDArray[np.int64], draws_per_rank: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Spread integer ranks evenly over (0, 1), so that right ranks become exactly uniform numbers."""
    return np.asarray((ranks + random.random(ranks.shape)) / (draws_per_rank + 1.0), dtype=np.float64)


def measure_uniformity(uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Kolmogorov-Smirnov p-value of each column of ``uniforms`` (simulation, quantity).

    Exact below `MANY` simulations; from there on the limit with its first corrections, right to 0.0002.

    References
    ----------
    Vrbik (2018), Pioneer Journal of Theoretical and Applied Statistics 15, 15
    """
    count = uniforms.shape[0]
    ranked, steps = np.sort(uniforms, axis=0), np.arange(count + 1.0)[:, None] / count
    distance = np.maximum(steps[1:] - ranked, ranked - steps[:-1]).max(axis=0)
    if count < MANY:
        from scipy import stats

        return np.asarray(stats.kstwo.sf(distance, count), dtype=np.float64)
    root = np.sqrt(count)
    scaled = root * distance
    return np.asarray(special.kolmogorov(scaled + 1 / (6 * root) + (scaled - 1) / (4 * count)), dtype=np.float64)


def adjust_holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values for their number by Holm's step-down rule.

    Parameters
    ----------
    p_values : (quantity,)

    Returns
    -------
    (quantity,), never below the given value, at most 1

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65

    Examples
    --------
    >>> adjust_holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    factors = np.arange(p_values.size, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return np.asarray(adjusted, dtype=np.float64)
