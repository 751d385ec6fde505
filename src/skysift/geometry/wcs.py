"""Pixels of a sky map in tangent-plane or plate carrée projection, as FITS headers describe them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.sphere import lonlat_deg, unit_vectors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ICRS_TO_GALACTIC", "Frame", "WcsGrid", "turn_frame"]

Array = NDArray[np.float64]
Frame = Literal["galactic", "icrs"]
Projection = Literal["TAN", "CAR"]


def _rotate(axis: int, angle_deg: float) -> Array:
    """Return the rotation of coordinates (3, 3) by an angle about one axis."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = sine, -sine
    return matrix


#: ICRS to the frame of FK5 (Hilton & Hohenkerk 2004, A&A 413, 765: -19.9, -9.1 and -22.9 mas), and that to Galactic
#: coordinates: direction of their pole and position angle of their zero, the numbers of IAU 1958 brought to J2000.
_MAS = 1 / 3.6e6
_TO_FK5: Array = _rotate(0, 19.9 * _MAS) @ _rotate(1, 9.1 * _MAS) @ _rotate(2, -22.9 * _MAS)
_POLE_DEG, _ZERO_DEG = (192.8594812065348, 27.12825118085622), 122.9319185680026
#: Rows: the Galactic x, y and z axes in ICRS.
ICRS_TO_GALACTIC: Array = (
    _rotate(2, 180.0 - _ZERO_DEG) @ _rotate(1, 90.0 - _POLE_DEG[1]) @ _rotate(2, _POLE_DEG[0]) @ _TO_FK5
)


def turn_frame(source: Frame, target: Frame) -> Array:
    """Return the rotation (3, 3) of unit vectors from one frame to another."""
    if source == target:
        return np.eye(3)
    return ICRS_TO_GALACTIC if target == "galactic" else ICRS_TO_GALACTIC.T


@dataclass(frozen=True, eq=False)
class WcsGrid:
    """Pixels of an image; row ``y``, column ``x``, both from 0 at the centre of the first pixel.

    Parameters
    ----------
    projection : TAN, or CAR with a reference on the equator of its frame
    frame : of the coordinates
    reference_deg : longitude and latitude of the reference (CRVAL), deg
    step_deg : degrees per pixel along x and y at the reference (CDELT); x is negative where longitude grows to the left
    reference_pixel : place of the reference (CRPIX - 1), x and y
    shape : rows and columns

    Raises
    ------
    InputError : an oblique plate carrée, steps of zero, no pixels

    Examples
    --------
    >>> grid = WcsGrid.around((0.0, 0.0), (5, 5), 0.1)
    >>> float(grid.lonlat_deg[1][0, 0].round(5))
    -0.2
    """

    projection: Projection
    frame: Frame
    reference_deg: tuple[float, float]
    step_deg: tuple[float, float]
    reference_pixel: tuple[float, float]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse what is no map."""
        if self.projection == "CAR" and self.reference_deg[1] != 0.0:
            found, remedy = f"CAR around latitude {self.reference_deg[1]:g} deg", "set CRVAL2 to 0 and move CRPIX2"
            raise InputError("grid", "projection", found, "CAR with its reference on the equator", remedy)
        if 0.0 in self.step_deg or min(self.shape) < 1:
            found = f"{self.shape} pixels of {self.step_deg} deg"
            raise InputError("grid", "pixels", found, "one pixel or more, of some size", "correct the axes")

    @classmethod
    def around(
        cls,
        centre_deg: tuple[float, float],
        shape: tuple[int, int],
        step_deg: float,
        frame: Frame = "galactic",
        projection: Projection = "TAN",
    ) -> WcsGrid:
        """Return square pixels around a centre, longitude growing to the left."""
        middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
        if projection == "CAR":
            middle = (middle[0], middle[1] - centre_deg[1] / step_deg)
            centre_deg = (centre_deg[0], 0.0)
        return cls(projection, frame, centre_deg, (-step_deg, step_deg), middle, shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def scale_deg(self) -> float:
        """The larger of the two steps, deg."""
        return max(abs(step) for step in self.step_deg)

    def window(self, top: int, left: int, rows: int, columns: int) -> WcsGrid:
        """Return the pixels from row ``top`` and column ``left`` on; they may lie beyond the edges."""
        x, y = self.reference_pixel
        return replace(self, reference_pixel=(x - left, y - top), shape=(rows, columns))

    @cached_property
    def lonlat_deg(self) -> tuple[Array, Array]:
        """Longitudes and latitudes of the centres, (rows, columns) each, deg."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float64)
        return self.to_sky(columns, rows)

    @cached_property
    def areas_sr(self) -> Array:
        """Solid angles, (rows, columns), sr: of flat quadrangles between the corners."""
        rows, columns = np.mgrid[: self.shape[0] + 1, : self.shape[1] + 1].astype(np.float64) - 0.5
        corners = unit_vectors(*self.to_sky(columns, rows))
        one, other = corners[1:, 1:] - corners[:-1, :-1], corners[1:, :-1] - corners[:-1, 1:]
        areas: Array = 0.5 * np.linalg.norm(np.cross(one, other), axis=-1)
        return areas

    def to_sky(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return longitude and latitude, deg, at pixel places (...); NaN where a projection ends."""
        east = np.radians((x - self.reference_pixel[0]) * self.step_deg[0])
        north = np.radians((y - self.reference_pixel[1]) * self.step_deg[1])
        if self.projection == "CAR":
            latitude = np.degrees(north)
            good = np.abs(latitude) <= 90.0
            longitude = np.where(good, self.reference_deg[0] + np.degrees(east), np.nan)
            return longitude, np.where(good, latitude, np.nan)
        return lonlat_deg(self._tangent_vectors(east, north))

    def _tangent_vectors(self, east: Array, north: Array) -> Array:
        """Return unit vectors (..., 3) of places on the tangent plane, rad."""
        longitude, latitude = np.radians(self.reference_deg)
        outward = unit_vectors(*self.reference_deg)
        to_east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
        to_north = np.array(
            [-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)]
        )
        vectors: Array = outward + east[..., None] * to_east + north[..., None] * to_north
        unit: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        return unit

    def to_pixel(self, lon_deg: Tensor, lat_deg: Tensor, frame: Frame | None = None) -> tuple[Tensor, Tensor]:
        """Return pixel places x and y (...) of directions (...), deg, differentiably.

        Parameters
        ----------
        lon_deg, lat_deg : tensors that broadcast
        frame : of the directions, None for that of the grid
        """
        import torch

        lon, lat = torch.deg2rad(lon_deg), torch.deg2rad(lat_deg)
        if frame is not None and frame != self.frame:
            lon, lat = _turn(lon, lat, turn_frame(frame, self.frame))
        lon0, lat0 = np.radians(self.reference_deg)
        if self.projection == "CAR":
            apart = torch.remainder(lon - lon0 + np.pi, 2 * np.pi) - np.pi
            east, north = apart, lat
        else:
            apart, sine, cosine = lon - lon0, torch.sin(lat), torch.cos(lat)
            depth = np.sin(lat0) * sine + np.cos(lat0) * cosine * torch.cos(apart)
            east = cosine * torch.sin(apart) / depth
            north = (np.cos(lat0) * sine - np.sin(lat0) * cosine * torch.cos(apart)) / depth
        x = torch.rad2deg(east) / self.step_deg[0] + self.reference_pixel[0]
        return x, torch.rad2deg(north) / self.step_deg[1] + self.reference_pixel[1]

    def lonlat_in(self, frame: Frame) -> tuple[Array, Array]:
        """Return longitudes and latitudes of the centres in a frame, (rows, columns) each, deg."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float64)
        return self.lonlat_at(columns, rows, frame)

    def lonlat_at(self, x: Array, y: Array, frame: Frame) -> tuple[Array, Array]:
        """Return longitudes and latitudes of pixel places (...) in a frame, deg."""
        lon, lat = self.to_sky(x, y)
        if frame == self.frame:
            return lon, lat
        return lonlat_deg(unit_vectors(lon, lat) @ turn_frame(self.frame, frame).T)


def _turn(lon: Tensor, lat: Tensor, matrix: Array) -> tuple[Tensor, Tensor]:
    """Turn directions, rad."""
    import torch

    cosine = torch.cos(lat)
    here = (cosine * torch.cos(lon), cosine * torch.sin(lon), torch.sin(lat))
    x, y, z = (sum(float(weight) * part for weight, part in zip(row, here, strict=True)) for row in matrix)
    x, y, z = (torch.as_tensor(part) for part in (x, y, z))
    return torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))
