"""A camera: surface brightness on the sky in, expected pixel values out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.instruments.camera.blur import Blur
from skysift.instruments.camera.grid import PixelGrid

__all__ = ["Camera", "Psf"]

EDGES = ("zero", "extend")


@dataclass(frozen=True, eq=False)
class Psf:
    """A point spread function on the grid of a model's points.

    Parameters
    ----------
    kernel : (odd, odd), of sum one
    supersample : points per pixel that it was made for

    Raises
    ------
    InputError : an even size, a number that is not finite, or a sum that is not one
    """

    kernel: Tensor
    supersample: int = 1

    def __post_init__(self) -> None:
        """Check size and sum."""
        shape, total = tuple(self.kernel.shape), float(self.kernel.sum())
        if len(shape) != 2 or shape[0] % 2 == 0 or shape[1] % 2 == 0:
            remedy = "cut or resample it such that one point is its centre"
            raise InputError("psf", "shape", shape, "two odd numbers", remedy)
        if not abs(total - 1.0) < 1e-6:
            raise InputError("psf", "sum", total, "one", "divide by the sum, and look for holes")
        object.__setattr__(self, "kernel", self.kernel.to(torch.float64) / total)


@dataclass(frozen=True, eq=False)
class Camera:
    """Pixels with a point spread function, and what lies beyond the edges of the image.

    Parameters
    ----------
    grid : pixels, and points per pixel
    psf : on those points, or None for a camera without one
    edges : ``zero``, nothing beyond the image; ``extend``, light is evaluated half a kernel beyond it

    Raises
    ------
    InputError : the PSF was made for other points, or edges are unknown
    """

    grid: PixelGrid
    psf: Psf | None = None
    edges: Literal["zero", "extend"] = "extend"

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        if self.edges not in EDGES:
            raise InputError("camera", "edges", self.edges, " or ".join(EDGES), nearest(self.edges, EDGES))
        if self.psf is not None and self.psf.supersample != self.grid.supersample:
            wanted = f"a PSF on {self.grid.supersample} points per pixel, as the model's"
            remedy = "make the PSF on the finer grid, or change the model's supersampling"
            raise InputError("psf", "supersample", self.psf.supersample, wanted, remedy)

    @property
    def border(self) -> int:
        """Points beyond each edge at which light is evaluated."""
        if self.psf is None or self.edges == "zero":
            return 0
        return max(self.psf.kernel.shape) // 2

    @cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """Coordinates of the points at which light is evaluated, arcsec, broadcasting to (1, rows, columns)."""
        return self.grid.points(self.border)

    @cached_property
    def _blur(self) -> Blur:
        kernel = torch.ones(1, 1, dtype=torch.float64) if self.psf is None else self.psf.kernel
        f, border = self.grid.supersample, self.border
        shape = self.grid.rows * f + 2 * border, self.grid.columns * f + 2 * border
        return Blur(kernel * self.grid.pixel_area_arcsec2, shape, border, f)

    def expose(self, brightness: Tensor) -> Tensor:
        """Return expected pixel values for brightness per arcsec2 at the points.

        Parameters
        ----------
        brightness : (..., rows, columns) of points

        Returns
        -------
        (..., rows, columns) of pixels
        """
        shape = self._blur.shape
        return self._blur.apply(brightness.expand(*brightness.shape[:-2], *shape))

    def look(self, sky: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the image of a sky, a function of x and y in arcsec, (batch, rows, columns)."""
        return self.expose(sky(*self.points))
