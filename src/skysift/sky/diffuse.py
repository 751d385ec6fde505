"""Diffuse emission of the Milky Way at TeV energies: a measured shape, or a synthetic one that needs no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.sky.map_cubes import band_integral, energies_tev
from skysift.sky.sky_maps import SkyMap, integrate_samples
from skysift.sky.template_maps import interpret_image

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid
    from skysift.sky.template_maps import Image

__all__ = [
    "GAGGERO_INDEX", "GAGGERO_NORM", "SHAPE_BAND_TEV", "SyntheticDiffuse", "fermi_shape", "mean_one",
    "synthetic_diffuse",
]  # fmt: skip

Array = NDArray[np.float64]

GAGGERO_NORM = 1.36e-8
"""Flux of the inner Galaxy at 1 TeV, TeV-1 cm-2 s-1 sr-1 (Gaggero et al. 2017, PRL 119, 031101)."""
GAGGERO_INDEX = 2.41
SHAPE_BAND_TEV = (0.01, 0.6)
"""Energies over which the Fermi-LAT model gives the shape, TeV."""

_FINE_DEG = 0.1
#: Longitude, latitude, size (deg) and height of made-up clouds.
_CLOUDS = ((0.7, -0.05, 0.5, 0.9), (-1.6, 0.25, 0.4, 0.6), (2.4, -0.7, 0.6, 0.4), (-0.4, 1.5, 0.8, 0.2))


@dataclass(frozen=True, eq=False)
class _Plane:
    """One plane made of a cube."""

    place: str
    array: np.ndarray
    cards: Mapping[str, Any]


def fermi_shape(
    image: Image, energies: Array | None, energy_unit: str, band_tev: tuple[float, float] = SHAPE_BAND_TEV,
    extend_deg: float = 0.0,
) -> SkyMap:  # fmt: skip
    """Return the Fermi-LAT diffuse model, integrated over a band of energies, as a map.

    Only its shape is of use: the model's file states no unit.

    Parameters
    ----------
    image : cube of intensities per energy
    energies, energy_unit : of its planes
    band_tev : TeV
    extend_deg : how far the map may be continued with its border values, deg

    Raises
    ------
    InputError : no energies, a band that they do not cover, no celestial projection

    References
    ----------
    Acero et al. (2016), ApJS 223, 26
    """
    points = energies_tev(energies, energy_unit, image.place)
    total = band_integral(image.array, points, *band_tev, image.place)
    return interpret_image(_Plane(image.place, total, image.cards), extend_deg)


def mean_one(sky_map: SkyMap, grid: LonLatGrid, window: LonLatGrid | None = None) -> Array:
    """Return the mean of a map over each pixel (J,), relative to its mean over a window (default: the grid).

    Raises
    ------
    InputError : pixels that the map does not cover
    """
    field = grid if window is None else window
    mean = float(sky_map.integrate(field).sum() / field.areas_deg2.sum())
    means: Array = sky_map.integrate(grid) / grid.areas_deg2 / mean
    return means


class SyntheticDiffuse:
    """A made-up diffuse sky: a bright band that warps about the plane, a broad disc, and clouds along it."""

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return the intensity at directions (...), deg, in arbitrary units."""
        lon = (np.asarray(lon_deg, dtype=np.float64) + 180.0) % 360.0 - 180.0
        lat = np.asarray(lat_deg, dtype=np.float64)
        inner = 1 / (1 + (lon / 40.0) ** 2)
        ridge = 0.1 * np.sin(np.radians(4 * lon))
        density: Array = 0.02 + inner * np.exp(-0.5 * ((lat - ridge) / 0.45) ** 2)
        density += 0.35 * inner * np.exp(-np.hypot(lat, 0.3) / 2.5)
        for at, up, size, height in _CLOUDS:
            density += height * np.exp(-0.5 * (((lon - at) / size) ** 2 + ((lat - up) / (0.6 * size)) ** 2))
        return density

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel of a grid, (J,)."""
        return integrate_samples(self, grid, _FINE_DEG, "synthetic diffuse sky")


def synthetic_diffuse(grid: LonLatGrid, window: LonLatGrid | None = None) -> Array:
    """Return the mean of the synthetic sky over each pixel (J,), relative to its mean over a window, else the grid."""
    return mean_one(SyntheticDiffuse(), grid, window)
