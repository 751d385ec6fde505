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
#: Side of the squares of pixels within which that is judged, the step in ln E_r, the rings in offset for which it is
#: judged, and how far light may come from.
_SQUARE, _STEP, _RING_DEG, _FAR_DEG = 8, 0.02, 0.5, 1.0


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
    squares: Sequence[Numbers],
) -> Array:
    """Return the range of ln E_r in which a true energy gives events that count, for any source anywhere in a ring.

    Parameters
    ----------
    tables : energy dispersion of each true energy
    log_range : ln E_r of the reconstructed axis
    expected : (true energy, true pixel, source)
    offset_deg : (true pixel,)
    squares : pixels that are judged together

    Returns
    -------
    (true energy, ring, 2), the higher below the lower where there are none
    """
    low, high = log_range
    edges = np.linspace(low, high, 2 + int((high - low) / _STEP))
    strength = np.stack([table.largest(edges) for table in tables])
    share = np.zeros((*strength.shape[:2], int(offset_deg.max() / _RING_DEG) + 1))
    for pixels in squares:
        offsets, counts = offset_deg[pixels], expected[:, pixels].sum(axis=1)
        peak = strength[:, :, tables[0].nodes.between(offsets)].max(axis=2)
        inner, outer = int((offsets.min() - _FAR_DEG) / _RING_DEG), int((offsets.max() + _FAR_DEG) / _RING_DEG)
        rings = slice(max(inner, 0), outer + 1)
        for source in np.flatnonzero(counts.any(axis=0)):
            light = peak * (counts[:, source] / counts[:, source].max())[:, None]
            light /= np.maximum(light.sum(axis=0), 1e-300)
            share[:, :, rings] = np.maximum(share[:, :, rings], light[:, :, None])
    is_kept = share > _NEGLIGIBLE
    first, last = is_kept.argmax(axis=1), is_kept.shape[1] - is_kept[:, ::-1].argmax(axis=1)
    found = np.stack((edges[first], edges[last]), axis=-1)
    found[~is_kept.any(axis=1)] = high, low
    return found
