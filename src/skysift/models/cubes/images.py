"""Images of sources before any response: shares of a source's light in the pixels of its window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysift.models.cubes.window import EVERYWHERE_DEG, Window, count_parts, cut
from skysift.sky.components import build_shape

if TYPE_CHECKING:
    from skysift.config.models import PartDeclaration
    from skysift.geometry.wcs import Frame, WcsGrid

__all__ = ["Image", "PointImage", "ShapeImage", "make_image"]

#: Points of a rule along each part of a pixel, which may be so many times as wide as the detail of a shape.
_POINTS, _DETAIL = 3, 3.0
Values = Mapping[str, Tensor]
Image = Callable[[Values], Tensor]


@dataclass(frozen=True, eq=False)
class PointImage:
    """A point, spread over the pixels around it so that its centre stays.

    Linear weights, as Gammapy has them, make it wider and have kinks at the centres of pixels; cubic ones (Keys 1981,
    IEEE Trans. ASSP 29, 1153, eq. 15) move a smooth image to third order, and their gradient is continuous.

    Parameters
    ----------
    grid : pixels of the window
    frame : of its coordinates
    rows, columns : of the pixels, from 0
    is_smooth : cubic weights instead of linear ones
    """

    grid: WcsGrid
    frame: Frame
    rows: Tensor
    columns: Tensor
    is_smooth: bool = False

    def __call__(self, values: Values) -> Tensor:
        """Return shares (batch, rows, columns)."""
        x, y = self.grid.to_pixel(values["lon_0"], values["lat_0"], self.frame)
        weigh = _weigh_smoothly if self.is_smooth else _weigh_linearly
        across = weigh((self.columns - x.reshape(-1, 1)).abs())
        down = weigh((self.rows - y.reshape(-1, 1)).abs())
        return down[:, :, None] * across[:, None, :]


def _weigh_linearly(apart: Tensor) -> Tensor:
    return (1 - apart).clamp_min(0.0)


def _weigh_smoothly(apart: Tensor) -> Tensor:
    near = 1 + apart**2 * (1.5 * apart - 2.5)
    far = 2 - apart * (4 - apart * (2.5 - 0.5 * apart))
    return torch.where(apart < 1, near, torch.where(apart < 2, far, 0.0))


@dataclass(frozen=True, eq=False)
class ShapeImage:
    """Means of densities over pixels, times solid angles.

    Parameters
    ----------
    part : declaration of the shape
    lon_deg, lat_deg : places, (rows * points * columns * points,), in the frame of the shape
    areas_sr : of the pixels of ``inner``, (rows, columns)
    weights : of the places along each side of a pixel, (points,), sum one
    inner : where the shape is evaluated
    outer : the window of the source
    """

    part: PartDeclaration
    lon_deg: Tensor
    lat_deg: Tensor
    areas_sr: Tensor
    weights: Tensor
    inner: Window
    outer: Window

    def __call__(self, values: Values) -> Tensor:
        """Return shares (batch, rows, columns)."""
        density = build_shape(self.part, values).density(self.lon_deg, self.lat_deg)
        rows, columns, points = self.inner.rows, self.inner.columns, len(self.weights)
        if points > 1:
            # along columns, then along rows
            density = density.reshape(-1, rows, points, columns, points) @ self.weights
            density = density.transpose(2, 3) @ self.weights
        image = density.reshape(-1, rows, columns) * self.areas_sr
        if self.inner == self.outer:
            return image
        down, across = self.inner.inside(self.outer)
        sides = (across.start, self.outer.columns - across.stop, down.start, self.outer.rows - down.stop)
        return torch.nn.functional.pad(image, sides)


def make_image(part: PartDeclaration, values: Values, grid: WcsGrid, outer: Window, *, is_exact: bool = False) -> Image:
    """Return what makes the image of a shape in a window; what it freezes is that of the values given.

    Parameters
    ----------
    part : declaration of the shape, in natural units
    values : of its parameters, each a single number
    grid : of the cube
    outer : the window
    is_exact : means over pixels by Gauss-Legendre rules; else values at their centres, or those of their parts

    Raises
    ------
    InputError : a shape that cannot be evaluated
    """
    frame: Frame = "galactic" if part.frame == "galactic" else "icrs"
    shape = build_shape(part, values)
    device = next(iter(values.values())).device if values else torch.device("cpu")
    if shape.is_point:
        rows, columns = (
            torch.arange(count, dtype=torch.float64, device=device) for count in (outer.rows, outer.columns)
        )
        return PointImage(outer.grid(grid), frame, rows, columns, is_exact)
    parts, inner = count_parts(grid.scale_deg, shape.size_deg * (_DETAIL if is_exact else 1.0)), outer
    if shape.reach_deg < EVERYWHERE_DEG and (parts > 1 or is_exact):
        here = _inner_window(grid, place_of(grid, values, frame), max(shape.reach_deg, grid.scale_deg), outer)
        parts, inner = (1, outer) if here is None else (parts, here)
    offsets, weights = _rule(parts, _POINTS if is_exact else 1)
    down, across = ((np.arange(count)[:, None] + offsets).ravel() for count in (inner.rows, inner.columns))
    own = inner.grid(grid)
    lon, lat = own.lonlat_at(*np.meshgrid(across, down), frame)
    return ShapeImage(
        part,
        _tensor(lon, device),
        _tensor(lat, device),
        _tensor(own.areas_sr, device, flat=False),
        _tensor(weights, device),
        inner,
        outer,
    )


def _tensor(array: NDArray[np.float64], device: torch.device, *, flat: bool = True) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array.ravel() if flat else array), device=device)


def _rule(parts: int, points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places within a pixel, from -0.5 to 0.5, and their weights: a rule in each of its parts."""
    places, weights = np.polynomial.legendre.leggauss(points)
    middles = (np.arange(parts) + 0.5) / parts - 0.5
    return (middles[:, None] + places / (2 * parts)).ravel(), np.tile(weights / (2 * parts), parts)


def place_of(grid: WcsGrid, values: Values, frame: Frame) -> tuple[float, float]:
    """Return row and column of a shape's centre; the middle of the grid for shapes without one."""
    if "lon_0" not in values or not bool(torch.isfinite(values["lon_0"]).all()):
        return (grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2
    x, y = grid.to_pixel(values["lon_0"], values["lat_0"], frame)
    return float(y), float(x)


def _inner_window(grid: WcsGrid, place: tuple[float, float], reach_deg: float, outer: Window) -> Window | None:
    """Return a window twice the reach wide, within the outer one."""
    rows, columns = (round(2 * reach_deg / abs(step)) for step in grid.step_deg[::-1])
    moved = (place[0] - outer.top, place[1] - outer.left)
    found = cut((outer.rows, outer.columns), moved, (rows, columns))
    return None if found is None else replace(found, top=found.top + outer.top, left=found.left + outer.left)
