"""Densities at many events: sources smoothed by the PSF once per true energy, then interpolated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.columns import read_columns
from skysift.instruments.ctao.densities import EventDensities
from skysift.instruments.ctao.dispersion_tables import DispersionTable, make_dispersion_tables
from skysift.instruments.ctao.smoothed import SmoothedMap, make_smoothed_map, split_moments, with_moments
from skysift.instruments.ctao.windows import Windows

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["InterpolatedDensities"]

Array = NDArray[np.float64]
#: Events put in order of latitude at once, and events taken at once: neighbours share what lies in the cache.
_SORTED, _ROWS = 2**16, 2**13
#: True energies whose maps would have more nodes than this are summed directly.
_NODES = 300_000
#: True energies that give less than this share of a source's events anywhere are left out.
_NEGLIGIBLE = 2e-5
#: Side of the squares of pixels within which that is judged, the step in ln E_r, the rings in offset for which it is
#: judged, and how far light may come from.
_SQUARE, _STEP, _RING_DEG, _FAR_DEG = 8, 0.02, 0.5, 1.0
#: A jump of the filled share of a true bin that calls for the direct sum, and within which part of the reach of light.
_JUMP, _NEAR = 1e-3, 0.5


@dataclass(frozen=True, eq=False)
class InterpolatedDensities:
    r"""Densities of sources at events, within 1e-3 in the logarithm of `EventDensities`.

    .. math:: n_s(E_i, x_i) \approx \sum_e D(E_i | e, \bar o_{es}(x_i))\, F_{es}(x_i), \quad
              F_{es}(x) = \sum_j \bar P(x | j, e)\, \mu_s(e, j)

    where :math:`\bar o` is the mean offset of the light that arrives at x: D is next to linear in the offset within
    the width of the PSF. F and the mean offset come from maps as fine as the PSF, and from the direct sum where that
    would take too many nodes, which is where few pixels contribute.

    Parameters
    ----------
    response : of the pointing that the events belong to
    expected : (true energy, true pixel, source), events before migration
    """

    response: Response
    expected: Array

    def evaluate(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return densities of events within the reconstructed axes.

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed

        Returns
        -------
        (event, source), events per TeV and deg2; no row depends on the others, bit for bit
        """
        order = np.argsort(energy_tev, kind="stable")
        log_energy, lon, lat = np.log(energy_tev[order]), lon_deg[order], lat_deg[order]
        ring = np.minimum((self.response.pointing.offset_deg(lon, lat) / _RING_DEG).astype(np.int64), self._rings - 1)
        densities = np.zeros((len(order), self.expected.shape[-1]))
        for number, reach in enumerate(self._reach):
            first, end = np.searchsorted(log_energy, (reach[:, 0].min(), reach[:, 1].max()))
            for start in range(int(first), int(end), _SORTED):
                part = slice(start, min(start + _SORTED, int(end)))
                low, high = reach[ring[part]].T
                near = start + np.flatnonzero((log_energy[part] >= low) & (log_energy[part] < high))
                for rows in _in_latitude(near, lat):
                    densities[rows] += self._add_energy(number, log_energy[rows], lon[rows], lat[rows])
        answer = np.empty_like(densities)
        answer[order] = densities
        return answer

    def _add_energy(self, number: int, log_energy: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return what one true energy contributes, (event, source)."""
        light, offset, deviation = self._light(number, lon_deg, lat_deg)
        added = light * self._tables[number].evaluate(log_energy, offset, deviation)
        near = self._find_jumps(number, lon_deg, lat_deg)
        if near.size:
            added[near] = self._direct.add_energy(number, np.exp(log_energy[near]), lon_deg[near], lat_deg[near])
        return added

    def _find_jumps(self, number: int, lon_deg: Array, lat_deg: Array) -> NDArray[np.int64]:
        """Return events whose light comes from both sides of an offset where part of the dispersion table ends."""
        jumps = self._jumps[number]
        if not jumps.size:
            return np.zeros(0, dtype=np.int64)
        offset = self.response.pointing.offset_deg(lon_deg, lat_deg)
        reach = _NEAR * self._windows.reach_deg(number, lon_deg, lat_deg)
        return np.flatnonzero(np.abs(offset[:, None] - jumps).min(axis=1) < reach)

    def _light(self, number: int, lon_deg: Array, lat_deg: Array) -> tuple[Array, Array, Array]:
        """Return light at each event, mean and deviation of the offset where it comes from, all (event, source)."""
        smoothed = self._maps[number]
        if smoothed is not None:
            return smoothed.evaluate(self.response.reconstructed.grid.wrap(lon_deg), lat_deg)
        columns = with_moments(self._filled[number], self._offsets)
        sums = np.zeros((columns.shape[1], len(lon_deg)))
        for rows, pixels, spread in self._windows.spread(number, lon_deg, lat_deg):
            for column in range(len(sums)):
                sums[column, rows] = (spread * columns[pixels, column]).sum(axis=1)
        return split_moments(sums.T, np.zeros(1), np.zeros(1))

    @cached_property
    def _offsets(self) -> Array:
        return self.response.pointing.offsets_deg(self.response.true.grid)

    @cached_property
    def _jumps(self) -> list[Array]:
        """Offsets at which a part of each true bin ends, deg."""
        migration = self.response.factors.migration
        filled = migration.filled_share(migration.offsets_deg)
        is_jump = (filled[:, 1:] > 0) & (np.abs(np.diff(filled, axis=1)) > _JUMP)
        return [migration.offsets_deg[1:][row] for row in is_jump]

    @cached_property
    def _direct(self) -> EventDensities:
        return EventDensities(self.response, self.expected)

    @cached_property
    def _windows(self) -> Windows:
        return Windows(self.response)

    @cached_property
    def _maps(self) -> list[SmoothedMap | None]:
        """A map for each true energy, None where the direct sum is cheaper."""
        maps: list[SmoothedMap | None] = []
        for number, reach in enumerate(self._reach):
            made = None
            if np.any(reach[:, 1] > reach[:, 0]):
                made = make_smoothed_map(self.response, number, self._filled[number], self._offsets, _NODES)
            maps.append(made)
        return maps

    @cached_property
    def _tables(self) -> list[DispersionTable]:
        low, high = np.log(self.response.reconstructed.energy.edges_tev[[0, -1]])
        columns = read_columns(self.response.irf, self.response.factors.migration)
        return make_dispersion_tables(columns, self.response.irf.energy_dispersion.offset.nodes, (low, high))

    @cached_property
    def _filled(self) -> Array:
        """Expected events where the response holds an energy dispersion, (true energy, true pixel, source)."""
        return self.expected * self.response.factors.migration.filled_share(self._offsets)[:, :, None]

    @property
    def _rings(self) -> int:
        """Number of rings in offset that events are told apart by."""
        return int(self._offsets.max() / _RING_DEG) + 1

    @cached_property
    def _reach(self) -> Array:
        """Lowest and highest ln E_r at which a true energy matters for any source, (true energy, ring, 2)."""
        low, high = np.log(self.response.reconstructed.energy.edges_tev[[0, -1]])
        edges = np.linspace(low, high, 2 + int((high - low) / _STEP))
        strength = np.stack([table.largest(edges) for table in self._tables])
        share = np.zeros((*strength.shape[:2], self._rings))
        for pixels in self._squares():
            offsets, counts = self._offsets[pixels], self._filled[:, pixels].sum(axis=1)
            peak = strength[:, :, self._tables[0].nodes.between(offsets)].max(axis=2)
            rings = slice(
                max(int((offsets.min() - _FAR_DEG) / _RING_DEG), 0), int((offsets.max() + _FAR_DEG) / _RING_DEG) + 1
            )
            for source in np.flatnonzero(counts.any(axis=0)):
                light = peak * (counts[:, source] / counts[:, source].max())[:, None]
                light /= np.maximum(light.sum(axis=0), 1e-300)
                share[:, :, rings] = np.maximum(share[:, :, rings], light[:, :, None])
        is_kept = share > _NEGLIGIBLE
        first, last = is_kept.argmax(axis=1), is_kept.shape[1] - is_kept[:, ::-1].argmax(axis=1)
        return np.where(
            is_kept.any(axis=1)[..., None], np.stack((edges[first], edges[last]), axis=-1), np.array([high, low])
        )

    def _squares(self) -> list[NDArray[np.int64]]:
        """Return squares of true pixels."""
        height, width = self.response.true.grid.shape
        pixels = np.arange(height * width).reshape(height, width)
        corners = [(row, column) for row in range(0, height, _SQUARE) for column in range(0, width, _SQUARE)]
        return [pixels[row : row + _SQUARE, column : column + _SQUARE].ravel() for row, column in corners]


def _in_latitude(rows: NDArray[np.int64], lat_deg: Array) -> Iterator[NDArray[np.int64]]:
    """Yield rows in parts of similar latitude."""
    order = rows[np.argsort((lat_deg[rows] * 100.0).astype(np.int16), kind="stable")]
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]
