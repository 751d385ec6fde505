"""Maps and cubes of users: what their headers and units mean, and their integrals over pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import interpolate, pixel_area_sr, reorder_to_ring
from skysift.geometry.sphere import unit_vectors
from skysift.sky.plate_maps import PlateMap, refuse_uncovered

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = [
    "HealpixMap", "ProjectedMap", "SkyMap", "band_integral", "energies_tev", "integrate_cube", "integrate_samples",
    "interpret_healpix", "interpret_image", "share_of_map",
]  # fmt: skip

Array = NDArray[np.float64]

_TEV = {"ev": 1e-12, "kev": 1e-9, "mev": 1e-6, "gev": 1e-3, "tev": 1.0}
_INTENSITY = "cm-2 s-1 sr-1"
_NODES = 2
_FINER = 4


class SkyMap(Protocol):
    """A map, or a stack of maps, of something per solid angle."""

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (..., n) at directions (n,), deg; NaN outside."""

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel, (..., J), values times deg2."""


class Image(Protocol):
    """An image as it was read."""

    @property
    def place(self) -> str:
        """File and HDU."""

    @property
    def array(self) -> np.ndarray:
        """Values, (lat, lon) or (energy, lat, lon)."""

    @property
    def cards(self) -> Mapping[str, Any]:
        """Header cards."""


@dataclass(frozen=True, eq=False)
class ProjectedMap:
    """Values on a projected plane, bilinear between pixel centres.

    Parameters
    ----------
    values : (..., M, N)
    wcs : celestial projection (astropy), Galactic or equatorial
    place : file, for messages
    """

    values: Array
    wcs: Any
    place: str = "map"

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (..., n) at directions (n,), deg; NaN outside."""
        from astropy.coordinates import SkyCoord

        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, dtype=np.float64), np.asarray(lat_deg, dtype=np.float64))
        x, y = self.wcs.world_to_pixel(SkyCoord(lon, lat, unit="deg", frame="galactic"))
        height, width = self.values.shape[-2:]
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        x, y = (np.clip(np.where(inside, v, 0.0), 0.0, count - 1) for v, count in ((x, width), (y, height)))
        column, row = (np.minimum(v.astype(np.int64), n - 2) for v, n in ((x, width), (y, height)))
        right, up = x - column, y - row
        lower = self.values[..., row, column] * (1 - right) + self.values[..., row, column + 1] * right
        upper = self.values[..., row + 1, column] * (1 - right) + self.values[..., row + 1, column + 1] * right
        return np.where(inside, lower * (1 - up) + upper * up, np.nan)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel, (..., J), values times deg2.

        Raises
        ------
        InputError : pixels that the map does not cover
        """
        from astropy.wcs.utils import proj_plane_pixel_scales

        return integrate_samples(self, grid, float(np.min(proj_plane_pixel_scales(self.wcs))), self.place)


@dataclass(frozen=True, eq=False)
class HealpixMap:
    """A whole sky in HEALPix, RING, Galactic, interpolated between pixel centres.

    Parameters
    ----------
    values : (..., 12 nside^2)
    nside : resolution
    place : file, for messages
    """

    values: Array
    nside: int
    place: str = "map"

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (..., n) at directions (n,), deg."""
        return interpolate(self.values, unit_vectors(lon_deg, lat_deg))

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel, (..., J), values times deg2.

        Raises
        ------
        InputError : pixels where the map holds no numbers
        """
        return integrate_samples(self, grid, float(np.degrees(np.sqrt(pixel_area_sr(self.nside)))), self.place)


def interpret_image(image: Image, extend_deg: float = 0.0) -> SkyMap:
    """Return the map of an image or cube, its projection understood.

    Parameters
    ----------
    image : with header cards of a celestial projection, Galactic or equatorial
    extend_deg : how far a Galactic longitude-latitude map continues with its border values, deg

    Raises
    ------
    InputError : no celestial projection, values that are not finite
    """
    values = np.asarray(image.array, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(image.place, "values", "NaN or infinity", "finite values", "fill the gaps of the map")
    plate = _plate_axes(image)
    if plate is not None:
        lon, lat = plate
        # Axes that fall are turned round with their values.
        values = values[..., :: 1 if lat[1] > lat[0] else -1, :: 1 if lon[1] > lon[0] else -1]
        return PlateMap(np.sort(lon), np.sort(lat), values, image.place, extend_deg)
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    try:
        wcs = WCS(Header(list(image.cards.items()))).celestial
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise InputError(image.place, "WCS", error, "a celestial projection", "mend the header") from error
    if wcs.naxis != 2 or not wcs.has_celestial:
        raise InputError(image.place, "CTYPE1", image.cards.get("CTYPE1", "none"), "a celestial projection", "mend it")
    return ProjectedMap(values, wcs, image.place)


def _plate_axes(image: Image) -> tuple[Array, Array] | None:
    """Return longitudes and latitudes of a Galactic plate carree whose reference lies on the equator."""
    cards = image.cards
    kinds = [str(cards.get(f"CTYPE{axis}", "")).upper().replace(" ", "") for axis in (1, 2)]
    turned = any(name.startswith(("PC", "CD1_", "CD2_", "CROTA")) and float(cards[name]) for name in cards)
    if kinds != ["GLON-CAR", "GLAT-CAR"] or turned or float(cards.get("CRVAL2", 0.0)) != 0:
        return None
    try:
        lon, lat = (
            float(cards[f"CRVAL{axis}"])
            + float(cards[f"CDELT{axis}"]) * (np.arange(image.array.shape[-axis]) + 1 - float(cards[f"CRPIX{axis}"]))
            for axis in (1, 2)
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            image.place, "CRVAL, CDELT, CRPIX", error, "numbers on both axes", "mend the header"
        ) from error
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def interpret_healpix(values: Array, ordering: str, place: str) -> HealpixMap:
    """Return the map of whole-sky HEALPix values (..., 12 nside^2), Galactic, ordering "ring" or "nested".

    Raises
    ------
    InputError : not a whole sky
    """
    nside = int(np.sqrt(values.shape[-1] / 12))
    if 12 * nside**2 != values.shape[-1]:
        raise InputError(place, "pixels", values.shape[-1], "12 nside^2 pixels of the whole sky", "fill the map")
    ring = reorder_to_ring(values) if ordering == "nested" else values
    return HealpixMap(np.asarray(ring, dtype=np.float64), nside, place)


def integrate_samples(sky_map: SkyMap, grid: LonLatGrid, step_deg: float, place: str) -> Array:
    """Return integrals over pixels from Gauss-Legendre points at least as dense as the map's own pixels."""
    points, parts = np.polynomial.legendre.leggauss(_NODES)
    axes = []
    for edges, weight in ((grid.lat_edges_deg, np.cos), (grid.lon_edges_deg, np.ones_like)):
        pieces = max(1, int(np.ceil(_FINER * np.max(np.diff(edges)) / step_deg)))
        offsets = ((np.arange(pieces)[:, None] + 0.5 * (1 + points)) / pieces).reshape(-1)
        nodes = edges[:-1, None] + np.diff(edges)[:, None] * offsets
        axes.append(
            (nodes, weight(np.radians(nodes)) * np.diff(edges)[:, None] * np.tile(0.5 * parts / pieces, pieces))
        )
    (lat, across), (lon, along) = axes
    rows = []
    for row in range(len(lat)):
        places = np.broadcast_arrays(lon[None], lat[row][:, None, None])
        values = sky_map.sample(places[0].reshape(-1), places[1].reshape(-1))
        rows.append(
            np.einsum("...nlm,n,lm->...l", values.reshape(*values.shape[:-1], *places[0].shape), across[row], along)
        )
    pixels = np.concatenate(rows, axis=-1)
    covered = np.isfinite(pixels.reshape(-1, grid.size)).all(axis=0)
    refuse_uncovered(covered, grid, "another part of the sky", place)
    return pixels


def energies_tev(energies: Array | None, unit: str, place: str) -> Array:
    """Return the energies of a cube's planes in TeV.

    Raises
    ------
    InputError : none, an unknown unit, energies that do not rise
    """
    factor = _TEV.get(unit.strip().lower())
    if energies is None or factor is None:
        found = "none" if energies is None else f"unit {unit!r}"
        raise InputError(place, "energies", found, f"energies in one of {', '.join(_TEV)}", "mend the file")
    if len(energies) < 2 or not ((np.diff(energies) > 0).all() and energies[0] > 0):
        raise InputError(place, "energies", energies, "two or more rising energies", "mend the file")
    return np.asarray(energies, dtype=np.float64) * factor


def band_integral(cube: Array, energy_tev: Array, low_tev: float, high_tev: float) -> Array:
    """Return the integral over a band of values (E, ...) joined by power laws at energies (E,), values times TeV.

    The first and the last power law go on by up to half a step.

    Raises
    ------
    InputError : a band that the energies do not cover
    """
    half = np.sqrt(energy_tev[1:] / energy_tev[:-1])
    reach = energy_tev[0] / half[0], energy_tev[-1] * half[-1]
    if not reach[0] * (1 - 1e-3) <= low_tev < high_tev <= reach[1] * (1 + 1e-3):
        wanted = f"within {reach[0]:.4g} and {reach[1]:.4g} TeV"
        raise InputError("cube", "energy band", f"{low_tev:g} .. {high_tev:g} TeV", wanted, "choose another band")
    total = np.zeros(cube.shape[1:])
    bounds = np.concatenate(([0.0], energy_tev[1:-1], [np.inf]))
    for k in range(len(energy_tev) - 1):
        low, high = max(low_tev, bounds[k]), min(high_tev, bounds[k + 1])
        if low < high:
            total += _power_segment(cube[k], cube[k + 1], energy_tev[k : k + 2], low, high)
    return total


def _power_segment(first: Array, second: Array, energies: Array, low: float, high: float) -> Array:
    """Return the integral of a power law through two points, linear where a value is not positive."""
    step = np.log(energies[1] / energies[0])
    good = (first > 0) & (second > 0)
    slope = np.log(np.where(good, second, 1.0) / np.where(good, first, 1.0)) / step + 1
    width = np.log(high / low)
    exponent = slope * width
    near = np.abs(exponent) < 1e-8
    growth = np.where(near, 1.0, np.expm1(exponent) / np.where(near, 1.0, exponent))
    power: Array = first * low * (low / energies[0]) ** (slope - 1) * width * growth
    share = (0.5 * (low + high) - energies[0]) / (energies[1] - energies[0])
    line = (first * (1 - share) + second * share) * (high - low)
    return np.asarray(np.where(good, power, line), dtype=np.float64)


def integrate_cube(
    sky_map: SkyMap, energy_tev: Array, unit: str, edges_tev: Array, grid: LonLatGrid, place: str = "cube"
) -> Array:
    """Return the flux of a cube of intensities in bins of energy and pixels.

    Parameters
    ----------
    sky_map : a stack of maps, one per energy, in ``unit``
    energy_tev : (planes,), TeV
    unit : of the values, photons per area, time, solid angle and energy, such as "cm-2 s-1 sr-1 MeV-1"
    edges_tev : (E + 1,), TeV, within the energies of the cube

    Returns
    -------
    (E, J), cm-2 s-1

    Raises
    ------
    InputError : another kind of unit, energies or pixels that the cube does not cover
    """
    from astropy import units

    try:
        factor = units.Unit(unit).to(f"{_INTENSITY} TeV-1")
    except (ValueError, TypeError) as error:
        wanted = f"a unit of intensity per energy, such as {_INTENSITY} MeV-1"
        raise InputError(place, "unit", repr(unit), wanted, "state the unit in the file") from error
    pixels = sky_map.integrate(grid) * factor * np.radians(1.0) ** 2
    bins = pairwise(edges_tev)
    return np.stack([band_integral(pixels, energy_tev, float(low), float(high)) for low, high in bins])


def share_of_map(sky_map: SkyMap, grid: LonLatGrid, window: LonLatGrid | None = None) -> Array:
    """Return the share (J,) of a map's flux in each pixel, relative to its flux in a window (default: the grid).

    Raises
    ------
    InputError : values below zero, no flux, pixels that the map does not cover
    """
    pixels = sky_map.integrate(grid)
    total = float((pixels if window is None else sky_map.integrate(window)).sum())
    if pixels.min() < 0 or not total > 0:
        found = f"lowest {pixels.min():g}, total {total:g}"
        raise InputError("template", "values", found, "values >= 0 with a positive total", "mend the map")
    share: Array = pixels / total
    return share
