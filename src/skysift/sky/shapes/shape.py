"""What every shape on the sky offers, and the geometry that shapes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.sky.pixel_integrals import place_around

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Centred", "Shape", "check_positive", "place_on_sphere", "seen_from", "stretch"]

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

    @property
    def share_on_sphere(self) -> float:
        """Share of places on the plane that the sphere keeps: its rings are shorter by sin(rho) / rho."""

    def share_beyond(self, distance_deg: float) -> float:
        """Return a share of the flux that is at least what lies so far from the centre, deg."""

    def place(self, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array]:
        """Return places on the plane tangent at the centre.

        Parameters
        ----------
        shares : (3, n), uniform numbers
        beyond_deg : leave out some of what is nearer to the centre than this, all that `share_beyond` does not hold

        Returns
        -------
        distance and position angle, (n,), deg
        """


def seen_from(shape: Centred, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Array, Array]:
    """Return the separation, deg, and position angle, rad, of directions seen from a shape's centre."""
    longitude, latitude = np.radians(np.asarray(lon_deg) - shape.lon_deg), np.radians(lat_deg)
    centre = np.radians(shape.lat_deg)
    east = np.cos(latitude) * np.sin(longitude)
    # The difference of latitudes, and not of their sines, keeps small separations exact.
    north = np.sin(latitude - centre) + 2 * np.cos(latitude) * np.sin(centre) * np.sin(longitude / 2) ** 2
    outward = np.cos(latitude - centre) - 2 * np.cos(latitude) * np.cos(centre) * np.sin(longitude / 2) ** 2
    return np.degrees(np.arctan2(np.hypot(east, north), outward)), np.arctan2(east, north)


def place_on_sphere(shape: Shape, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array, Array]:
    """Return random directions of a shape, and how likely each is to be kept.

    Parameters
    ----------
    shape : whose surface brightness it is
    shares : (3, n), uniform numbers
    beyond_deg : places nearer to the centre are not needed

    Returns
    -------
    longitude, latitude, deg, and the probability with which to keep it, (n,)
    """
    distance, angle = shape.place(shares, beyond_deg)
    kept = np.where(distance < 180.0, np.sinc(distance / 180.0), 0.0)
    return *place_around(shape.lon_deg, shape.lat_deg, distance, angle), kept


def stretch(major: float, minor: float, angle_deg: float, radius: Array, turn: Array) -> tuple[Array, Array]:
    """Return distances and position angles (n,), deg, of a round shape's places (turns of one) once it is elongated."""
    along, across = major * radius * np.cos(2 * np.pi * turn), minor * radius * np.sin(2 * np.pi * turn)
    return np.hypot(along, across), np.degrees(np.arctan2(across, along)) + angle_deg


def check_positive(kind: str, **values: float) -> None:
    """Refuse numbers that are not positive."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(kind, name, value, "a positive number", "use a point when it has no size")
