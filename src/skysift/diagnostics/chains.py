"""How many independent draws some chains are worth, and whether they agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["bulk_ess", "rank_normalise", "split_chains", "split_r_hat"]


def split_chains(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut each chain in two halves: (chain, draw) to (2 chains, draw // 2)."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def rank_normalise(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace draws by the normal scores of their pooled ranks (Vehtari et al. 2021, eq. 14)."""
    _, number, count = np.unique(draws, return_inverse=True, return_counts=True)
    # Equal draws share the mean of their ranks.
    ranks = (np.cumsum(count) - 0.5 * (count - 1))[number].reshape(draws.shape)
    return np.asarray(special.ndtri((ranks - 0.375) / (draws.size + 0.25)), dtype=np.float64)


def _r_hat(draws: NDArray[np.float64]) -> float:
    count = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean()
    between = count * draws.mean(axis=1).var(ddof=1)
    if within <= 0:
        return float("nan")
    return float(np.sqrt((between / within + count - 1) / count))


def split_r_hat(draws: NDArray[np.float64]) -> float:
    """Return the larger of bulk and tail rank-normalised split R-hat.

    Parameters
    ----------
    draws : (chain, draw); one chain is compared with itself, half by half

    Returns
    -------
    near 1 when chains agree; nan for fewer than four draws per chain or draws without spread

    References
    ----------
    Vehtari et al. (2021), Bayesian Analysis 16, 667, section 4
    """
    if draws.shape[1] < 4 or np.ptp(draws) == 0:
        return float("nan")
    halves = split_chains(draws)
    folded = np.abs(halves - np.median(halves))
    return float(np.nanmax([_r_hat(rank_normalise(halves)), _r_hat(rank_normalise(folded))]))


def _autocovariance(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the autocovariance of each row at every lag, by FFT; (chain, draw)."""
    count = draws.shape[1]
    centred = draws - draws.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * count, axis=1)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :count] / count, dtype=np.float64)


def bulk_ess(draws: NDArray[np.float64]) -> float:
    """Return the bulk effective sample size of all chains together.

    Parameters
    ----------
    draws : (chain, draw)

    Returns
    -------
    draws of an independent sample with as precise a mean of ranks; nan for fewer than four draws per chain

    References
    ----------
    Vehtari et al. (2021), Bayesian Analysis 16, 667, section 3.2; Geyer (1992), Statistical Science 7, 473
    """
    if draws.shape[1] < 4 or np.ptp(draws) == 0:
        return float("nan")
    scores = rank_normalise(split_chains(draws))
    chains, count = scores.shape
    covariance = _autocovariance(scores)
    within = float(covariance[:, 0].mean()) * count / (count - 1)
    total = within * (count - 1) / count + float(scores.mean(axis=1).var(ddof=1))
    correlation = 1 - (within - covariance.mean(axis=0)) / total
    correlation[0] = 1.0
    pairs = correlation[: 2 * (count // 2)].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs < 0)) if np.any(pairs < 0) else pairs.size
    # The sums of neighbouring lags of a reversible chain decrease: noise that says otherwise is cut off.
    monotone = np.minimum.accumulate(pairs[:stop])
    time = max(-1 + 2 * float(monotone.sum()), 1 / np.log10(chains * count))
    return float(chains * count / time)
