"""Where densities are wanted, and what one source looks like there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["Column", "Kind", "Rows"]

Array = NDArray[np.float64]
Kind = Literal["fixed", "spectrum", "nodes", "map", "field"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Events, or occupied bins of reconstructed coordinates, in which densities are wanted.

    Parameters
    ----------
    counts : (n,), events in each row
    pointing : (n,)
    bins : (n,), flat number of the reconstructed bin
    energy, lon, lat : (n,), of each event; None where rows are bins
    whole : number of rows of the whole list that these belong to
    """

    counts: Array
    pointing: NDArray[np.int64]
    bins: NDArray[np.int64]
    energy: Array | None = None
    lon: Array | None = None
    lat: Array | None = None
    whole: int = 0

    @classmethod
    def of(cls, events: EventList, observation: EventObservation, *, binned: bool) -> Rows:
        """Return the rows of an event list."""
        bins = observation.reconstructed.find(events.energy, events.lon, events.lat)
        if not binned:
            at = (events.energy, events.lon, events.lat)
            return cls(np.ones(len(events)), events.pointing, bins, *at, len(events))
        size = int(np.prod(observation.reconstructed.shape))
        both, counts = np.unique(events.pointing * size + bins, return_counts=True)
        return cls(counts.astype(np.float64), both // size, both % size, whole=len(both))

    def take(self, start: int, stop: int) -> Rows:
        """Return some of the rows."""
        cut = slice(start, stop)
        energy, lon, lat = (None if part is None else part[cut] for part in (self.energy, self.lon, self.lat))
        return Rows(self.counts[cut], self.pointing[cut], self.bins[cut], energy, lon, lat, self.whole)


@dataclass(frozen=True, eq=False)
class Column:
    """Density of one source at rows, in events per TeV deg2, and how many events it sends in all.

    Parameters
    ----------
    kind : what ``density`` is multiplied by: nothing (``fixed``), the flux in each true energy bin (``spectrum``),
        that at each of G nodes (``nodes``), in each true bin (``map``), or exp(f) in each true pixel (``field``)
    density : (n,) for fixed, (n, E) for spectrum, (n, G E) for nodes, sparse (n, E J) for map, sparse (n, J) for field
    totals : events within the axes, (), (E,), (G E,), (E J,) or (J,) likewise
    """

    kind: Kind
    density: Array | csr_array
    totals: Array
