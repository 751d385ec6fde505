"""What the centre of each true bin sends to an event, in the discrete normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import angular_separation_deg, unit_vectors

if TYPE_CHECKING:
    from skysift.instruments.ctao.discrete import DiscreteResponse

__all__ = ["DiscreteKernel"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Elements of the largest temporary array.
_ELEMENTS = 2**20


@dataclass(frozen=True, eq=False)
class DiscreteKernel:
    r"""Response of one pointing between bin centres and events.

    .. math:: K_{i, ej} = \frac{P(\rho_{ij} | E_e, o_j)\, M(E_i / E_e | E_e, o_j)}{E_e\, n_{psf}\, n_{ed}}

    and zero outside the window of event i.

    Parameters
    ----------
    response : of the pointing that the events belong to
    """

    response: DiscreteResponse

    def visits(self, energy_tev: Array) -> Iterator[tuple[int, Numbers]]:
        """Yield each true energy and the events (n,) within its window."""
        for number, centre in enumerate(self.response.true.energy.centres_tev):
            rows = np.flatnonzero(np.abs(np.log10(centre / energy_tev)) < self.response.window.decades)
            if rows.size:
                yield number, rows

    def shares(
        self, number: int, energy_tev: Array, lon_deg: Array, lat_deg: Array
    ) -> Iterator[tuple[Numbers, Numbers, Array]]:
        """Yield the kernel of one true energy.

        Parameters
        ----------
        number : of the true energy
        energy_tev, lon_deg, lat_deg : (n,), of events

        Yields
        ------
        (rows,) of the events, (rows, pixels) true pixels, (rows, pixels) TeV-1 deg-2 per true count
        """
        grid, irf, window = self.response.true.grid, self.response.irf, self.response.window
        true_tev = float(self.response.true.energy.centres_tev[number])
        middle = 0.5 * (grid.lon_edges_deg[0] + grid.lon_edges_deg[-1])
        turned = (lon_deg - middle + 180.0) % 360.0 - 180.0 + middle
        columns, rows = _Near(grid.lon_edges_deg, window.lon_deg), _Near(grid.lat_edges_deg, window.lat_deg)
        size = columns.most * rows.most
        for part in np.array_split(np.arange(len(lon_deg)), 1 + len(lon_deg) * size // _ELEMENTS):
            column, is_near_column = columns.find(turned[part])
            row, is_near_row = rows.find(lat_deg[part])
            pixels = (row[:, :, None] * grid.shape[1] + column[:, None, :]).reshape(len(part), -1)
            near = (is_near_row[:, :, None] & is_near_column[:, None, :]).reshape(len(part), -1)
            places = unit_vectors(turned[part], lat_deg[part])[:, None]
            apart = angular_separation_deg(places, self._vectors[pixels])
            spread = irf.psf(true_tev, self._offsets[pixels], apart)
            migra = (energy_tev[part] / true_tev)[:, None]
            density = spread * irf.dispersion_raw(true_tev, migra, self._offsets[pixels]) / true_tev
            yield part, pixels, np.where(near, density / self._norms[number][pixels], 0.0)

    @cached_property
    def _offsets(self) -> Array:
        return self.response.pointing.offsets_deg(self.response.true.grid)

    @cached_property
    def _vectors(self) -> Array:
        grid = self.response.true.grid
        return unit_vectors(grid.lon_deg, grid.lat_deg)

    @cached_property
    def _norms(self) -> Array:
        norms: Array = self.response.factors.psf_norm * self.response.factors.dispersion_norm
        return norms


class _Near:
    """Finds the centres of bins along one axis that are closer than a limit."""

    def __init__(self, edges: Array, limit: float) -> None:
        self.centres, self.limit = 0.5 * (edges[1:] + edges[:-1]), limit
        centres = self.centres
        reach = np.searchsorted(centres, centres + 2 * limit, side="right") - np.arange(len(centres))
        self.most = int(min(reach.max() + 1, len(centres)))

    def find(self, place: Array) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return numbers of bins (n, most), and whether each is near, for places (n,)."""
        first = np.searchsorted(self.centres, place - self.limit, side="left")
        first = np.minimum(first, len(self.centres) - self.most)
        bins = first[:, None] + np.arange(self.most)
        return bins, np.abs(self.centres[bins] - place[:, None]) < self.limit
