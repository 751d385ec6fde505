"""Densities at many events: sources smoothed by the PSF once per true energy, then interpolated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.densities import energy_densities
from skysift.instruments.ctao.energy_reach import find_rings, make_squares, measure_reach
from skysift.instruments.ctao.smoothed import SmoothedMap, make_smoothed_map, split_moments, with_moments

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["InterpolatedDensities"]

Array = NDArray[np.float64]
#: Events put in order of latitude at once, and events taken at once: neighbours share what lies in the cache.
_SORTED, _ROWS = 2**16, 2**13
#: True energies whose maps would have more nodes than this are summed directly.
_NODES = 300_000
#: A jump of the filled share of a true bin that calls for the direct sum, and within which part of the reach of light.
_JUMP, _NEAR = 1e-3, 0.5


@dataclass(frozen=True, eq=False)
class InterpolatedDensities:
    r"""Densities of sources at events, within 1e-3 in the logarithm of `sum_densities`.

    .. math:: n_s(E_i, x_i) \approx \sum_e D(E_i | e, \bar o_{es}(x_i))\, F_{es}(x_i), \quad
              F_{es}(x) = \sum_j \bar P(x | j, e)\, \mu_s(e, j)

    where :math:`\bar o` is the mean offset of the light that arrives at x: D is next to linear in the offset within
    the width of the PSF. F and the mean offset come from maps as fine as the PSF, and from the direct sum where that
    would take too many nodes, which is where few pixels contribute.

    Parameters
    ----------
    response : of the pointing that the events belong to
    expected : (true energy, true pixel, source), events before migration
    is_mapped : whether maps are made, which pays for some 1e5 events; otherwise F is always the direct sum
    """

    response: Response
    expected: Array
    is_mapped: bool = True

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
        ring = find_rings(self.response.pointing.offset_deg(lon, lat), self._reach.shape[1])
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
        added = light * self.response.kernel.tables[number].evaluate(log_energy, offset, deviation)
        near = self._find_jumps(number, lon_deg, lat_deg)
        if near.size:
            events = np.exp(log_energy[near]), lon_deg[near], lat_deg[near]
            added[near] = energy_densities(self.response.kernel, number, self.expected[number], events)
        return added

    def _find_jumps(self, number: int, lon_deg: Array, lat_deg: Array) -> NDArray[np.int64]:
        """Return events whose light comes from both sides of an offset where part of the dispersion table ends."""
        jumps = self._jumps[number]
        if not jumps.size:
            return np.zeros(0, dtype=np.int64)
        offset = self.response.pointing.offset_deg(lon_deg, lat_deg)
        reach = _NEAR * self.response.kernel.windows.reach_deg(number, lon_deg, lat_deg)
        return np.flatnonzero(np.abs(offset[:, None] - jumps).min(axis=1) < reach)

    def _light(self, number: int, lon_deg: Array, lat_deg: Array) -> tuple[Array, Array, Array]:
        """Return light at each event, mean and deviation of the offset where it comes from, all (event, source)."""
        smoothed = self._maps[number]
        if smoothed is not None:
            return smoothed.evaluate(self.response.reconstructed.grid.wrap(lon_deg), lat_deg)
        columns = with_moments(self._filled[number], self._offsets)
        sums = np.zeros((columns.shape[1], len(lon_deg)))
        for rows, pixels, spread in self.response.kernel.windows.spread(number, lon_deg, lat_deg):
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
    def _maps(self) -> list[SmoothedMap | None]:
        """A map for each true energy, None where the direct sum is cheaper."""
        maps: list[SmoothedMap | None] = []
        for number, reach in enumerate(self._reach):
            made = None
            if self.is_mapped and np.any(reach[:, 1] > reach[:, 0]):
                made = make_smoothed_map(self.response, number, self._filled[number], self._offsets, _NODES)
            maps.append(made)
        return maps

    @cached_property
    def _filled(self) -> Array:
        """Expected events where the response holds an energy dispersion, (true energy, true pixel, source)."""
        return self.expected * self.response.factors.migration.filled_share(self._offsets)[:, :, None]

    @cached_property
    def _reach(self) -> Array:
        low, high = np.log(self.response.reconstructed.energy.edges_tev[[0, -1]])
        squares = make_squares(self.response.true.grid.shape)
        tables, sigma = self.response.kernel.tables, self.response.kernel.windows.widest_deg
        return measure_reach(tables, (low, high), self._filled, self._offsets, sigma, squares)


def _in_latitude(rows: NDArray[np.int64], lat_deg: Array) -> Iterator[NDArray[np.int64]]:
    """Yield rows in parts of similar latitude."""
    order = rows[np.argsort((lat_deg[rows] * 100.0).astype(np.int16), kind="stable")]
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]
