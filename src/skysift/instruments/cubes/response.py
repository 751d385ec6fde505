"""The response at one direction: a kernel of the point-spread function in pixels, and a matrix of energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.cubes.dataset import nearest_valid

if TYPE_CHECKING:
    from skysift.geometry.wcs import Frame
    from skysift.instruments.cubes.dataset import CubeDataset

__all__ = ["LocalResponse", "make_kernel", "respond_at"]

Array = NDArray[np.float64]

#: Share of the light within a kernel, sub-pixels per radius that holds 68 %, most of them along a pixel.
CONTAINMENT, PRECISION, MOST_PARTS = 0.999, 12, 40


@dataclass(frozen=True, eq=False)
class LocalResponse:
    """Kernel (true energy, k, k), k odd, each of sum one, or None; shares (true energy, energy), or None."""

    kernel: Array | None
    shares: Array | None


def respond_at(dataset: CubeDataset, lon_deg: float, lat_deg: float, frame: Frame) -> LocalResponse:
    """Return the response at the valid direction that is nearest to one.

    Parameters
    ----------
    dataset : with its maps of the response
    lon_deg, lat_deg, frame : the direction
    """
    kernel, shares = None, None
    if dataset.psf is not None:
        row, column = nearest_valid(dataset.psf.grid, dataset.psf.valid, lon_deg, lat_deg, frame)
        kernel = make_kernel(dataset.psf.radius_deg, dataset.psf.density[:, :, row, column], dataset.grid.scale_deg)
    if dataset.dispersion is not None:
        row, column = nearest_valid(dataset.dispersion.grid, dataset.dispersion.valid, lon_deg, lat_deg, frame)
        shares = dataset.dispersion.shares[:, :, row, column]
    return LocalResponse(kernel, shares)


def make_kernel(radius_deg: Array, density: Array, step_deg: float) -> Array:
    """Return shares of the light of a point in the middle of a pixel, (energy, k, k), each of sum one.

    Every kernel reaches to the radius that holds 99.9 % of its light; pixels are divided where the PSF is narrow.

    Parameters
    ----------
    radius_deg : nodes, (R,), deg
    density : (energy, R), any unit per solid angle
    step_deg : width of a pixel
    """
    fine = np.linspace(0.0, radius_deg[-1], 20 * len(radius_deg) + 1)
    middle = 0.5 * (fine[1:] + fine[:-1])
    profile = np.stack([np.interp(middle, radius_deg, row) for row in np.clip(density, 0.0, None)])
    inside = np.cumsum(profile * middle, axis=1)
    total = inside[:, -1:]
    share = inside / np.where(total > 0, total, 1.0)
    reach = middle[np.argmax(share >= CONTAINMENT, axis=1)]
    half = int(np.ceil(reach.max() / step_deg - 0.5)) if reach.max() > 0.5 * step_deg else 0
    kernel = np.zeros((len(density), 2 * half + 1, 2 * half + 1))
    for energy, row in enumerate(np.clip(density, 0.0, None)):
        within = middle[np.argmax(share[energy] >= 0.68)]
        parts = int(np.clip(np.ceil(PRECISION * step_deg / (2 * within)), 1, MOST_PARTS))
        own = min(half, int(np.ceil(max(reach[energy] / step_deg - 0.5, 0.0))))
        place = (np.arange((2 * own + 1) * parts) - ((2 * own + 1) * parts - 1) / 2) * step_deg / parts
        apart = np.hypot(place[:, None], place)
        light = np.interp(apart, radius_deg, row, right=0.0)
        pixels = light.reshape(2 * own + 1, parts, 2 * own + 1, parts).sum((1, 3))
        if (found := pixels.sum()) > 0:
            kernel[energy, half - own : half + own + 1, half - own : half + own + 1] = pixels / found
        else:
            kernel[energy, half, half] = 1.0
    return kernel
