"""The pixels of an image, on the sky, and the finer points at which light is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skysift.errors import InputError

__all__ = ["PixelGrid"]

Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class PixelGrid:
    """Pixels of an image: x to the right, y up, the origin in the image's centre.

    Parameters
    ----------
    rows, columns : number of pixels
    matrix : pixels to angles, arcsec: x = m00 column + m01 row, y = m10 column + m11 row
    supersample : points per pixel along each axis

    Raises
    ------
    InputError : no pixels, a matrix without area, or less than one point per pixel

    Examples
    --------
    >>> PixelGrid.square(2, 3, 0.5).points()[0]
    tensor([[[-0.5000,  0.0000,  0.5000]]], dtype=torch.float64)
    """

    rows: int
    columns: int
    matrix: Matrix
    supersample: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.rows, self.columns, self.supersample) < 1:
            found = f"{self.rows} x {self.columns}, supersample {self.supersample}"
            raise InputError("camera", "grid", found, "one or more", "give pixels, and points per pixel")
        if not 0.0 < self.pixel_area_arcsec2 < float("inf"):
            raise InputError("camera", "pixel", self.matrix, "a matrix with an area", "give the pixel scale in arcsec")

    @classmethod
    def square(cls, rows: int, columns: int, pixel_arcsec: float, supersample: int = 1) -> PixelGrid:
        """Return a grid of square pixels along the axes."""
        return cls(rows, columns, ((pixel_arcsec, 0.0), (0.0, pixel_arcsec)), supersample)

    @property
    def pixel_area_arcsec2(self) -> float:
        """Area of a pixel, whichever way its axes are flipped."""
        (a, b), (c, d) = self.matrix
        return abs(a * d - b * c)

    @property
    def pixel_arcsec(self) -> float:
        """Side of a square of the pixel's area."""
        return math.sqrt(self.pixel_area_arcsec2)

    def points(self, border: int = 0) -> tuple[Tensor, Tensor]:
        """Return x and y of the points, arcsec, as they broadcast to (1, rows, columns) of points.

        ``border``: further points beyond each edge.
        """
        (a, b), (c, d) = self.matrix
        column = self._axis(self.columns, border)[None, None, :]
        row = self._axis(self.rows, border)[None, :, None]
        # without rotation each coordinate has one axis, which spares passes over the whole grid
        x = a * column if b == 0.0 else a * column + b * row
        y = d * row if c == 0.0 else c * column + d * row
        return x, y

    def _axis(self, pixels: int, border: int) -> Tensor:
        """Return positions of points along one axis, in pixels from the centre."""
        count = pixels * self.supersample + 2 * border
        return (torch.arange(count, dtype=torch.float64) - 0.5 * (count - 1)) / self.supersample
