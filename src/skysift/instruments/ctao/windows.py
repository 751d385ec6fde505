"""True pixels from which light can reach an event, and the PSF averaged over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.kernels import average_density, reach_of_cut

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["Windows"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Elements of the largest temporary array.
_ELEMENTS = 2**18
#: Steps in offset within which the widest PSF is looked for, deg.
_STEP_DEG = 0.05
#: Largest cut: pixels beyond it stay out even of coarse sums.
_FULL_TURN = 360.0


@dataclass(frozen=True, eq=False)
class Windows:
    """Rectangles of true pixels around events, as large as the PSF is wide there.

    Parameters
    ----------
    response : gives the PSF and its cut
    """

    response: Response

    def spread(self, number: int, lon_deg: Array, lat_deg: Array) -> Iterator[tuple[Numbers, Numbers, Array]]:
        """Yield groups of events whose windows are equally large.

        Parameters
        ----------
        number : of the true energy
        lon_deg, lat_deg : (event,), reconstructed

        Yields
        ------
        rows of the events (n,), their pixels (n, window) and the PSF of each pixel at the event (n, window), deg-2;
        events that no light can reach are left out
        """
        grid = self.response.true.grid
        reach = self.reach_deg(number, lon_deg, lat_deg)
        steps = np.diff(grid.lat_edges_deg).min(), np.diff(grid.lon_edges_deg).min()
        heights = _round_up(np.ceil(2 * reach / steps[0]) + 2)
        for height in np.unique(heights[reach > 0]):
            width = int(min(np.ceil(height * steps[0] / self._smallest / steps[1]) + 1, grid.shape[1]))
            shape = int(min(height, grid.shape[0])), width
            rows = np.flatnonzero((heights == height) & (reach > 0))
            for part in np.array_split(rows, 1 + rows.size * shape[0] * shape[1] // _ELEMENTS):
                if part.size:
                    yield part, *self._spread(number, lon_deg[part], lat_deg[part], shape)

    def reach_deg(self, number: int, lon_deg: Array, lat_deg: Array) -> Array:
        """Return the distance from which light of one true energy still reaches each event, (event,), deg."""
        offset = self.response.pointing.offset_deg(lon_deg, lat_deg)
        reach = self._reach_deg[number]
        found: Array = reach[np.minimum((offset / _STEP_DEG).astype(np.int64), len(reach) - 1)]
        return found

    @cached_property
    def _reach_deg(self) -> Array:
        """Reach for each true energy and step in offset, (energy, step), deg."""
        psf, pointing = self.response.factors.psf, self.response.pointing
        step = (pointing.offsets_deg(self.response.true.grid) / _STEP_DEG).astype(np.int64)
        widest = np.where(psf.weights > 0, psf.sigmas_deg, 0.0).max(axis=2)
        source = np.zeros((len(widest), int(step.max()) + 2))
        for energy, row in enumerate(widest):
            np.maximum.at(source[energy], step, row)
        cut = reach_of_cut(self.response.cut / 2)
        source = np.where(source > 0, np.minimum(cut * np.maximum(source, 1e-9), _FULL_TURN), 0.0)
        places = np.arange(source.shape[1])
        # A pixel's corner is at most a diagonal away from the centre whose offset is known.
        slack = 2 * _STEP_DEG + np.hypot(
            np.diff(self.response.true.grid.lat_edges_deg).max(), np.diff(self.response.true.grid.lon_edges_deg).max()
        )
        distance = np.abs(places[:, None] - places) * _STEP_DEG
        return np.stack([np.where(distance <= row + slack, row, 0.0).max(axis=1) for row in source])

    @property
    def widest_deg(self) -> Array:
        """Largest sigma that light of each true energy may have, (energy,), deg."""
        psf = self.response.factors.psf
        widest: Array = np.where(psf.weights > 0, psf.sigmas_deg, 0.0).max(axis=(1, 2))
        return widest

    @cached_property
    def _smallest(self) -> float:
        """Smallest cosine of a latitude."""
        return float(np.cos(np.radians(np.abs(self.response.true.grid.lat_deg).max())))

    def _spread(self, number: int, lon_deg: Array, lat_deg: Array, shape: tuple[int, int]) -> tuple[Numbers, Array]:
        grid, psf = self.response.true.grid, self.response.factors.psf
        lon = grid.wrap(lon_deg)
        row = _window(grid.lat_edges_deg, lat_deg, shape[0])
        column = _window(grid.lon_edges_deg, lon, shape[1])
        pixels = (row[:, :, None] * grid.shape[1] + column[:, None, :]).reshape(len(lon), -1)
        cosine = np.cos(np.radians(0.5 * (grid.lat_edges_deg[row] + grid.lat_edges_deg[row + 1])))[:, :, None]
        east, north = (
            [edges[bins + end] - place[:, None] for end in (0, 1)]
            for edges, bins, place in ((grid.lon_edges_deg, column, lon), (grid.lat_edges_deg, row, lat_deg))
        )
        east, north = [side[:, None, :] * cosine for side in east], [side[:, :, None] for side in north]
        spread = np.zeros((len(lon), *shape))
        for term in range(psf.weights.shape[2]):
            weight, sigma = (x[number, :, term][pixels].reshape(spread.shape) for x in (psf.weights, psf.sigmas_deg))
            along, across = (average_density(np.zeros(()), low, high, sigma) for low, high in (east, north))
            spread += weight * along * across
        # Kernels are flat maps around the true pixel; events have densities per solid angle.
        spread *= cosine / np.cos(np.radians(lat_deg))[:, None, None]
        return pixels, spread.reshape(pixels.shape)


def _window(edges: Array, middle: Array, width: int) -> Numbers:
    """Return ``width`` neighbouring bins (event, width) around a place, moved to stay inside."""
    half = 0.5 * width * np.diff(edges).min()
    first = np.clip(np.searchsorted(edges, middle - half, side="right") - 1, 0, len(edges) - 1 - width)
    bins: Numbers = first[:, None] + np.arange(width)
    return bins


def _round_up(numbers: Array) -> Numbers:
    """Return whole numbers with few values, so that few groups arise: beyond eight in steps of an eighth."""
    step = np.maximum(2.0 ** np.floor(np.log2(np.maximum(numbers, 1.0)) - 3), 1.0)
    rounded: Numbers = (np.ceil(numbers / step) * step).astype(np.int64)
    return rounded
