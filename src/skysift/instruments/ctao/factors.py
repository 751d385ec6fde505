"""Area, point-spread function and energy dispersion at true bins: what a fold is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.migration import (
    EnergyNodes,
    Migration,
    make_energy_nodes,
    make_offset_nodes,
    read_migration,
)
from skysift.instruments.ctao.spread import PsfFactors, read_psf_factors

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing
    from skysift.instruments.ctao.tables import Axis

__all__ = ["Factors", "MeanArea", "average_area", "make_factors"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factors:
    """Tables at true bins.

    Parameters
    ----------
    area_cm2 : (energy, pixel), mean over each bin of energy
    psf : Gaussians at bin centres
    migration : energy dispersion at any offset
    """

    area_cm2: Array
    psf: PsfFactors
    migration: Migration


def make_factors(irf: Irf, true: Axes, reconstructed: Axes, pointing: Pointing) -> Factors:
    """Evaluate the tables of a response at the true bins of one pointing.

    Parameters
    ----------
    irf : the response
    true, reconstructed : axes
    pointing : gives the offset of each pixel's centre
    """
    offsets = pointing.offsets_deg(true.grid)
    nodes = make_energy_nodes(true.energy)
    area = average_area(irf, nodes, offsets)
    psf = read_psf_factors(irf, true.energy.centres_tev, offsets, area > 0)
    migration = read_migration(irf, nodes, reconstructed.energy, float(np.max(offsets)))
    return Factors(area, psf, migration)


def average_area(irf: Irf, nodes: EnergyNodes, offset_deg: Array) -> Array:
    """Return the mean over each bin of energy at offsets (n,), (energy, n), cm2: linear between the table's nodes."""
    return MeanArea.of(irf, nodes, float(np.max(offset_deg))).at(offset_deg, slice(None))


class MeanArea(NamedTuple):
    """Means of the area over bins of energy at the offsets between which it is linear.

    ``offsets_deg`` (offset,), ``means_cm2`` (energy, offset), ``axis``: where there are any.
    """

    offsets_deg: Array
    means_cm2: Array
    axis: Axis

    @classmethod
    def of(cls, irf: Irf, nodes: EnergyNodes, reach_deg: float) -> MeanArea:
        """Return the means of a response out to an offset."""
        at = make_offset_nodes(irf.area.offset, reach_deg)
        return cls(at, nodes.average(irf.area_cm2(nodes.energies_tev[..., None], at)), irf.area.offset)

    @property
    def largest_cm2(self) -> Array:
        """Largest area of each bin at any offset, (energy,); above zero."""
        largest: Array = np.maximum(self.means_cm2.max(axis=1), np.finfo(np.float64).tiny)
        return largest

    def at(self, offset_deg: Array, bins: NDArray[np.int64] | slice) -> Array:
        """Return the area at offsets (n,), cm2: in bins of their own (n,), or (energy, n) in all of a slice."""
        nodes = self.offsets_deg
        cell = np.clip(np.searchsorted(nodes, offset_deg, side="right") - 1, 0, len(nodes) - 2)
        upper = (offset_deg - nodes[cell]) / (nodes[cell + 1] - nodes[cell])
        area = self.means_cm2[bins, cell] * (1 - upper) + self.means_cm2[bins, cell + 1] * upper
        return np.where(self.axis.contains(offset_deg), area, 0.0)
