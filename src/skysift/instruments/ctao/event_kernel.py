"""What each true pixel sends to an event: the response at the event's own energy and direction, no bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.columns import DispersionColumns, read_columns
from skysift.instruments.ctao.dispersion_tables import DispersionTables, make_dispersion_tables
from skysift.instruments.ctao.windows import Windows

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["BLOCK_ROWS", "EventKernel"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Events are taken in blocks of this many rows; a row never sees the others, so blocks change no bit of the answer.
BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class EventKernel:
    r"""Response of one pointing at events.

    .. math:: K_{i, ej} = \bar P(l_i, b_i | j, e)\, D(E_i | e, o_j)

    P is the PSF averaged over true pixel j and D the energy dispersion averaged over true bin e.

    Parameters
    ----------
    response : of the pointing that the events belong to
    """

    response: Response

    def visits(self, energy_tev: Array) -> Iterator[tuple[int, Numbers]]:
        """Yield a true energy and events (n,) that it reaches, until all pairs came; energies rise for each event."""
        for start in range(0, len(energy_tev), BLOCK_ROWS):
            part = energy_tev[start : start + BLOCK_ROWS]
            order = np.argsort(part, kind="stable")
            bounds = np.searchsorted(part[order], self.columns.reach_tev)
            for number, (first, end) in enumerate(bounds):
                if end > first:
                    yield number, start + order[first:end]

    def shares(
        self, number: int, energy_tev: Array, lon_deg: Array, lat_deg: Array
    ) -> Iterator[tuple[Numbers, Numbers, Array]]:
        """Yield the kernel of one true energy.

        Parameters
        ----------
        number : of the true energy
        energy_tev, lon_deg, lat_deg : (event,), reconstructed

        Yields
        ------
        rows of events (n,), their true pixels (n, window), kernel (n, window), TeV-1 deg-2
        """
        for rows, pixels, spread in self.windows.spread(number, lon_deg, lat_deg):
            yield rows, pixels, spread * self._migrate(number, energy_tev[rows], pixels)

    def _migrate(self, number: int, energy_tev: Array, pixels: Numbers) -> Array:
        """Return D(E_i | e, o_j), (event, window), TeV-1."""
        migration = self.response.factors.migration
        at, upper = (array[pixels] for array in self._places)
        tables = self.columns.at_nodes(number, energy_tev)
        scales = migration.scales(number, *self._places)
        rows = np.arange(len(pixels))[:, None]
        density = np.zeros(pixels.shape)
        for point, table in enumerate(tables):
            between = table[rows, at] * (1 - upper) + table[rows, at + 1] * upper
            density += scales[point][pixels] * between
        return density

    @cached_property
    def columns(self) -> DispersionColumns:
        """Energy dispersion as a density."""
        return read_columns(self.response.irf, self.response.factors.migration)

    @cached_property
    def tables(self) -> DispersionTables:
        """The same for quick look-ups."""
        low, high = np.log(self.response.reconstructed.energy.edges_tev[[0, -1]])
        return make_dispersion_tables(self.columns, self.response.irf.energy_dispersion.offset.nodes, (low, high))

    @cached_property
    def windows(self) -> Windows:
        """True pixels around events."""
        return Windows(self.response)

    @cached_property
    def _places(self) -> tuple[Numbers, Array]:
        return self.response.factors.migration.locate(self.response.pointing.offsets_deg(self.response.true.grid))
