"""Directions, axes, grids, HEALPix maps, regions and masks."""

from skysift.geometry.axes import EnergyAxis
from skysift.geometry.grids import LonLatGrid
from skysift.geometry.healpix import (
    change_resolution,
    check_nside,
    interpolate,
    pixel_area_sr,
    pixel_vectors,
    reorder_to_ring,
    rotate_to_galactic,
)
from skysift.geometry.regions import (
    AllOf,
    Annulus,
    AnyOf,
    Box,
    Disc,
    NamedMask,
    Not,
    PlaneBand,
    Region,
    Shape,
)
from skysift.geometry.sphere import angular_separation_deg, lonlat_deg, rotation, unit_vectors

__all__ = [
    "AllOf",
    "Annulus",
    "AnyOf",
    "Box",
    "Disc",
    "EnergyAxis",
    "LonLatGrid",
    "NamedMask",
    "Not",
    "PlaneBand",
    "Region",
    "Shape",
    "angular_separation_deg",
    "change_resolution",
    "check_nside",
    "interpolate",
    "lonlat_deg",
    "pixel_area_sr",
    "pixel_vectors",
    "reorder_to_ring",
    "rotate_to_galactic",
    "rotation",
    "unit_vectors",
]
