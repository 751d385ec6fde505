"""A uniform disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.sky.pixel_integrals import integrate_outline, place_around
from skysift.sky.shapes.shape import check_positive, seen_from, stretch

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Disk"]

Array = NDArray[np.float64]

_CORNERS = 4096


@dataclass(frozen=True)
class Disk:
    """Uniform disk, elongated if asked.

    Parameters
    ----------
    lon_deg, lat_deg : centre, Galactic, deg
    radius_deg : along the major axis, deg
    elongation : minor over major axis; 1 when round
    angle_deg : position angle of the major axis, from north towards rising longitudes, deg

    Raises
    ------
    InputError : a radius that is not positive or beyond 90 deg
    """

    lon_deg: float
    lat_deg: float
    radius_deg: float
    elongation: float = 1.0
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse radii without meaning."""
        check_positive("disk", radius_deg=self.radius_deg, elongation=self.elongation)
        if self.reach_deg > 90:
            raise InputError("disk", "radius_deg", self.reach_deg, "at most 90 deg", "use an isotropic component")

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return max(self.radius_deg, self._minor)

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, angle = seen_from(self, lon_deg, lat_deg)
        angle = angle - np.radians(self.angle_deg)
        inside = np.hypot(apart * np.cos(angle) / self.radius_deg, apart * np.sin(angle) / self._minor) <= 1
        return np.where(inside, 1.0 / self.area_deg2, 0.0)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        areas, total = integrate_outline(*self._outline(_CORNERS), grid)
        return areas / total

    @property
    def share_on_sphere(self) -> float:
        """Share of places on the plane that the sphere keeps."""
        return self.area_deg2 / (np.pi * self.radius_deg * self._minor)

    def share_beyond(self, distance_deg: float) -> float:
        """Return one: all may lie so far from the centre, deg."""
        return 1.0

    def place(self, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array]:
        """Return distances and position angles (n,), deg, on the plane, from uniform numbers (3, n)."""
        return stretch(self.radius_deg, self._minor, self.angle_deg, np.sqrt(shares[0]), shares[1])

    @cached_property
    def area_deg2(self) -> float:
        """Solid angle, deg2."""
        turn = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
        wide = np.hypot(np.cos(turn) / self.radius_deg, np.sin(turn) / self._minor)
        return float(np.mean(4 * np.pi * np.sin(np.radians(1 / wide) / 2) ** 2) * np.degrees(1.0) ** 2)

    @property
    def _minor(self) -> float:
        return self.radius_deg * self.elongation

    def _outline(self, corners: int) -> tuple[Array, Array]:
        turn = np.arange(corners) * 2 * np.pi / corners
        along, across = self.radius_deg * np.cos(turn), self._minor * np.sin(turn)
        angle = np.degrees(np.arctan2(across, along)) + self.angle_deg
        return place_around(self.lon_deg, self.lat_deg, np.hypot(along, across), angle)
