"""How often intervals hold the truth, and how far means lie from it, over many simulations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["LEVELS", "Pulls", "binomial_interval", "binomial_tolerance", "measure_coverage", "measure_pulls"]

LEVELS = (0.50, 0.68, 0.90, 0.95)


@dataclass(frozen=True)
class Pulls:
    """Mean and sd of z = (truth - posterior mean) / posterior sd, with their errors under calibration."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    mean_error: float
    sd_error: NDArray[np.float64]


def measure_coverage(
    truths: NDArray[np.float64], draws: NDArray[np.float64], levels: tuple[float, ...] = LEVELS
) -> NDArray[np.float64]:
    """Measure the share of central intervals that hold the truth.

    Parameters
    ----------
    truths : (simulation, quantity)
    draws : (simulation, draw, quantity)
    levels : nominal shares

    Returns
    -------
    (level, quantity), shares
    """
    tails = np.array([[(1 - level) / 2, (1 + level) / 2] for level in levels])
    # Order statistics at p (n + 1): the only rule whose expected coverage is nominal for any number of draws.
    edges = np.quantile(draws, tails.ravel(), axis=1, method="weibull").reshape(len(levels), 2, *truths.shape)
    inside = (truths >= edges[:, 0]) & (truths <= edges[:, 1])
    return np.asarray(inside.mean(axis=1), dtype=np.float64)


def binomial_tolerance(level: float, count: int, sigmas: float = 3.0) -> float:
    """Return ``sigmas`` binomial standard deviations of a coverage measured on ``count`` simulations.

    Examples
    --------
    >>> round(100 * binomial_tolerance(0.68, 1000), 1)
    4.4
    """
    return float(sigmas * np.sqrt(level * (1 - level) / count))


def binomial_interval(hits: int, count: int, probability: float = 0.68) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share: ``hits`` of ``count``."""
    tail = (1 - probability) / 2
    low = float(special.betaincinv(hits, count - hits + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return low, high


def measure_pulls(truths: NDArray[np.float64], draws: NDArray[np.float64]) -> Pulls:
    """Measure the pulls of the truth in units of the posterior sd.

    Whatever the posterior's shape, calibrated pulls have mean 0 and sd 1: given the data, truth and draws are
    exchangeable. The error of their sd follows from the kurtosis of the draws themselves.

    Parameters
    ----------
    truths : (simulation, quantity)
    draws : (simulation, draw, quantity)

    Returns
    -------
    Pulls, one value per quantity
    """
    mean, sd = draws.mean(axis=1), draws.std(axis=1, ddof=1)
    pulls = (truths - mean) / sd
    kurtosis = (((draws - mean[:, None]) / sd[:, None]) ** 4).mean(axis=(0, 1))
    count = truths.shape[0]
    sd_error = np.sqrt(np.maximum(kurtosis - 1, 0.0) / (4 * count))
    return Pulls(pulls.mean(axis=0), pulls.std(axis=0), float(1 / np.sqrt(count)), sd_error)
