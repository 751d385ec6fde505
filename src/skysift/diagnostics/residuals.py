"""What a fit leaves behind: significance per pixel, and structure between pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Autocorrelation",
    "PairBins",
    "Smoother",
    "bin_pairs",
    "compare_autocorrelation",
    "correlate",
    "make_smoother",
    "measure_significance",
]


@dataclass(frozen=True)
class PairBins:
    """Sums over pixel pairs by separation: sparse (pixel, pixel) matrices, and ``edges_deg`` (bin + 1,)."""

    edges_deg: NDArray[np.float64]
    pairs: tuple[int, ...]
    matrices: tuple[Any, ...]


@dataclass(frozen=True)
class Autocorrelation:
    """Mean product of standardised residuals by separation, with the 95 % range of replicas, (bin,)."""

    edges_deg: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: float


def measure_significance(
    counts: NDArray[np.int64] | NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (counts - expected) / sqrt(expected); 0 where nothing is expected and nothing seen."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = (counts - expected) / np.sqrt(expected)
    return np.asarray(np.where((expected == 0) & (counts == 0), 0.0, sigma), dtype=np.float64)


def bin_pairs(directions: NDArray[np.float64], edges_deg: NDArray[np.float64]) -> PairBins:
    """Sort all pairs of pixels nearer than the last edge into bins of separation.

    Parameters
    ----------
    directions : (pixel, 3), unit vectors
    edges_deg : (bin + 1,), increasing, first edge > 0 excludes a pixel from pairing with itself

    Returns
    -------
    PairBins
    """
    from scipy.sparse import coo_matrix
    from scipy.spatial import cKDTree

    chords = 2 * np.sin(np.radians(edges_deg) / 2)
    first, second = cKDTree(directions).query_pairs(chords[-1], output_type="ndarray").T
    separation = np.linalg.norm(directions[first] - directions[second], axis=1)
    bins = np.digitize(separation, chords) - 1
    size = directions.shape[0]
    matrices, pairs = [], []
    for k in range(edges_deg.size - 1):
        chosen = bins == k
        ones = np.ones(int(chosen.sum()))
        matrices.append(coo_matrix((ones, (first[chosen], second[chosen])), shape=(size, size)).tocsr())
        pairs.append(int(chosen.sum()))
    return PairBins(np.asarray(edges_deg, dtype=np.float64), tuple(pairs), tuple(matrices))


def correlate(residuals: NDArray[np.float64], bins: PairBins) -> NDArray[np.float64]:
    """Return the mean product over pairs, (row, bin), of residuals (row, pixel) about their row mean."""
    centred = residuals - residuals.mean(axis=1, keepdims=True)
    columns = [
        np.einsum("rp,pr->r", centred, matrix @ centred.T) / max(pairs, 1)
        for matrix, pairs in zip(bins.matrices, bins.pairs, strict=True)
    ]
    return np.stack(columns, axis=1)


def compare_autocorrelation(
    observed: NDArray[np.float64], replicated: NDArray[np.float64], bins: PairBins
) -> Autocorrelation:
    """Compare the autocorrelation of residuals with that of replicas of the same fit.

    The statistic is the sum over bins of squared standard scores, with mean and sd taken from the replicas.

    Parameters
    ----------
    observed : (draw or 1, pixel), sigma; residuals of the data about each posterior draw of the mean
    replicated : (draw, pixel), sigma; residuals of one replica per draw about the same mean

    Returns
    -------
    Autocorrelation; ``p_value`` is the share of replicas with at least as much structure
    """
    data, copies = correlate(observed, bins), correlate(replicated, bins)
    mean, sd = copies.mean(axis=0), copies.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    statistic = np.sum(((data - mean) / sd) ** 2, axis=1)
    null = np.sum(((copies - mean) / sd) ** 2, axis=1)
    p_value = float((1 + np.sum(null >= statistic)) / (null.size + 1))
    low, high = np.quantile(copies, [0.025, 0.975], axis=0)
    return Autocorrelation(bins.edges_deg, data.mean(axis=0), low, high, p_value)


@dataclass(frozen=True)
class Smoother:
    """Gaussian weights between near pixels: a sparse (pixel, pixel) matrix, and its width in degrees."""

    sigma_deg: float
    weights: Any

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted mean of ``values`` (pixel,) around each pixel."""
        return np.asarray((self.weights @ values) / (self.weights @ np.ones(values.shape)), dtype=np.float64)

    def significance(self, counts: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smoothed excess over its Poisson sd, (pixel,): sum w (d - mu) / sqrt(sum w^2 mu)."""
        noise = np.sqrt(self.weights.power(2) @ expected)
        excess = self.weights @ (counts - expected)
        return np.asarray(np.divide(excess, noise, out=np.zeros_like(noise), where=noise > 0), dtype=np.float64)


def make_smoother(directions: NDArray[np.float64], sigma_deg: float) -> Smoother:
    """Make Gaussian weights of width ``sigma_deg``, cut at three widths, between unit vectors (pixel, 3)."""
    from scipy.sparse import coo_matrix, identity
    from scipy.spatial import cKDTree

    sigma = np.radians(sigma_deg)
    first, second = cKDTree(directions).query_pairs(2 * np.sin(1.5 * sigma), output_type="ndarray").T
    separation = np.linalg.norm(directions[first] - directions[second], axis=1)
    size = directions.shape[0]
    upper = coo_matrix((np.exp(-0.5 * (separation / sigma) ** 2), (first, second)), shape=(size, size)).tocsr()
    return Smoother(sigma_deg, upper + upper.T + identity(size, format="csr"))
