"""A Gaussian source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.sky.pixel_integrals import integrate_inside, place_around
from skysift.sky.shapes.shape import check_positive, seen_from, stretch

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Gaussian"]

Array = NDArray[np.float64]

_REACH = 6.5
"""Gaussians are cut at so many sigma, where 7e-10 of them is missing."""


@dataclass(frozen=True)
class Gaussian:
    r"""Gaussian in angular separation, elongated if asked.

    .. math:: S \propto \exp\left(-\tfrac12\left[(\rho \cos\delta / \sigma)^2
              + (\rho \sin\delta / \sigma_\mathrm{minor})^2\right]\right)

    with rho the separation and delta the position angle from the major axis.

    Parameters
    ----------
    lon_deg, lat_deg : centre, Galactic, deg
    sigma_deg : along the major axis, deg
    elongation : minor over major axis; 1 when round
    angle_deg : position angle of the major axis, from north towards rising longitudes, deg

    Raises
    ------
    InputError : a width that is not positive
    """

    lon_deg: float
    lat_deg: float
    sigma_deg: float
    elongation: float = 1.0
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse widths without meaning."""
        check_positive("gaussian", sigma_deg=self.sigma_deg, elongation=self.elongation)

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return min(_REACH * max(self.sigma_deg, self._minor), 180.0)

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, angle = seen_from(self, lon_deg, lat_deg)
        return self._profile(apart, angle - np.radians(self.angle_deg)) / self._total

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        circle_deg = (self.lon_deg, self.lat_deg, self.reach_deg)
        return integrate_inside(self.density, circle_deg, grid, 2 * min(self.sigma_deg, self._minor))

    def stand_in(self) -> tuple[Array, Array, Array]:
        """Return weights, longitudes and latitudes (9,), deg, of points with the same moments up to the fifth."""
        along, across = (part.ravel() for part in np.meshgrid(*(np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]),) * 2))
        weights = np.outer(*(np.array([1.0, 4.0, 1.0]) / 6.0,) * 2).ravel()
        along, across = self.sigma_deg * along, self._minor * across
        angle = np.degrees(np.arctan2(across, along)) + self.angle_deg
        return weights, *place_around(self.lon_deg, self.lat_deg, np.hypot(along, across), angle)

    @property
    def share_on_sphere(self) -> float:
        """Share of places on the plane that the sphere keeps."""
        return self._total / (2 * np.pi * self.sigma_deg * self._minor)

    def share_beyond(self, distance_deg: float) -> float:
        """Return a share of the flux that is at least what lies so far from the centre, deg."""
        return float(np.exp(-0.5 * (distance_deg / max(self.sigma_deg, self._minor)) ** 2))

    def place(self, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array]:
        """Return distances and position angles (n,), deg, on the plane, from uniform numbers (3, n)."""
        radius = np.sqrt(-2.0 * (np.log1p(-shares[0]) + np.log(self.share_beyond(beyond_deg))))
        return stretch(self.sigma_deg, self._minor, self.angle_deg, radius, shares[1])

    @property
    def _minor(self) -> float:
        return self.sigma_deg * self.elongation

    def _profile(self, apart: Array, angle: Array) -> Array:
        square = (np.cos(angle) / self.sigma_deg) ** 2 + (np.sin(angle) / self._minor) ** 2
        profile: Array = np.exp(-0.5 * apart**2 * square)
        return profile

    @cached_property
    def _total(self) -> float:
        """The integral of the profile over the sphere, deg2."""
        points, parts = np.polynomial.legendre.leggauss(64)
        turns = 512 if self.elongation != 1 else 1
        angle = np.arange(turns)[:, None] * 2 * np.pi / turns
        wide = np.hypot(np.cos(angle) / self.sigma_deg, np.sin(angle) / self._minor)
        half = 0.5 * np.minimum(9.0 / wide, 180.0)
        apart = half * (1 + points)
        rings = self._profile(apart, angle) * np.degrees(np.sin(np.radians(apart))) * half
        return float((rings @ parts).mean() * 2 * np.pi)
