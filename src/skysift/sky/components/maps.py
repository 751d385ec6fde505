"""Templates of the sky: images and cubes on any projection, read out between their pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from skysift.errors import InputError
from skysift.geometry.sphere import unit_vectors

__all__ = ["SkyMap", "TemplateShape", "make_sky_map"]

Array = NDArray[np.float64]
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class SkyMap:
    """An image or a cube.

    Parameters
    ----------
    place : file and HDU
    values : (lat, lon) or (energy, lat, lon), sr-1 once normalised, or an intensity
    find : maps longitudes and latitudes (n,), deg, in the frame of the map to pixel coordinates x, y (n,), from 0
    centre_deg : longitude and latitude of the centre
    width_deg : of the larger side
    frame : ``icrs`` or ``galactic``
    energies_tev : of the planes of a cube
    """

    place: str
    values: Array
    find: Callable[[Array, Array], tuple[Array, Array]]
    centre_deg: tuple[float, float]
    width_deg: float
    frame: str
    energies_tev: Array | None = None

    def __post_init__(self) -> None:
        """Refuse what is no brightness."""
        bad = ~np.isfinite(self.values) | (self.values < 0)
        if bad.any():
            where = ", ".join(str(int(index)) for index in np.argwhere(bad)[0])
            found = f"{self.values[bad][0]} in pixel {where} ({int(bad.sum())} in all)"
            raise InputError(self.place, "values", found, "values >= 0", "set them to 0, or take another template")

    def normalised(self, solid_angle_sr: Array) -> SkyMap:
        """Return the map whose integral is one, in sr-1.

        Parameters
        ----------
        solid_angle_sr : (lat, lon), of the pixels
        """
        total = self.values.sum((-2, -1), keepdims=True)
        shares = np.divide(self.values, total, out=np.zeros_like(self.values), where=total != 0)
        return SkyMap(
            self.place, shares / solid_angle_sr, self.find, self.centre_deg, self.width_deg, self.frame,
            self.energies_tev,
        )  # fmt: skip

    def values_at(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (n,) or (energy, n) at directions (n,): linear in logarithms between pixels, 0 outside.

        Raises
        ------
        InputError : an image of fewer than two pixels on a side
        """
        if min(self.values.shape[-2:]) < 2:
            raise InputError(self.place, "values", self.values.shape, "2 x 2 pixels or more", "take another template")
        x, y = self.find(np.asarray(lon_deg, dtype=np.float64), np.asarray(lat_deg, dtype=np.float64))
        rows, columns = self.values.shape[-2:]
        # The outer half of the outermost pixels continues what is between them and their neighbours.
        inside = (np.abs(x - (columns - 1) / 2) <= columns / 2) & (np.abs(y - (rows - 1) / 2) <= rows / 2)
        x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
        left, low = (np.clip(np.floor(one).astype(int), 0, size - 2) for one, size in ((x, columns), (y, rows)))
        logs = np.log(np.maximum(self.values, _TINY))
        corners = [(up, right, logs[..., low + up, left + right]) for up in (0, 1) for right in (0, 1)]
        # Beside a pixel without light there is nothing to continue: logarithms would grow without bound.
        is_dark = np.min([corner for _, _, corner in corners], axis=0) <= np.log(_TINY)
        shares = [np.where(is_dark, np.clip(one, 0, 1), one) for one in (y - low, x - left)]
        mean = sum(
            (shares[0] if up else 1 - shares[0]) * (shares[1] if right else 1 - shares[1]) * corner
            for up, right, corner in corners
        )
        values = np.exp(mean)
        found: Array = np.where(inside & (values > 2 * _TINY), values, 0.0)
        return found

    def shape_at(self, lon_0_deg: Tensor | None, lat_0_deg: Tensor | None) -> TemplateShape:
        """Return the shape that the map is, moved to another centre where one is given.

        Raises
        ------
        InputError : a centre that is to be fitted
        """
        moved = []
        for given, own in zip((lon_0_deg, lat_0_deg), self.centre_deg, strict=True):
            if given is not None and given.requires_grad:
                raise InputError(
                    self.place, "lon_0, lat_0", "free", "a template that stays where it is", "freeze its position"
                )
            number = float("nan") if given is None else float(given)
            moved.append(0.0 if np.isnan(number) else number - own)
        return TemplateShape(self, (moved[0], moved[1]))


@dataclass(frozen=True, eq=False)
class TemplateShape:
    """A template as a shape, in the frame of its map.

    Parameters
    ----------
    map : values per sr
    moved_deg : by how much it is moved in longitude and latitude
    """

    map: SkyMap
    moved_deg: tuple[float, float] = (0.0, 0.0)
    size_deg: float = float("inf")
    is_point: bool = False
    values: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def reach_deg(self) -> float:
        """Half of the larger side, deg."""
        return self.map.width_deg / 2

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Return the density (n,), of cubes (energy, n), in sr-1 at directions (n,) in deg, in the frame of the map."""
        lon, lat = (np.asarray(one, dtype=np.float64) for one in (lon_deg, lat_deg))
        return torch.as_tensor(self.map.values_at(lon - self.moved_deg[0], lat - self.moved_deg[1]))


class Image(Protocol):
    """An image or cube as it was read."""

    @property
    def place(self) -> str:
        """File and HDU."""

    @property
    def array(self) -> Array:
        """Values (lat, lon) or (energy, lat, lon)."""

    @property
    def cards(self) -> Mapping[str, str | int | float | bool]:
        """Header, for the projection."""

    @property
    def energies(self) -> Array | None:
        """Of the planes of a cube."""


def make_sky_map(image: Image, *, is_normalised: bool, energies_tev: Array | None = None) -> SkyMap:
    """Return the template that an image is, in the frame of its header.

    Parameters
    ----------
    image : on any celestial projection, Galactic or equatorial
    is_normalised : whether its integral is to be one (of each plane of a cube)
    energies_tev : of the planes of a cube, TeV

    Raises
    ------
    InputError : another frame, a projection that cannot be read, values that are negative or not finite
    """
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    try:
        wcs = WCS(Header(list(image.cards.items()))).celestial
        frame = {"RA": "icrs", "GLON": "galactic"}[str(wcs.wcs.ctype[0])[:4].rstrip("-")]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        found = ", ".join(str(image.cards.get(f"CTYPE{axis}")) for axis in (1, 2))
        remedy = "take a map in one of these frames"
        raise InputError(image.place, "CTYPE1, CTYPE2", found, "RA and DEC, or GLON and GLAT", remedy) from error

    def find(lon_deg: Array, lat_deg: Array) -> tuple[Array, Array]:
        x, y = wcs.wcs_world2pix(lon_deg, lat_deg, 0)
        # Plate carrée maps repeat every turn, and their reference need not be near.
        turn = 360.0 / abs(wcs.wcs.cdelt[0])
        is_flat = str(wcs.wcs.ctype[0]).endswith("CAR")
        return (x - turn * np.round((x - columns / 2) / turn) if is_flat else x), y

    rows, columns = image.array.shape[-2:]
    lon, lat = wcs.wcs_pix2world((columns - 1) / 2, (rows - 1) / 2, 0)
    width = max(abs(step) * count for step, count in zip(wcs.wcs.cdelt, (columns, rows), strict=True))
    values = np.asarray(image.array, dtype=np.float64)
    made = SkyMap(image.place, values, find, (float(lon) % 360.0, float(lat)), float(width), frame, energies_tev)
    return made.normalised(_solid_angles(wcs, rows, columns)) if is_normalised else made


def _solid_angles(wcs: Any, rows: int, columns: int) -> Array:  # noqa: ANN401 - astropy carries no types
    """Return the solid angle of each pixel (rows, columns), sr, from its edges."""
    y, x = np.mgrid[:rows, :columns].astype(np.float64)

    def towards(dx: float, dy: float) -> Array:
        return unit_vectors(*wcs.wcs_pix2world(x + dx, y + dy, 0))

    across, along = towards(0.5, 0.0) - towards(-0.5, 0.0), towards(0.0, 0.5) - towards(0.0, -0.5)
    areas: Array = np.linalg.norm(np.cross(across, along), axis=-1)
    return areas
