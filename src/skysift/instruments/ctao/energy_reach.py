"""Which true energies matter in which intervals of reconstructed energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.dispersion_tables import DispersionTables

__all__ = ["find_reach", "make_squares"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: True energies that give less than this share of a source's events anywhere are left out.
_NEGLIGIBLE = 2e-5
#: Side of the squares of pixels within which that is judged, and width of the rings around the pointing.
_SQUARE, _RING_DEG = 8, 0.5


def make_squares(shape: tuple[int, int]) -> list[Numbers]:
    """Return the pixels of each square of a grid of (row, column)."""
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    corners = [(row, column) for row in range(0, shape[0], _SQUARE) for column in range(0, shape[1], _SQUARE)]
    return [pixels[row : row + _SQUARE, column : column + _SQUARE].ravel() for row, column in corners]


def find_reach(
    tables: DispersionTables,
    log_edges: Array,
    expected: Array,
    offset_deg: Array,
    sigma_deg: Array,
    squares: Sequence[Numbers],
) -> Numbers:
    """Return the intervals of ln E_r in which each true energy gives events of each source that count, anywhere.

    Parameters
    ----------
    tables : energy dispersion
    log_edges : (interval + 1,), ln E_r
    expected : (true energy, true pixel, source)
    offset_deg : (true pixel,)
    sigma_deg : (true energy,), how far light spreads into other rings
    squares : pixels that are judged together

    Returns
    -------
    (true energy, source, 2), first interval and the one after the last; both zero where there is none
    """
    strength = np.stack([tables.largest(number, log_edges) for number in range(len(expected))])
    ends = [np.searchsorted(tables.offsets_deg, (offset_deg[x].min(), offset_deg[x].max())) for x in squares]
    nodes = [slice(max(int(low) - 1, 0), int(high) + 1) for low, high in ends]
    peak = np.stack([strength[:, :, node].max(axis=2, initial=0.0) for node in nodes], axis=2)
    counts = np.stack([expected[:, pixels].sum(axis=1) for pixels in squares], axis=1)
    counts /= np.maximum(counts.max(axis=(0, 1)), 1e-300)
    middles = np.array([offset_deg[pixels].mean() for pixels in squares])
    rings = _RING_DEG * (np.arange(int(offset_deg.max() / _RING_DEG) + 1) + 0.5)
    is_bright: NDArray[np.bool_] = np.zeros((*strength.shape[:2], expected.shape[2]), dtype=bool)
    for ring in rings:
        # The square and the ring have a width of their own.
        distance = (middles - ring) / np.hypot(sigma_deg, _RING_DEG)[:, None]
        light = np.matmul(peak, counts * np.exp(-0.5 * distance**2)[:, :, None])
        share = light / np.maximum(light.sum(axis=0), 1e-300)
        is_bright |= share > _NEGLIGIBLE
    first, last = is_bright.argmax(axis=1), is_bright.shape[1] - np.flip(is_bright, axis=1).argmax(axis=1)
    is_any = np.any(is_bright, axis=1, keepdims=True).swapaxes(1, 2)
    return np.where(is_any, np.stack((first, last), axis=2), 0)
