"""Regions of the sky as expressions over pixel centres: disc, annulus, band, box, map; and, or, not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import Vectors, angular_separation_deg, lonlat_deg, unit_vectors

__all__ = ["AllOf", "Annulus", "AnyOf", "Box", "Disc", "Maps", "NamedMask", "Not", "PlaneBand", "Region", "Shape"]

_ROUNDING_DEG = 1e-9  # edges are inside, whatever way their longitude was computed
Inside = NDArray[np.bool_]
Maps = Mapping[str, Inside]


class Shape(Protocol):
    """A part of the sky; pixel centres decide."""

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions (P, 3) lie inside, (P,); ``maps`` are (P,) masks by name."""
        ...

    def names(self) -> frozenset[str]:
        """Return the names of the masks that the shape needs."""
        ...


@dataclass(frozen=True)
class Disc:
    """All directions within ``radius_deg`` of a centre (longitude, latitude), edge included."""

    center_deg: tuple[float, float]
    radius_deg: float

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie inside, (P,)."""
        return angular_separation_deg(vectors, unit_vectors(*self.center_deg)) <= self.radius_deg

    def names(self) -> frozenset[str]:
        """Return no names."""
        return frozenset()


@dataclass(frozen=True)
class Annulus:
    """Directions between two radii around a centre, both edges included."""

    center_deg: tuple[float, float]
    inner_deg: float
    outer_deg: float

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie inside, (P,)."""
        separation = angular_separation_deg(vectors, unit_vectors(*self.center_deg))
        return (separation >= self.inner_deg) & (separation <= self.outer_deg)

    def names(self) -> frozenset[str]:
        """Return no names."""
        return frozenset()


@dataclass(frozen=True)
class PlaneBand:
    r"""Directions with \|b\| below ``half_width_deg``; the edge itself is outside."""

    half_width_deg: float

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie inside, (P,)."""
        return np.abs(lonlat_deg(vectors)[1]) < self.half_width_deg

    def names(self) -> frozenset[str]:
        """Return no names."""
        return frozenset()


@dataclass(frozen=True)
class Box:
    """A window in longitude and latitude, edges included; longitude runs eastwards and may wrap.

    Examples
    --------
    >>> Box((350.0, 10.0), None).contains(unit_vectors([0.0, 20.0], 0.0), {})
    array([ True, False])
    """

    longitude_deg: tuple[float, float] | None
    latitude_deg: tuple[float, float] | None

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie inside, (P,)."""
        longitude, latitude = lonlat_deg(vectors)
        inside = np.ones(longitude.shape, dtype=bool)
        if self.longitude_deg is not None:
            low, high = self.longitude_deg
            # A full turn is a full turn, not an empty window.
            width = high - low if abs(high - low) >= 360.0 else (high - low) % 360.0
            inside &= (longitude - low + _ROUNDING_DEG) % 360.0 <= width + 2 * _ROUNDING_DEG
        if self.latitude_deg is not None:
            inside &= (latitude >= self.latitude_deg[0]) & (latitude <= self.latitude_deg[1])
        return inside

    def names(self) -> frozenset[str]:
        """Return no names."""
        return frozenset()


@dataclass(frozen=True)
class NamedMask:
    """The pixels that a mask map marks."""

    name: str

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie inside, (P,)."""
        return maps[self.name]

    def names(self) -> frozenset[str]:
        """Return the mask's name."""
        return frozenset({self.name})


@dataclass(frozen=True)
class AllOf:
    """The intersection of shapes."""

    members: tuple[Shape, ...]

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie in every member, (P,)."""
        inside = np.ones(len(vectors), dtype=bool)
        for member in self.members:
            inside &= member.contains(vectors, maps)
        return inside

    def names(self) -> frozenset[str]:
        """Return the names that the members need."""
        return frozenset().union(*(member.names() for member in self.members))


@dataclass(frozen=True)
class AnyOf:
    """The union of shapes; empty without members."""

    members: tuple[Shape, ...]

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie in at least one member, (P,)."""
        inside = np.zeros(len(vectors), dtype=bool)
        for member in self.members:
            inside |= member.contains(vectors, maps)
        return inside

    def names(self) -> frozenset[str]:
        """Return the names that the members need."""
        return frozenset().union(*(member.names() for member in self.members))


@dataclass(frozen=True)
class Not:
    """Everything outside a shape."""

    member: Shape

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions lie outside the member, (P,)."""
        return ~self.member.contains(vectors, maps)

    def names(self) -> frozenset[str]:
        """Return the names that the member needs."""
        return self.member.names()


@dataclass(frozen=True)
class Region:
    """Where to look: a shape less a mask.

    Examples
    --------
    >>> region = Region(Disc((0.0, 0.0), 20.0), AnyOf((PlaneBand(2.0),)))
    >>> region.contains(unit_vectors(0.0, [1.0, 10.0]), {})
    array([False,  True])
    """

    shape: Shape
    mask: Shape

    def contains(self, vectors: Vectors, maps: Maps) -> Inside:
        """Return which directions are inside the shape and not masked, (P,)."""
        return self.shape.contains(vectors, maps) & ~self.mask.contains(vectors, maps)

    def names(self) -> frozenset[str]:
        """Return the names of the masks that the region needs."""
        return self.shape.names() | self.mask.names()
