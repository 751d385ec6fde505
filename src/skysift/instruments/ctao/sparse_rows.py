"""Rows of the fold for the bins that hold events, for many folds of the same bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skysift.instruments.ctao.operator import FoldOperator

__all__ = ["make_rows"]


def make_rows(operator: FoldOperator, bins: NDArray[np.int64]) -> csr_array:
    r"""Return the fold as a matrix: expected counts of some bins are W mu.

    .. math:: W_{n, ej} = D(k_n | e, o_j)\, P_e(i_n | j)

    Parameters
    ----------
    operator : the fold
    bins : (n,), flat numbers ``energy * pixels + pixel`` of reconstructed bins

    Returns
    -------
    (n, true energy x true pixel), sparse by rows
    """
    from scipy.sparse import csr_array

    pixels = operator.shape[1]
    energy, pixel = bins // pixels, bins % pixels
    size = operator.spreads[0].shape[1]
    blocks = []
    for spread, (first, shares) in zip(operator.spreads, operator.bands, strict=True):
        reached = np.flatnonzero((energy >= first) & (energy < first + shares.shape[1]))
        rows = spread.tocsr()[pixel[reached]]
        lengths = np.diff(rows.indptr)
        data = rows.data * shares[rows.indices, np.repeat(energy[reached] - first, lengths)]
        counts = np.zeros(len(bins), dtype=np.int64)
        counts[reached] = lengths
        blocks.append((counts, rows.indices, data))
    return csr_array(_join(blocks, size), shape=(len(bins), len(blocks) * size))


def _join(
    blocks: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]], size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Put blocks of columns side by side: data, column numbers and row starts."""
    counts = np.stack([block[0] for block in blocks], axis=1)
    # Where each row of each block starts: rows first, then blocks.
    starts = (np.cumsum(counts.ravel()) - counts.ravel()).reshape(counts.shape)
    total = int(counts.sum())
    data, columns = np.empty(total), np.empty(total, dtype=np.int64)
    for number, (lengths, indices, values) in enumerate(blocks):
        within = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        at = np.repeat(starts[:, number], lengths) + within
        data[at], columns[at] = values, indices + number * size
    return data, columns, np.append(0, np.cumsum(counts.sum(axis=1)))
