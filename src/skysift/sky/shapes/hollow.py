"""Sources with a hole: what a filled shape has and a smaller one inside it takes away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.sky.pixel_integrals import integrate_inside
from skysift.sky.shapes.disk import Disk
from skysift.sky.shapes.shape import seen_from

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Ball", "Ring", "Shell"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ball:
    r"""Ball of uniform emissivity, projected.

    .. math:: S(\rho) \propto \sqrt{\rho_o^2 - \rho^2}, \quad \rho < \rho_o

    Parameters
    ----------
    lon_deg, lat_deg : centre, Galactic, deg
    radius_deg : deg
    """

    lon_deg: float
    lat_deg: float
    radius_deg: float

    @cached_property
    def depth_deg3(self) -> float:
        """Integral of the depth over the sphere, deg3."""
        points, parts = np.polynomial.legendre.leggauss(32)
        angle = 0.25 * np.pi * (1 + points)
        rings = np.degrees(np.sin(np.radians(self.radius_deg * np.sin(angle)))) * np.cos(angle) ** 2
        return float(0.5 * np.pi**2 * self.radius_deg**2 * rings @ parts)

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, _ = seen_from(self, lon_deg, lat_deg)
        density: Array = np.sqrt(np.maximum(self.radius_deg**2 - apart**2, 0.0)) / self.depth_deg3
        return density

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        circle_deg = (self.lon_deg, self.lat_deg, self.radius_deg)
        return integrate_inside(self.density, circle_deg, grid, self.radius_deg / 2, has_edge=True)


@dataclass(frozen=True)
class _Hollow(ABC):
    """Something between two radii.

    Parameters
    ----------
    lon_deg, lat_deg : centre, Galactic, deg
    inner_deg, outer_deg : radii, deg

    Raises
    ------
    InputError : radii that do not rise from 0
    """

    lon_deg: float
    lat_deg: float
    inner_deg: float
    outer_deg: float

    def __post_init__(self) -> None:
        """Refuse radii without meaning."""
        if not 0 < self.inner_deg < self.outer_deg <= 90:
            raise InputError(
                type(self).__name__.lower(), "inner_deg, outer_deg", f"{self.inner_deg}, {self.outer_deg}",
                "0 < inner < outer <= 90 deg", "use a disk when it has no hole",
            )  # fmt: skip

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return self.outer_deg

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        (outer, filled), (inner, hole) = self._parts
        difference: Array = filled * outer.density(lon_deg, lat_deg) - hole * inner.density(lon_deg, lat_deg)
        return np.maximum(difference, 0.0) / (filled - hole)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        (outer, filled), (inner, hole) = self._parts
        difference = filled * outer.integrate(grid) - hole * inner.integrate(grid)
        return np.maximum(difference, 0.0) / (filled - hole)

    @property
    def share_on_sphere(self) -> float:
        """Share of places on the plane that the sphere keeps."""
        (_, filled), (_, hole) = self._parts
        return (filled - hole) / self._on_plane

    def share_beyond(self, distance_deg: float) -> float:
        """Return one: all may lie so far from the centre, deg."""
        return 1.0

    def place(self, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array]:
        """Return distances and position angles (n,), deg, on the plane, from uniform numbers (3, n)."""
        return self._radii(shares[0], shares[2]), 360.0 * shares[1]

    def _between(self, share: Array, power: int) -> Array:
        """Return radii of places uniform between the two, in so many dimensions."""
        inner, outer = self.inner_deg**power, self.outer_deg**power
        radii: Array = (inner + (outer - inner) * share) ** (1.0 / power)
        return radii

    @property
    @abstractmethod
    def _parts(self) -> tuple[tuple[Disk | Ball, float], tuple[Disk | Ball, float]]:
        """The filled shape and the hole, and how much is in each."""

    @property
    @abstractmethod
    def _on_plane(self) -> float:
        """How much is between the two on a flat sky."""

    @abstractmethod
    def _radii(self, share: Array, other: Array) -> Array:
        """Return distances from the centre on a flat sky, deg, from two uniform numbers each."""


@dataclass(frozen=True)
class Ring(_Hollow):
    """Uniform between two radii; parameters as `_Hollow`."""

    @cached_property
    def _parts(self) -> tuple[tuple[Disk | Ball, float], tuple[Disk | Ball, float]]:
        outer, inner = (Disk(self.lon_deg, self.lat_deg, radius) for radius in (self.outer_deg, self.inner_deg))
        return (outer, outer.area_deg2), (inner, inner.area_deg2)

    @property
    def _on_plane(self) -> float:
        return np.pi * (self.outer_deg**2 - self.inner_deg**2)

    def _radii(self, share: Array, other: Array) -> Array:
        return self._between(share, 2)


@dataclass(frozen=True)
class Shell(_Hollow):
    r"""Spherical shell of uniform emissivity, projected; parameters as `_Hollow`.

    .. math:: S(\rho) \propto \sqrt{\rho_o^2 - \rho^2} - \sqrt{\max(\rho_i^2 - \rho^2, 0)}, \quad \rho < \rho_o
    """

    @cached_property
    def _parts(self) -> tuple[tuple[Disk | Ball, float], tuple[Disk | Ball, float]]:
        outer, inner = (Ball(self.lon_deg, self.lat_deg, radius) for radius in (self.outer_deg, self.inner_deg))
        return (outer, outer.depth_deg3), (inner, inner.depth_deg3)

    @property
    def _on_plane(self) -> float:
        return 2 * np.pi / 3 * (self.outer_deg**3 - self.inner_deg**3)

    def _radii(self, share: Array, other: Array) -> Array:
        radii: Array = self._between(share, 3) * np.sqrt(1 - other**2)
        return radii
