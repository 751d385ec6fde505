"""Densities at the events themselves: the response at each event's own energy and direction, no bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.columns import DispersionColumns, read_columns
from skysift.instruments.ctao.windows import Windows

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["BLOCK_ROWS", "EventDensities"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Events are taken in blocks of this many rows; a row never sees the others, so blocks change no bit of the answer.
BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class EventDensities:
    r"""Densities of sources at events, by the direct sum.

    .. math:: n_s(E_i, l_i, b_i) = \sum_{e, j} \bar P(l_i, b_i | j, e)\, D(E_i | e, o_j)\, \mu_s(e, j)

    P is the PSF averaged over true pixel j and D the energy dispersion averaged over true bin e.

    Parameters
    ----------
    response : of the pointing that the events belong to
    expected : (true energy, true pixel, source), events before migration

    Examples
    --------
    >>> import numpy as np
    >>> from skysift.geometry import EnergyAxis, LonLatGrid
    >>> from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf, make_true_axes
    >>> irf, pointing = analytic_irf(), Pointing(0.0, 0.0, 180000.0)
    >>> events = Axes(EnergyAxis.from_bins(1.0, 10.0, 4), LonLatGrid.from_step(-0.4, 0.4, -0.4, 0.4, 0.4))
    >>> response = Response.build(irf, make_true_axes(irf, events, [pointing]), events, pointing)
    >>> densities = EventDensities(response, np.ones((*response.true.shape, 2)))
    >>> densities.evaluate(np.array([2.0]), np.array([0.1]), np.array([0.0])).shape
    (1, 2)
    """

    response: Response
    expected: Array

    def evaluate(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return densities.

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed

        Returns
        -------
        (event, source), events per TeV and deg2; divide by `Response.detected` for a probability density
        """
        densities = np.zeros((len(energy_tev), self.expected.shape[-1]))
        for start in range(0, len(energy_tev), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            order = np.argsort(energy_tev[rows], kind="stable")
            densities[start + order] = self._evaluate_sorted(*(x[rows][order] for x in (energy_tev, lon_deg, lat_deg)))
        return densities

    def _evaluate_sorted(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return densities of events of rising energy: those that a true energy reaches are neighbours."""
        densities = np.zeros((len(energy_tev), self.expected.shape[-1]))
        for number, (low, high) in enumerate(self.columns.reach_tev):
            first, end = np.searchsorted(energy_tev, low), np.searchsorted(energy_tev, high)
            if end > first and self.expected[number].any():
                rows = slice(int(first), int(end))
                densities[rows] += self.add_energy(number, energy_tev[rows], lon_deg[rows], lat_deg[rows])
        return densities

    def add_energy(self, number: int, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
        """Return what one true energy contributes, (event, source)."""
        expected = self.expected[number]
        densities = np.zeros((len(energy_tev), expected.shape[1]))
        for rows, pixels, spread in self.windows.spread(number, lon_deg, lat_deg):
            share = spread * self._migrate(number, energy_tev[rows], pixels)
            # One sum along the last axis per row: its order depends on nothing else.
            sums = [(share * expected[pixels, source]).sum(axis=1) for source in range(expected.shape[1])]
            densities[rows] = np.stack(sums, axis=1)
        return densities

    def _migrate(self, number: int, energy_tev: Array, pixels: Numbers) -> Array:
        """Return D(E_i | e, o_j), (event, window), TeV-1."""
        at, upper = (array[pixels] for array in self._places)
        tables, scales = self.columns.at_nodes(number, energy_tev), self._scales(number)
        rows = np.arange(len(pixels))[:, None]
        density = np.zeros(pixels.shape)
        for point in range(len(tables)):
            between = tables[point][rows, at] * (1 - upper) + tables[point][rows, at + 1] * upper
            density += scales[point][pixels] * between
        return density

    @cached_property
    def columns(self) -> DispersionColumns:
        """Energy dispersion as a density."""
        return read_columns(self.response.irf, self.response.factors.migration)

    @cached_property
    def windows(self) -> Windows:
        """True pixels around events."""
        return Windows(self.response)

    @cached_property
    def _places(self) -> tuple[Numbers, Array]:
        return self.response.factors.migration.locate(self.response.pointing.offsets_deg(self.response.true.grid))

    def _scales(self, number: int) -> Array:
        """Return the weight of each point over its total, (point, pixel)."""
        return np.ascontiguousarray(self.response.factors.migration.scales(number, *self._places).T)
