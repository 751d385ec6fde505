"""Unit vectors, angles between them, and rotations that keep north up."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["angular_separation_deg", "lonlat_deg", "rotation", "unit_vectors"]

Vectors = NDArray[np.float64]


def unit_vectors(longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> Vectors:
    """Return unit vectors towards directions on the sphere.

    Parameters
    ----------
    longitude_deg, latitude_deg : any shapes that broadcast together, deg

    Returns
    -------
    (..., 3)

    Examples
    --------
    >>> unit_vectors(0.0, 0.0)
    array([1., 0., 0.])
    """
    longitude, latitude = np.broadcast_arrays(np.radians(longitude_deg), np.radians(latitude_deg))
    cosine = np.cos(latitude)
    return np.stack((cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)), axis=-1)


def lonlat_deg(vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude in [-180, 180) and latitude of unit vectors (..., 3), both deg."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    longitude = np.degrees(np.arctan2(y, x))
    longitude = np.where(longitude >= 180.0, longitude - 360.0, longitude)
    return longitude, np.degrees(np.arctan2(z, np.hypot(x, y)))


def angular_separation_deg(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    r"""Return the angle between unit vectors, exact at all separations.

    .. math:: \theta = \mathrm{atan2}(|a \times b|, a \cdot b)

    Parameters
    ----------
    first, second : (..., 3), broadcast together

    Returns
    -------
    (...), deg

    Examples
    --------
    >>> float(angular_separation_deg(unit_vectors(0, 0), unit_vectors(0, 20)))
    20.0
    """
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    separation: NDArray[np.float64] = np.degrees(np.arctan2(cross, np.sum(first * second, axis=-1)))
    return separation


def rotation(center_from_deg: tuple[float, float], center_to_deg: tuple[float, float]) -> Vectors:
    """Return the rotation that moves one centre onto another and keeps local north up.

    Parameters
    ----------
    center_from_deg, center_to_deg : longitude and latitude, deg

    Returns
    -------
    (3, 3); ``rotation @ vector`` moves a direction near the first centre to the second
    """
    moved: Vectors = _frame(*center_to_deg) @ _frame(*center_from_deg).T
    return moved


def _frame(longitude_deg: float, latitude_deg: float) -> Vectors:
    """Return columns outward, east and north at a direction, (3, 3)."""
    outward = unit_vectors(longitude_deg, latitude_deg)
    longitude = np.radians(longitude_deg)
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    return np.column_stack((outward, east, np.cross(outward, east)))
