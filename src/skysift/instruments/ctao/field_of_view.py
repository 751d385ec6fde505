"""Field-of-view coordinates: the sky turned so that the pointing is the origin."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from skysift.errors import InputError
from skysift.geometry.sphere import unit_vectors
from skysift.instruments.ctao.tables import Array

__all__ = ["Direction", "field_of_view_deg", "offset_deg"]


class Direction(Protocol):
    """A pointing: Galactic coordinates in deg.

    Where a background follows the horizon it also has ``vertical_deg``, the position angle of the direction to the
    zenith, from Galactic north towards rising longitude.
    """

    @property
    def lon_deg(self) -> float:
        """Galactic longitude, deg."""
        ...

    @property
    def lat_deg(self) -> float:
        """Galactic latitude, deg."""
        ...


def offset_deg(x_deg: ArrayLike, y_deg: ArrayLike) -> Array:
    """Return the angle to the origin of the field of view, deg."""
    x, y = np.radians(x_deg), np.radians(y_deg)
    across = np.hypot(np.cos(y) * np.sin(x), np.sin(y))
    offset: Array = np.degrees(np.arctan2(across, np.cos(y) * np.cos(x)))
    return offset


def field_of_view_deg(
    lon_deg: ArrayLike, lat_deg: ArrayLike, pointing: Direction, alignment: str
) -> tuple[Array, Array]:
    """Return x and y in the field of view: spherical coordinates around the pointing, x rising with falling longitude.

    Parameters
    ----------
    lon_deg, lat_deg : (...), Galactic, deg
    pointing : the origin
    alignment : "RADEC", where y points to the equatorial north, or "ALTAZ", where it points to the zenith

    Returns
    -------
    x, y : (...), deg, in [-180, 180] and [-90, 90]

    Raises
    ------
    InputError : the field of view follows the horizon and the pointing does not say where that is

    References
    ----------
    Data formats for gamma-ray astronomy 0.3, section Coordinates.
    """
    if alignment == "RADEC":
        position_angle = _equatorial_angle(pointing)
    else:
        angle = getattr(pointing, "vertical_deg", None)
        if angle is None:
            place = f"pointing at l = {pointing.lon_deg:g}, b = {pointing.lat_deg:g} deg"
            found = "FOVALIGN = ALTAZ, and no direction of the zenith (vertical_deg)"
            wanted = "a background that follows the sky (RADEC), or depends on the offset alone"
            remedy = "take a response with such a background (BKG_2D), or leave the component background out"
            raise InputError(place, "background", found, wanted, remedy)
        position_angle = np.radians(float(angle))
    origin, east, north = _frame(pointing)
    up = np.cos(position_angle) * north + np.sin(position_angle) * east
    left = np.cos(position_angle) * east - np.sin(position_angle) * north
    vectors = unit_vectors(lon_deg, lat_deg)
    x = -np.degrees(np.arctan2(_along(vectors, left), _along(vectors, origin)))
    y = np.degrees(np.arcsin(np.clip(_along(vectors, up), -1.0, 1.0)))
    return x, y


def _along(vectors: Array, direction: Array) -> Array:
    """Return components (...) of vectors along a direction; unlike a matrix product, no row sees the others."""
    component: Array = vectors[..., 0] * direction[0] + vectors[..., 1] * direction[1] + vectors[..., 2] * direction[2]
    return component


def _frame(pointing: Direction) -> tuple[Array, Array, Array]:
    """Return the direction and its Galactic east and north."""
    lon, lat = np.radians(pointing.lon_deg), np.radians(pointing.lat_deg)
    origin = unit_vectors(pointing.lon_deg, pointing.lat_deg)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return origin, east, north


def _equatorial_angle(pointing: Direction) -> float:
    """Return the position angle of the equatorial north, from Galactic north towards rising longitude, rad."""
    _, east, north = _frame(pointing)
    pole = unit_vectors(*_equatorial_pole_deg())
    return float(np.arctan2(pole @ east, pole @ north))


@cache
def _equatorial_pole_deg() -> tuple[float, float]:
    from astropy.coordinates import SkyCoord

    pole = SkyCoord(0.0, 90.0, unit="deg", frame="icrs").galactic
    return float(pole.l.deg), float(pole.b.deg)
