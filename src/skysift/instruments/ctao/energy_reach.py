"""Which true energies matter at a reconstructed energy, in rings around the pointing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.dispersion_tables import DispersionTable

__all__ = ["find_rings", "make_squares", "measure_reach"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: True energies that give less than this share of a source's events anywhere are left out.
_NEGLIGIBLE = 2e-5
#: Side of the squares of pixels within which that is judged, step in ln E_r, and width of the rings.
_SQUARE, _STEP, _RING_DEG = 8, 0.02, 0.5


def find_rings(offset_deg: Array, rings: int) -> Numbers:
    """Return the ring of each offset (...), deg."""
    found: Numbers = np.minimum((offset_deg / _RING_DEG).astype(np.int64), rings - 1)
    return found


def make_squares(shape: tuple[int, int]) -> list[Numbers]:
    """Return the pixels of each square of a grid of (row, column)."""
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    corners = [(row, column) for row in range(0, shape[0], _SQUARE) for column in range(0, shape[1], _SQUARE)]
    return [pixels[row : row + _SQUARE, column : column + _SQUARE].ravel() for row, column in corners]


def measure_reach(
    tables: Sequence[DispersionTable],
    log_range: tuple[float, float],
    expected: Array,
    offset_deg: Array,
    sigma_deg: Array,
    squares: Sequence[Numbers],
) -> Array:
    """Return the range of ln E_r in which a true energy gives events that count, for any source, in each ring.

    Parameters
    ----------
    tables : energy dispersion of each true energy
    log_range : ln E_r of the reconstructed axis
    expected : (true energy, true pixel, source)
    offset_deg : (true pixel,)
    sigma_deg : (true energy,), how far light spreads into other rings
    squares : pixels that are judged together

    Returns
    -------
    (true energy, ring, 2), the higher below the lower where there are none
    """
    low, high = log_range
    edges = np.linspace(low, high, 2 + int((high - low) / _STEP))
    strength = np.stack([table.largest(edges) for table in tables])
    nodes = [tables[0].nodes.between(offset_deg[pixels]) for pixels in squares]
    peak = np.stack([strength[:, :, node].max(axis=2) for node in nodes], axis=2)
    counts = np.stack([expected[:, pixels].sum(axis=1) for pixels in squares], axis=1)
    counts /= np.maximum(counts.max(axis=(0, 1)), 1e-300)
    middles = np.array([offset_deg[pixels].mean() for pixels in squares])
    rings = _RING_DEG * (np.arange(int(offset_deg.max() / _RING_DEG) + 1) + 0.5)
    found = np.empty((len(tables), len(rings), 2))
    for number, ring in enumerate(rings):
        # The square and the ring have a width of their own.
        distance = (middles - ring) / np.hypot(sigma_deg, _RING_DEG)[:, None]
        light = np.matmul(peak, counts * np.exp(-0.5 * distance**2)[:, :, None])
        share = (light / np.maximum(light.sum(axis=0), 1e-300)).max(axis=2)
        for energy, row in enumerate(share > _NEGLIGIBLE):
            kept = np.flatnonzero(row)
            found[energy, number] = (edges[kept[0]], edges[kept[-1] + 1]) if kept.size else (high, low)
    return found
