"""Area, point-spread function and energy dispersion at true bins: what a fold is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

__all__ = ["Factors", "average_area", "make_factors"]

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
    at = make_offset_nodes(irf.area.offset, float(np.max(offset_deg)))
    means = nodes.average(irf.area_cm2(nodes.energies_tev[..., None], at))
    cell = np.clip(np.searchsorted(at, offset_deg, side="right") - 1, 0, len(at) - 2)
    upper = (offset_deg - at[cell]) / (at[cell + 1] - at[cell])
    area = means[:, cell] * (1 - upper) + means[:, cell + 1] * upper
    return np.where(irf.area.offset.contains(offset_deg), area, 0.0)
