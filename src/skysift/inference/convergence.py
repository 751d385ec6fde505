"""Whether chains agree: rank-normalised split R-hat, bulk and tail effective sample size, E-BFMI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

__all__ = ["bulk_ess", "e_bfmi", "effective_size", "r_hat", "tail_ess"]


def r_hat(draws: Numbers) -> Numbers:
    """Return the larger of the split R-hats of rank-normalised draws and of their folded ranks.

    Parameters
    ----------
    draws : (chain, draw, parameter), at least four draws

    Returns
    -------
    (parameter,); NaN where a parameter never moves

    References
    ----------
    Vehtari et al. 2021, Bayesian Analysis 16, 667, eq. 4 and section 3
    """
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    result: Numbers = np.maximum(_plain_r_hat(_normalise(halves)), _plain_r_hat(_normalise(folded)))
    return result


def bulk_ess(draws: Numbers) -> Numbers:
    """Return the effective sample size of rank-normalised split chains, (chain, draw, parameter) to (parameter,)."""
    return effective_size(_normalise(_split(draws)))


def tail_ess(draws: Numbers) -> Numbers:
    """Return the smaller effective size of the 5 % and 95 % quantiles, (chain, draw, parameter) to (parameter,)."""
    halves = _split(draws)
    low, high = np.quantile(halves, [0.05, 0.95], axis=(0, 1))
    return np.minimum(effective_size((halves <= low).astype(float)), effective_size((halves <= high).astype(float)))


def effective_size(draws: Numbers) -> Numbers:
    """Return the effective sample size of chains as they are.

    Autocorrelations of all chains are pooled with the variance between them, and summed over Geyer's initial monotone
    sequence. Antithetic chains may exceed their length, up to log10 of it times.

    Parameters
    ----------
    draws : (chain, draw, parameter)

    Returns
    -------
    (parameter,); NaN where a parameter never moves

    References
    ----------
    Geyer 1992, Statistical Science 7, 473; Vehtari et al. 2021, Bayesian Analysis 16, 667, section 3.2
    """
    chains, count, size = draws.shape
    covariance = _autocovariance(draws)
    within = covariance[0] * count / (count - 1.0)
    total = within * (count - 1.0) / count
    if chains > 1:
        total = total + draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = 1.0 - (within - covariance) / total
    correlation[0] = 1.0
    even = (count - 1) // 2 * 2
    pairs = correlation[:even].reshape(-1, 2, size).sum(axis=1)
    # keep what comes before the first negative pair; from there on it is noise
    positive = np.cumprod(pairs > 0, axis=0).astype(bool)
    monotone = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    length = positive.sum(axis=0)
    after = np.take_along_axis(correlation, np.minimum(2 * length, count - 1)[None], axis=0)[0]
    time = -1.0 + 2.0 * monotone.sum(axis=0) + np.maximum(after, 0.0)
    total_count = float(chains * count)
    result: Numbers = total_count / np.maximum(time, 1.0 / np.log10(total_count))
    return np.where(np.isfinite(total) & (total > 0), result, np.nan)


def e_bfmi(energy: Numbers) -> Numbers:
    """Return the energy Bayesian fraction of missing information of each chain, (chain, draw) to (chain,).

    References
    ----------
    Betancourt 2016, arXiv:1604.00695, eq. 8
    """
    change = np.square(np.diff(energy, axis=1)).mean(axis=1)
    result: Numbers = change / energy.var(axis=1)
    return result


def _split(draws: Numbers) -> Numbers:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]], axis=0)


def _normalise(draws: Numbers) -> Numbers:
    """Replace draws by the normal quantiles of their ranks among all chains (Blom 1958)."""
    from scipy.special import ndtri

    chains, count, size = draws.shape
    ranks = _rank(draws.reshape(-1, size))
    result: Numbers = ndtri((ranks - 0.375) / (chains * count + 0.25)).reshape(draws.shape)
    return result


def _rank(values: Numbers) -> Numbers:
    """Return ranks from one within each column, ties (rejected proposals) sharing their mean."""
    rows = np.ascontiguousarray(values.T)
    order = rows.argsort(axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)
    place = np.arange(1.0, rows.shape[1] + 1.0)
    is_first = np.diff(ordered, axis=1, prepend=-np.inf) > 0
    is_last = np.roll(is_first, -1, axis=1)
    first = np.maximum.accumulate(np.where(is_first, place, 0.0), axis=1)
    last = np.minimum.accumulate(np.where(is_last, place, np.inf)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty_like(rows)
    np.put_along_axis(ranks, order, 0.5 * (first + last), axis=1)
    return ranks.T


def _plain_r_hat(draws: Numbers) -> Numbers:
    count = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean(axis=0)
    between = draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Numbers = np.sqrt((count - 1.0) / count + between / within)
    return result


def _autocovariance(draws: Numbers) -> Numbers:
    """Return the mean over chains of the biased autocovariance, (chain, draw, parameter) to (lag, parameter)."""
    from scipy.fft import irfft, next_fast_len, rfft

    count = draws.shape[1]
    padded = next_fast_len(2 * count)
    centred = draws - draws.mean(axis=1, keepdims=True)
    total = np.zeros((padded // 2 + 1, draws.shape[2]))
    # one chain at a time: the transforms of all chains would not fit the cache
    for chain in centred:
        total += np.abs(rfft(chain, n=padded, axis=0)) ** 2
    result: Numbers = irfft(total, n=padded, axis=0)[:count] / (count * draws.shape[0])
    return result
