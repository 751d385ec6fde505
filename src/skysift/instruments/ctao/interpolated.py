"""Densities at many events: sources smoothed by the PSF once per true energy, then looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysift.instruments.ctao.densities import energy_densities
from skysift.instruments.ctao.dispersion_tables import Places
from skysift.instruments.ctao.energy_reach import find_reach, make_squares
from skysift.instruments.ctao.smoothed import SmoothedMaps, make_smoothed_maps, split_moments, with_moments

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["InterpolatedDensities"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Width of intervals of ln E_r, and events taken at once: neighbours in both share what lies in the cache.
_STEP_LOG_ENERGY, _ROWS = 0.1, 2**13
#: True energies on nodes of their own, and the most nodes that are worth it: what has more is summed directly.
_ENERGIES, _NODES = 4, 400_000
#: A jump of the filled share of a true bin that calls for the direct sum, and within which part of the reach of light.
_JUMP, _NEAR = 1e-3, 0.5
#: Light below this, of one whose brightest true bin is one, is none.
_NOTHING = 1e-30


class _Events(NamedTuple):
    """Events in the order in which they are taken."""

    energy: Array
    lon: Array
    lat: Array
    offset: Array
    places: Places


class _Light(NamedTuple):
    """Light of a true energy at some events, shift of its mean offset and deviation, (source, event) each."""

    number: int
    rows: slice
    light: Tensor
    shift: Tensor
    deviation: Tensor


def _join(bounds: Numbers) -> tuple[int, int]:
    """Return the range around those that are not empty, of (range, 2)."""
    some = bounds[bounds[:, 1] > bounds[:, 0]]
    return int(some[:, 0].min()), int(some[:, 1].max())


@dataclass(frozen=True, eq=False)
class InterpolatedDensities:
    r"""Densities of sources at events, within 1e-3 in the logarithm of `sum_densities`.

    .. math:: n_s(E_i, x_i) \approx \sum_e D(E_i | e, \bar o_{es}(x_i))\, F_{es}(x_i), \quad
              F_{es}(x) = \sum_j \bar P(x | j, e)\, \mu_s(e, j)

    where :math:`\bar o` is the mean offset of the light that arrives at x: D is next to linear in the offset within
    the width of the PSF, but for kinks, which see the deviation too. F and both moments are splines through nodes as
    close as the PSF is wide, or come from the direct sum where that would take too many nodes, which is where few
    pixels contribute.

    Parameters
    ----------
    response : of the pointing that the events belong to
    expected : (true energy, true pixel, source), events before migration
    is_mapped : whether maps are made, which pays for some 1e5 events; otherwise F is always the direct sum
    is_split : whether the true energies of a single source are kept apart, however little each of them gives
    """

    response: Response
    expected: Array
    is_mapped: bool = True
    is_split: bool = False

    def evaluate(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return densities of events within the reconstructed axes.

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed

        Returns
        -------
        (event, source), events per TeV and deg2, or (event, true energy); no row depends on the others, bit for bit
        """
        order, starts, events = self._sort(energy_tev, lon_deg, lat_deg)
        densities = np.zeros((len(self.expected) if self.is_split else self.expected.shape[-1], len(order)))
        for first in range(0, len(self._reach), _ENERGIES):
            bounds = {n: starts[self._reach[n]] for n in range(first, min(first + _ENERGIES, len(self._reach)))}
            ranges = {n: _join(own) for n, own in bounds.items() if (own[:, 1] > own[:, 0]).any()}
            jumps = {number: self._find_jumps(number, events, slice(*rows)) for number, rows in ranges.items()}
            for number, rows, light, shift, deviation in self._light(events, ranges):
                table = self.response.kernel.tables.evaluate(number, events.places.take(rows), shift, deviation)
                added, jump = (light * table).numpy(), jumps[number]
                added[:, jump[(jump >= rows.start) & (jump < rows.stop)] - rows.start] = 0.0
                for source, (start, end) in enumerate(bounds[number]):
                    low, high = max(start, rows.start), min(end, rows.stop)
                    if high > low:
                        own = added[source, low - rows.start : high - rows.start]
                        self._place(densities, number)[source, low:high] += own
            for number, jump in jumps.items():
                if jump.size:
                    self._sum_directly(self._place(densities, number), number, events, jump, bounds[number])
        answer = np.empty(densities.shape[::-1])
        answer[order] = densities.T * self._scale
        return answer

    def _sum_directly(self, densities: Array, number: int, events: _Events, rows: Numbers, bounds: Numbers) -> None:
        """Add what a true energy gives some events, where it counts for a source (source, 2)."""
        at = events.energy[rows], events.lon[rows], events.lat[rows]
        found = energy_densities(self.response.kernel, number, self.expected[number] / self._scale, at)
        for source, (start, end) in enumerate(bounds):
            own = (rows >= start) & (rows < end)
            densities[source, rows[own]] += found[own, source]

    def _place(self, densities: Array, number: int) -> Array:
        """Return the rows that a true energy adds to."""
        return densities[number : number + 1] if self.is_split else densities

    def _sort(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> tuple[Numbers, Numbers, _Events]:
        """Return the order in which events are taken, the first one of each interval of energy, and the events."""
        interval = np.searchsorted(self._log_edges[1:-1], np.log(energy_tev), side="right")
        order = np.lexsort(((lat_deg * 100.0).astype(np.int16), interval))
        starts = np.searchsorted(interval[order], np.arange(len(self._log_edges)))
        energy, lon, lat = energy_tev[order], self.response.reconstructed.grid.wrap(lon_deg[order]), lat_deg[order]
        offset = self.response.pointing.offset_deg(lon, lat)
        places = self.response.kernel.tables.locate(np.log(energy), offset)
        return order, starts, _Events(energy, lon, lat, offset, places)

    def _light(self, events: _Events, ranges: Mapping[int, tuple[int, int]]) -> Iterator[_Light]:
        """Yield the light of some true energies at parts of their events."""
        if not ranges:
            return
        block = min(ranges) // _ENERGIES
        if block not in self._maps:
            self._maps[block] = self._make_maps(block)
        maps = self._maps[block]
        first, last = min(start for start, _ in ranges.values()), max(end for _, end in ranges.values())
        for start in range(first, last, _ROWS):
            part = slice(start, min(start + _ROWS, last))
            found = None if maps is None else maps.evaluate(events.lon[part], events.lat[part])
            for number, (low, high) in ranges.items():
                rows = slice(max(low, part.start), min(high, part.stop))
                if rows.stop <= rows.start:
                    continue
                if found is None:
                    yield _Light(number, rows, *self._sum_light(number, events, rows))
                else:
                    own = slice(rows.start - start, rows.stop - start)
                    yield _Light(number, rows, *(part[number % _ENERGIES, :, own] for part in found))

    def _sum_light(self, number: int, events: _Events, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return light, shift of its mean offset and deviation by the direct sum, (source, event) each."""
        columns = with_moments(self._filled[number], self._offsets)
        sums = np.zeros((columns.shape[1], rows.stop - rows.start))
        for group, pixels, spread in self.response.kernel.windows.spread(number, events.lon[rows], events.lat[rows]):
            for column in range(len(sums)):
                sums[column, group] = (spread * columns[pixels, column]).sum(axis=1)
        parts = np.split(sums, 3)
        light, mean, deviation = split_moments(parts[0], parts[1], parts[2], 0.0, 0.0)
        shift = np.where(light > _NOTHING, mean - events.offset[rows], 0.0)
        found = [torch.from_numpy(part.astype(np.float32)) for part in (light, shift, deviation)]
        return found[0], found[1], found[2]

    def _find_jumps(self, number: int, events: _Events, rows: slice) -> Numbers:
        """Return events whose light comes from both sides of an offset where part of the dispersion table ends."""
        jumps = self._jumps[number]
        if not jumps.size:
            return np.zeros(0, dtype=np.int64)
        reach = _NEAR * self.response.kernel.windows.reach_deg(number, events.lon[rows], events.lat[rows])
        near = np.abs(events.offset[rows, None] - jumps).min(axis=1) < reach
        found: Numbers = np.flatnonzero(near) + rows.start
        return found

    def _make_maps(self, block: int) -> SmoothedMaps | None:
        """Return the maps of some true energies, None where the direct sum is cheaper."""
        numbers = range(block * _ENERGIES, min((block + 1) * _ENERGIES, len(self.expected)))
        if not self.is_mapped:
            return None
        return make_smoothed_maps(self.response, list(numbers), self._filled, self._offsets, _NODES)

    @cached_property
    def _maps(self) -> dict[int, SmoothedMaps | None]:
        return {}

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
    def _scale(self) -> Array:
        """Largest count of each source: light is kept in single precision, relative to it."""
        scale: Array = np.maximum(self.expected.max(axis=(0, 1)), 1e-300)
        return scale

    @cached_property
    def _filled(self) -> Array:
        """Expected events where the response holds an energy dispersion, (true energy, true pixel, source), scaled."""
        return self.expected / self._scale * self.response.factors.migration.filled_share(self._offsets)[:, :, None]

    @cached_property
    def _log_edges(self) -> Array:
        low, high = np.log(self.response.reconstructed.energy.edges_tev[[0, -1]])
        return np.linspace(low, high, 2 + int((high - low) / _STEP_LOG_ENERGY))

    @cached_property
    def _reach(self) -> Numbers:
        squares, kernel = make_squares(self.response.true.grid.shape), self.response.kernel
        if self.is_split:
            is_seen = kernel.windows.widest_deg > 0
            ends = np.searchsorted(self._log_edges, kernel.tables.log_reach, side="right") + np.array([-1, 0])
            reach: Numbers = np.clip(ends, 0, len(self._log_edges) - 1) * is_seen[:, None]
            return reach[:, None]
        return find_reach(
            kernel.tables, self._log_edges, self._filled, self._offsets, kernel.windows.widest_deg, squares
        )
