"""Maps of the sky as functions of direction: on a projected plane or in HEALPix, and their integrals over pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import interpolate, pixel_area_sr
from skysift.geometry.sphere import unit_vectors
from skysift.sky.plate_maps import refuse_uncovered

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["HealpixMap", "ProjectedMap", "SkyMap", "integrate_samples", "share_of_pixels"]

Array = NDArray[np.float64]

_NODES = 2
_FINER = 4


class SkyMap(Protocol):
    """A map, or a stack of maps, of something per solid angle."""

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (..., n) at directions (n,), deg; NaN outside."""

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel, (..., J), values times deg2."""


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


def share_of_pixels(pixels: Array, place: str) -> Array:
    """Return the share (J,) of a map's flux in each pixel, from its integrals over pixels.

    Raises
    ------
    InputError : values below zero, or no flux
    """
    total = float(pixels.sum())
    if pixels.min() < 0 or not total > 0:
        found = f"lowest {pixels.min():g}, total {total:g}"
        raise InputError(place, "values", found, "values >= 0 with a positive total in the field", "mend the map")
    share: Array = pixels / total
    return share
