"""The public inner-Galaxy data set: which file holds which map, and what its values add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DATASET", "ENERGY_EDGES_GEV", "GROUP", "Member", "Role"]

Role = Literal["counts", "exposure", "template", "mask"]

GROUP = "fermi"
"""Name of the data set in the registry of public files."""

ENERGY_EDGES_GEV = (2.0, 20.0)
"""One bin; Pass 8 UltracleanVeto, PSF3, 4 Aug 2008 to 7 Jul 2016, zenith below 90 deg."""


@dataclass(frozen=True)
class Member:
    """One map of the data set: its name in a configuration, its file, its role and its full-map sum."""

    name: str
    file: str
    role: Role
    total: float


DATASET = (
    Member("counts", "fermidata_counts.npy", "counts", 1481467.0),
    Member("exposure", "fermidata_exposure.npy", "exposure", 1.2965716200866432e16),
    Member("mask_3fgl", "fermidata_pscmask.npy", "mask", 11206.0),
    Member("mask_3fgl_0p8deg", "mask_3fgl_0p8deg.npy", "mask", 26740.0),
    Member("p6v11", "template_dif.npy", "template", 84755.77365711817),
    Member("isotropic", "template_iso.npy", "template", 186454.37145686493),
    Member("point_sources", "template_psc.npy", "template", 158570.83236183895),
    Member("bubbles", "template_bub.npy", "template", 22326.324336866845),
    Member("nfw_squared", "template_gce.npy", "template", 27137.441011688854),
    Member("disk", "template_dsk.npy", "template", 54796.43024778804),
    Member("model_o_gas", "ModelO_r25_q1_pibrem.npy", "template", 166683.39172581251),
    Member("model_o_ics", "ModelO_r25_q1_ics.npy", "template", 100226.10100122303),
)
