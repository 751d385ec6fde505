"""Shapes of sources on the sky: density per solid angle, exact shares of pixels, random positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.sky.pixel_integrals import integrate_inside, integrate_outline, place_around

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Disk", "Gaussian", "Point", "Ring", "Shape", "Shell"]

Array = NDArray[np.float64]

_REACH = 6.5
"""Gaussians are cut at so many sigma, where 7e-10 of them is missing."""
_CORNERS = 4096


class Shape(Protocol):
    """What every shape offers; its total over the sphere is one."""

    @property
    def lon_deg(self) -> float:
        """Longitude of the centre, deg."""

    @property
    def lat_deg(self) -> float:
        """Latitude of the centre, deg."""

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""


@dataclass(frozen=True)
class Point:
    """All in one place, Galactic, deg."""

    lon_deg: float
    lat_deg: float

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return 0.0

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return infinity at the point and zero elsewhere, (...)."""
        apart = angular_separation_deg(unit_vectors(lon_deg, lat_deg), unit_vectors(self.lon_deg, self.lat_deg))
        return np.where(apart == 0, np.inf, 0.0)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid: one where the point lies."""
        shares = np.zeros(grid.size)
        pixel = int(np.ravel(grid.find(np.array([self.lon_deg]), np.array([self.lat_deg])))[0])
        if pixel >= 0:
            shares[pixel] = 1.0
        return shares

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return the point's longitude and latitude, (count,), deg."""
        return np.full(count, self.lon_deg), np.full(count, self.lat_deg)


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
        _check_positive("gaussian", sigma_deg=self.sigma_deg, elongation=self.elongation)

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return min(_REACH * max(self.sigma_deg, self._minor), 180.0)

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, angle = _polar(self, lon_deg, lat_deg)
        return self._profile(apart, angle - np.radians(self.angle_deg)) / self._total

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        circle_deg = (self.lon_deg, self.lat_deg, self.reach_deg)
        return integrate_inside(self.density, circle_deg, grid, 2 * min(self.sigma_deg, self._minor))

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""

        def flat(size: int) -> tuple[Array, Array]:
            along, across = generator.standard_normal((2, size)) * [[self.sigma_deg], [self._minor]]
            return np.hypot(along, across), np.degrees(np.arctan2(across, along)) + self.angle_deg

        return _draw(self, count, generator, flat)

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
        _check_positive("disk", radius_deg=self.radius_deg, elongation=self.elongation)
        if self.reach_deg > 90:
            raise InputError("disk", "radius_deg", self.reach_deg, "at most 90 deg", "use an isotropic component")

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return max(self.radius_deg, self._minor)

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, angle = _polar(self, lon_deg, lat_deg)
        angle = angle - np.radians(self.angle_deg)
        inside = np.hypot(apart * np.cos(angle) / self.radius_deg, apart * np.sin(angle) / self._minor) <= 1
        return np.where(inside, 1.0 / self.area_deg2, 0.0)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        areas, total = integrate_outline(*self._outline(_CORNERS), grid)
        return areas / total

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""

        def flat(size: int) -> tuple[Array, Array]:
            radius, turn = np.sqrt(generator.random(size)), 2 * np.pi * generator.random(size)
            along, across = self.radius_deg * radius * np.cos(turn), self._minor * radius * np.sin(turn)
            return np.hypot(along, across), np.degrees(np.arctan2(across, along)) + self.angle_deg

        return _draw(self, count, generator, flat)

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


@dataclass(frozen=True)
class Ring:
    """Uniform between two radii.

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
        _check_rising("ring", self.inner_deg, self.outer_deg)

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return self.outer_deg

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        apart, _ = _polar(self, lon_deg, lat_deg)
        outer, inner = self._disks
        inside = (apart >= self.inner_deg) & (apart <= self.outer_deg)
        return np.where(inside, 1.0 / (outer.area_deg2 - inner.area_deg2), 0.0)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        outer, inner = self._disks
        difference = outer.integrate(grid) * outer.area_deg2 - inner.integrate(grid) * inner.area_deg2
        return np.maximum(difference, 0.0) / (outer.area_deg2 - inner.area_deg2)

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""

        def flat(size: int) -> tuple[Array, Array]:
            inner, outer = self.inner_deg**2, self.outer_deg**2
            return np.sqrt(inner + (outer - inner) * generator.random(size)), 360.0 * generator.random(size)

        return _draw(self, count, generator, flat)

    @cached_property
    def _disks(self) -> tuple[Disk, Disk]:
        return Disk(self.lon_deg, self.lat_deg, self.outer_deg), Disk(self.lon_deg, self.lat_deg, self.inner_deg)


@dataclass(frozen=True)
class Shell:
    r"""Spherical shell of uniform emissivity, projected.

    .. math:: S(\rho) \propto \sqrt{\rho_o^2 - \rho^2} - \sqrt{\max(\rho_i^2 - \rho^2, 0)}, \quad \rho < \rho_o

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
        _check_rising("shell", self.inner_deg, self.outer_deg)

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return self.outer_deg

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the density per deg2 at directions (...)."""
        return (self._ball(self.outer_deg)(lon_deg, lat_deg) - self._ball(self.inner_deg)(lon_deg, lat_deg)) / (
            _ball_total(self.outer_deg) - _ball_total(self.inner_deg)
        )

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid."""
        outer, inner = (
            integrate_inside(self._ball(radius), (self.lon_deg, self.lat_deg, radius), grid, radius / 2, has_edge=True)
            for radius in (self.outer_deg, self.inner_deg)
        )
        return np.maximum(outer - inner, 0.0) / (_ball_total(self.outer_deg) - _ball_total(self.inner_deg))

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return random longitudes and latitudes (count,), deg."""

        def flat(size: int) -> tuple[Array, Array]:
            inner, outer = self.inner_deg**3, self.outer_deg**3
            radius = np.cbrt(inner + (outer - inner) * generator.random(size))
            return radius * np.sqrt(1 - generator.random(size) ** 2), 360.0 * generator.random(size)

        return _draw(self, count, generator, flat)

    def _ball(self, radius_deg: float) -> Callable[[ArrayLike, ArrayLike], Array]:
        """Return the depth of a ball, deg, as a function of direction."""

        def depth(lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
            apart, _ = _polar(self, lon_deg, lat_deg)
            square: Array = np.sqrt(np.maximum(radius_deg**2 - apart**2, 0.0))
            return square

        return depth


def _ball_total(radius_deg: float) -> float:
    """Return the integral of a projected ball over the sphere, deg3."""
    points, parts = np.polynomial.legendre.leggauss(32)
    angle = 0.25 * np.pi * (1 + points)
    rings = np.degrees(np.sin(np.radians(radius_deg * np.sin(angle)))) * np.cos(angle) ** 2
    return float(0.5 * np.pi**2 * radius_deg**2 * rings @ parts)


def _polar(shape: Shape, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Array, Array]:
    """Return the separation, deg, and position angle, rad, of directions seen from a shape's centre."""
    longitude, latitude = np.radians(np.asarray(lon_deg) - shape.lon_deg), np.radians(lat_deg)
    centre = np.radians(shape.lat_deg)
    east = np.cos(latitude) * np.sin(longitude)
    # The difference of latitudes, and not of their sines, keeps small separations exact.
    north = np.sin(latitude - centre) + 2 * np.cos(latitude) * np.sin(centre) * np.sin(longitude / 2) ** 2
    outward = np.cos(latitude - centre) - 2 * np.cos(latitude) * np.cos(centre) * np.sin(longitude / 2) ** 2
    return np.degrees(np.arctan2(np.hypot(east, north), outward)), np.arctan2(east, north)


def _draw(
    shape: Shape, count: int, generator: np.random.Generator, flat: Callable[[int], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """Turn draws from the plane (distance and position angle, deg) into draws from the sphere."""
    distances, angles = np.zeros(0), np.zeros(0)
    while len(distances) < count:
        distance, angle = flat(count - len(distances))
        # A ring of the sphere is shorter than a ring of the plane by sin(rho) / rho.
        kept = (distance < 180.0) & (generator.random(len(distance)) < np.sinc(distance / 180.0))
        distances, angles = np.append(distances, distance[kept]), np.append(angles, angle[kept])
    return place_around(shape.lon_deg, shape.lat_deg, distances, angles)


def _check_positive(kind: str, **values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(kind, name, value, "a positive number", "use a point when it has no size")


def _check_rising(kind: str, inner_deg: float, outer_deg: float) -> None:
    if not 0 < inner_deg < outer_deg <= 90:
        raise InputError(
            kind, "inner_deg, outer_deg", f"{inner_deg}, {outer_deg}", "0 < inner < outer <= 90 deg",
            "use a disk when it has no hole",
        )  # fmt: skip
