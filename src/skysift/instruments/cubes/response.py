"""The response at one direction: a kernel of the point-spread function in pixels, and a matrix of energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.geometry.wcs import WcsGrid
from skysift.instruments.cubes.dataset import nearest_valid

if TYPE_CHECKING:
    from skysift.geometry.wcs import Frame
    from skysift.instruments.cubes.dataset import CubeDataset, RadialPsf

__all__ = ["LocalResponse", "make_kernel", "respond_at"]

Array = NDArray[np.float64]

#: Share of the light within a kernel, sub-pixels per radius that holds 68 %, most of them along a pixel: as many as
#: that takes, or as few as Gammapy has.
CONTAINMENT, PRECISION, MOST_PARTS, GAMMAPY_PARTS = 0.999, 12, 40, 4


@dataclass(frozen=True, eq=False)
class LocalResponse:
    """Kernel (true energy, k, k), k odd, each of sum one, or None; shares (true energy, energy), or None."""

    kernel: Array | None
    shares: Array | None


def respond_at(
    dataset: CubeDataset, lon_deg: float, lat_deg: float, frame: Frame, quadrature: str = "exact"
) -> LocalResponse:
    """Return the response at a direction: the PSF linear between known directions, the dispersion of the nearest.

    Parameters
    ----------
    dataset : with its maps of the response
    lon_deg, lat_deg, frame : the direction
    quadrature : ``exact``, or ``gammapy`` for kernels as that package makes them
    """
    kernel, shares = None, None
    parts = GAMMAPY_PARTS if quadrature == "gammapy" else MOST_PARTS
    if dataset.psf is not None:
        density = _interpolate(dataset.psf, lon_deg, lat_deg, frame)
        kernel = make_kernel(dataset.psf.radius_deg, density, dataset.grid, parts)
    if dataset.dispersion is not None:
        row, column = nearest_valid(dataset.dispersion.grid, dataset.dispersion.valid, lon_deg, lat_deg, frame)
        shares = dataset.dispersion.shares[:, :, row, column]
    return LocalResponse(kernel, shares)


def _interpolate(psf: RadialPsf, lon_deg: float, lat_deg: float, frame: Frame) -> Array:
    """Return densities (true energy, R), linear between four directions; of the nearest valid one where it is none."""
    row, column = nearest_valid(psf.grid, psf.valid, lon_deg, lat_deg, frame)
    lon, lat = (torch.tensor(part, dtype=torch.float64) for part in (lon_deg, lat_deg))
    x, y = (float(part) for part in psf.grid.to_pixel(lon, lat, frame))
    if max(abs(x - column), abs(y - row)) > 1:
        return psf.density[:, :, row, column]
    (left, right, across), (low, high, up) = (
        _neighbours(*pair) for pair in zip((x, y), psf.grid.shape[::-1], strict=True)
    )
    below = psf.density[:, :, low, left] * (1 - across) + psf.density[:, :, low, right] * across
    above = psf.density[:, :, high, left] * (1 - across) + psf.density[:, :, high, right] * across
    density: Array = below * (1 - up) + above * up
    return density


def _neighbours(place: float, count: int) -> tuple[int, int, float]:
    """Return the nodes around a place, and how far it lies from the first towards the second."""
    first = min(max(int(np.floor(place)), 0), max(count - 2, 0))
    second = min(first + 1, count - 1)
    return first, second, min(max(place - first, 0.0), 1.0)


def make_kernel(radius_deg: Array, density: Array, grid: WcsGrid, most_parts: int = MOST_PARTS) -> Array:
    """Return shares of the light of a point in the middle of a pixel, (energy, k, k), each of sum one.

    Every kernel reaches to the radius that holds 99.9 % of its light; pixels are divided where the PSF is narrow.

    Parameters
    ----------
    radius_deg : nodes, (R,), deg
    density : (energy, R), sr-1
    grid : of the cube; kernels are those in its middle
    most_parts : into which a pixel is cut along each side
    """
    step_deg = grid.scale_deg
    centre = grid.to_sky(np.array((grid.shape[1] - 1) / 2), np.array((grid.shape[0] - 1) / 2))
    middle, share = _enclose(radius_deg, np.clip(density, 0.0, None))
    reach = middle[np.argmin(np.abs(share - CONTAINMENT), axis=1)]
    halves = (np.ceil(2 * reach / step_deg) // 2).astype(int)
    half = int(halves.max())
    kernel = np.zeros((len(density), 2 * half + 1, 2 * half + 1))
    for energy, row in enumerate(np.clip(density, 0.0, None)):
        within = middle[np.argmin(np.abs(share[energy] - 0.68))]
        parts = int(np.clip(np.ceil(PRECISION * step_deg / (2 * within)), 1, most_parts))
        own = int(halves[energy])
        here = WcsGrid.around(
            (float(centre[0]), float(centre[1])), (2 * own + 1,) * 2, step_deg, grid.frame, grid.projection
        )
        place = (np.arange((2 * own + 1) * parts) + 0.5) / parts - 0.5
        apart = angular_separation_deg(unit_vectors(*centre), unit_vectors(*here.to_sky(*np.meshgrid(place, place))))
        light = np.interp(apart, radius_deg, row, right=0.0)
        pixels = light.reshape(2 * own + 1, parts, 2 * own + 1, parts).sum((1, 3))
        if (found := pixels.sum()) > 0:
            kernel[energy, half - own : half + own + 1, half - own : half + own + 1] = pixels / found
        else:
            kernel[energy, half, half] = 1.0
    return kernel


def _enclose(radius_deg: Array, density: Array) -> tuple[Array, Array]:
    """Return radii (n,), deg, and the share of the light within each, (energy, n): sums over rings around the nodes."""
    nodes, rings = (radius_deg[1:], density[:, 1:]) if radius_deg[0] == 0 else (radius_deg, density)
    inner = 0.5 * (nodes[1:] + nodes[:-1])
    edges = np.concatenate(([0.0], inner, [2 * nodes[-1] - inner[-1]]))
    light = np.cumsum(rings * nodes * np.diff(edges), axis=1) * 2 * np.pi * np.radians(1.0) ** 2
    below = np.concatenate((np.zeros_like(light[:, :1]), light), axis=1)
    fine = np.interp(np.arange(20 * len(nodes) + 1) / 20, np.arange(len(edges)), edges)
    middle = 0.5 * (fine[1:] + fine[:-1])
    return middle, np.stack([np.interp(middle, edges, row) for row in below])
