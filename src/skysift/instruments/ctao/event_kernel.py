"""What each true pixel sends to an event: the response at the event's own energy and direction, no bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.columns import DispersionColumns, read_columns
from skysift.instruments.ctao.dispersion_tables import DispersionTable, make_dispersion_tables
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
        scales = np.ascontiguousarray(migration.scales(number, *self._places).T)
        rows = np.arange(len(pixels))[:, None]
        density = np.zeros(pixels.shape)
        for point, table in enumerate(tables):
            between = table[rows, at] * (1 - upper) + table[rows, at + 1] * upper
            density += scales[point][pixels] * between
        return density

    def point_densities(
        self, energy_tev: Array, place: tuple[Array, Array], source_deg: tuple[float, float], expected: Array
    ) -> Iterator[tuple[int, Numbers, Array]]:
        """Yield what each true energy of a point source sends to events.

        Parameters
        ----------
        energy_tev : (event,), reconstructed
        place : longitude and latitude (event,), deg
        source_deg : longitude and latitude of the source
        expected : (true energy, source), events before migration

        Yields
        ------
        number of a true energy, rows of events (n,), densities (n, source), TeV-1 deg-2
        """
        lon, lat = source_deg
        migration, irf = self.response.factors.migration, self.response.irf
        offset = self.response.pointing.offset_deg([lon], [lat])
        at, upper = migration.locate(offset)
        weights, sigmas = (x[:, 0] for x in irf.psf_components(self.response.true.energy.centres_tev[:, None], offset))
        turned = lon + 360.0 * np.round((place[0] - lon) / 360.0)
        cosine = np.cos(np.radians(lat))
        # As in `fold_point`: flat around the source, and a density per solid angle at the event.
        square, solid = (
            ((place[0] - turned) * cosine) ** 2 + (place[1] - lat) ** 2,
            cosine / np.cos(np.radians(place[1])),
        )
        for number, rows in self.visits(energy_tev):
            if not expected[number].any():
                continue
            table, scale = self.columns.at_nodes(number, energy_tev[rows]), migration.scales(number, at, upper)[0]
            between = table[:, :, at[0]] * (1 - upper[0]) + table[:, :, at[0] + 1] * upper[0]
            density = np.zeros(len(rows))
            for point in range(len(scale)):
                density += scale[point] * between[point]
            spread = np.zeros(len(rows))
            for weight, sigma in zip(weights[number], sigmas[number], strict=True):
                spread += weight / (2 * np.pi * sigma**2) * np.exp(-0.5 * square[rows] / sigma**2)
            yield number, rows, (density * spread * solid[rows])[:, None] * expected[number]

    @cached_property
    def columns(self) -> DispersionColumns:
        """Energy dispersion as a density."""
        return read_columns(self.response.irf, self.response.factors.migration)

    @cached_property
    def tables(self) -> list[DispersionTable]:
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
