"""Would the fitted model have produced these counts? Predictive checks for Poisson data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "CountsHistogram",
    "compare_histogram",
    "draw_replicas",
    "measure_deviance",
    "predictive_p_value",
    "randomise_pit",
    "rank_in_replicas",
]


@dataclass(frozen=True)
class CountsHistogram:
    """Number of pixels by photons: bins of ``width`` photons from each of ``counts`` (bin,) on.

    ``observed`` (bin,) and ``predicted`` (level, bin) at ``levels``.
    """

    width: int
    counts: NDArray[np.int64]
    observed: NDArray[np.int64]
    levels: tuple[float, ...]
    predicted: NDArray[np.float64]


def randomise_pit(
    counts: NDArray[np.int64], expected: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    r"""Compute the randomised probability integral transform of counts under their posterior prediction.

    .. math:: u_p = \langle F(d_p - 1 | \mu_{sp}) \rangle_s + v_p \langle P(d_p | \mu_{sp}) \rangle_s

    Parameters
    ----------
    counts : (data,), photons
    expected : (draw, data), photons; posterior draws of the mean
    random : of the uniform v_p

    Returns
    -------
    (data,), uniform on (0, 1) when the model is right

    References
    ----------
    Smith (1985), Journal of Forecasting 4, 283; Czado, Gneiting and Held (2009), Biometrics 65, 1254, section 2
    """
    total_below, total_at = np.zeros(counts.shape), np.zeros(counts.shape)
    log_factorial = special.gammaln(counts + 1.0)
    for mean in expected:
        total_below += np.where(counts > 0, special.pdtr(np.maximum(counts - 1.0, 0.0), mean), 0.0)
        total_at += np.exp(special.xlogy(counts, mean) - log_factorial - mean)
    uniform = random.random(counts.shape)
    return np.asarray((total_below + uniform * total_at) / expected.shape[0], dtype=np.float64)


def rank_in_replicas(
    counts: NDArray[np.int64], replicas: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Compute the randomised probability integral transform of counts from replicas alone, whatever their law.

    Parameters
    ----------
    counts : (data,), photons
    replicas : (draw, data), photons, one data set per posterior draw
    random : breaks ties, and spreads ranks over (0, 1)

    Returns
    -------
    (data,), uniform on (0, 1) when the model is right
    """
    below, ties = (replicas < counts).sum(axis=0), (replicas == counts).sum(axis=0)
    rank = below + random.integers(0, ties + 1)
    return np.asarray((rank + random.random(counts.shape)) / (len(replicas) + 1), dtype=np.float64)


def measure_deviance(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return the Poisson deviance 2 (d ln(d/\mu) - d + \mu) of each datum; broadcasts over leading axes."""
    return np.asarray(2.0 * (special.xlogy(counts, counts / expected) - counts + expected), dtype=np.float64)


def draw_replicas(expected: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Draw one data set per posterior draw of the mean: (draw, data) in and out, photons."""
    return random.poisson(expected).astype(np.int64)


def predictive_p_value(observed: NDArray[np.float64], replicated: NDArray[np.float64]) -> float:
    """Return the share of replicas whose statistic is at least as large as the observed one.

    Parameters
    ----------
    observed : (draw,) or (1,); the statistic of the data at each posterior draw
    replicated : (draw,); the statistic of one replica per posterior draw

    Returns
    -------
    between 1/(draws + 1) and 1

    References
    ----------
    Gelman, Meng and Stern (1996), Statistica Sinica 6, 733, eq. 5
    """
    return float((1 + np.sum(replicated >= observed)) / (replicated.size + 1))


def compare_histogram(
    counts: NDArray[np.int64],
    replicas: NDArray[np.int64],
    levels: tuple[float, ...] = (0.025, 0.16, 0.5, 0.84, 0.975),
    most_bins: int = 60,
) -> CountsHistogram:
    """Count pixels by photons, in the data (data,) and in replicas (draw, data).

    Bins are one photon wide, or as wide as it takes to stay within ``most_bins``. They reach as far as the data and
    half of the replicas; the last one holds what is brighter, such as the rare bright source of a replica.
    """
    largest = int(max(counts.max(), np.median(replicas.max(axis=1))))
    width = largest // most_bins + 1
    bins = largest // width + 1
    observed = np.bincount(counts // width, minlength=bins)
    predicted = np.stack([np.bincount(np.minimum(row // width, bins - 1), minlength=bins) for row in replicas])
    quantiles = np.quantile(predicted, np.asarray(levels), axis=0)
    return CountsHistogram(width, width * np.arange(bins), observed, levels, quantiles)
