"""The part of a cube that a source can shine into, and where its shape is divided more finely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysift.geometry.wcs import WcsGrid

__all__ = ["EVERYWHERE_DEG", "MARGIN_DEG", "MOST_PARTS", "Window", "count_parts", "cut", "cut_around"]

#: Beyond the reach of a shape, so that it may move a little while its window stays; deg.
MARGIN_DEG = 0.1
#: Shapes that reach so far have no place.
EVERYWHERE_DEG = 90.0
MOST_PARTS = 200


@dataclass(frozen=True)
class Window:
    """Rows and columns of a grid."""

    top: int
    left: int
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The same as slices."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)

    def inside(self, other: Window) -> tuple[slice, slice]:
        """Return the slices of this window within another one that holds it."""
        return Window(self.top - other.top, self.left - other.left, self.rows, self.columns).slices

    def grid(self, grid: WcsGrid) -> WcsGrid:
        """Return the pixels of the window."""
        return grid.window(self.top, self.left, self.rows, self.columns)


def cut(grid_shape: tuple[int, int], place: tuple[float, float], size: tuple[int, int]) -> Window | None:
    """Return a window of some rows and columns around a place, trimmed at the edges; None where nothing is left.

    Parameters
    ----------
    grid_shape : rows and columns of the grid
    place : row and column, not whole
    size : rows and columns wanted
    """
    ends = []
    for count, middle, wanted in zip(grid_shape, place, size, strict=True):
        first = math.ceil(middle - wanted / 2)
        ends.append((max(first, 0), min(first + wanted, count)))
    if any(low >= high for low, high in ends):
        return None
    (top, bottom), (left, right) = ends
    return Window(top, left, bottom - top, right - left)


def cut_around(grid: WcsGrid, place: tuple[float, float], kernel: int, reach_deg: float) -> Window | None:
    """Return the window of a source: its kernel and twice its reach wide, an odd number of pixels; all without reach.

    Parameters
    ----------
    grid : of the cube
    place : row and column of the source
    kernel : width of the kernel in pixels, 0 without
    reach_deg : distance from the centre beyond which the shape has nothing left
    """
    if reach_deg >= EVERYWHERE_DEG:
        return Window(0, 0, *grid.shape)
    # the width of a kernel is measured in the pixels that it was made in
    width_deg = kernel * grid.scale_deg + 2 * (reach_deg + MARGIN_DEG)
    rows, columns = (math.ceil(max(width_deg / abs(step), 1) - 1e-9) // 2 * 2 + 1 for step in grid.step_deg[::-1])
    return cut(grid.shape, place, (rows, columns))


def count_parts(scale_deg: float, size_deg: float) -> int:
    """Return into how many parts a pixel is cut along each side to see details of a size."""
    return MOST_PARTS if size_deg <= 0 else min(MOST_PARTS, max(1, math.ceil(scale_deg / size_deg)))
