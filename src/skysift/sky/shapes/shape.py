"""What every shape on the sky offers, and the geometry that shapes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.sky.pixel_integrals import place_around

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Centred", "Shape", "check_positive", "draw_around", "seen_from"]

Array = NDArray[np.float64]


class Centred(Protocol):
    """Something with a centre."""

    @property
    def lon_deg(self) -> float:
        """Longitude of the centre, deg."""

    @property
    def lat_deg(self) -> float:
        """Latitude of the centre, deg."""


class Shape(Centred, Protocol):
    """What every shape offers; its total over the sphere is one."""

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""


def seen_from(shape: Centred, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Array, Array]:
    """Return the separation, deg, and position angle, rad, of directions seen from a shape's centre."""
    longitude, latitude = np.radians(np.asarray(lon_deg) - shape.lon_deg), np.radians(lat_deg)
    centre = np.radians(shape.lat_deg)
    east = np.cos(latitude) * np.sin(longitude)
    # The difference of latitudes, and not of their sines, keeps small separations exact.
    north = np.sin(latitude - centre) + 2 * np.cos(latitude) * np.sin(centre) * np.sin(longitude / 2) ** 2
    outward = np.cos(latitude - centre) - 2 * np.cos(latitude) * np.cos(centre) * np.sin(longitude / 2) ** 2
    return np.degrees(np.arctan2(np.hypot(east, north), outward)), np.arctan2(east, north)


def draw_around(
    shape: Centred, count: int, generator: np.random.Generator, flat: Callable[[int], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """Turn draws from the plane (distance and position angle, deg) into draws from the sphere."""
    distances, angles = np.zeros(0), np.zeros(0)
    while len(distances) < count:
        distance, angle = flat(count - len(distances))
        # A ring of the sphere is shorter than a ring of the plane by sin(rho) / rho.
        kept = (distance < 180.0) & (generator.random(len(distance)) < np.sinc(distance / 180.0))
        distances, angles = np.append(distances, distance[kept]), np.append(angles, angle[kept])
    return place_around(shape.lon_deg, shape.lat_deg, distances, angles)


def check_positive(kind: str, **values: float) -> None:
    """Refuse numbers that are not positive."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(kind, name, value, "a positive number", "use a point when it has no size")
