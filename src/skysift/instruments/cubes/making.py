"""Counts cubes from instrument response functions and pointings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.wcs import WcsGrid
from skysift.instruments.ctao.migration import make_energy_nodes, read_migration
from skysift.instruments.cubes.dataset import CubeDataset, Dispersion, RadialPsf

if TYPE_CHECKING:
    from skysift.geometry.axes import EnergyAxis
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Pointing

__all__ = ["make_dataset"]

Array = NDArray[np.float64]

_RADII = 301
_RADIUS_DEG = 1.2
_STERADIAN_DEG2 = np.degrees(1.0) ** 2
#: Largest step of the directions at which point-spread function and dispersion are kept, deg.
_COARSE_DEG = 0.5
_POINTS = 6


def make_dataset(
    name: str,
    irfs: Sequence[Irf],
    pointings: Sequence[Pointing],
    grid: WcsGrid,
    energy: EnergyAxis,
    true: EnergyAxis,
) -> CubeDataset:
    """Return the cube of some pointings: exposures and backgrounds add, the rest is their exposure-weighted mean.

    Parameters
    ----------
    name : of the data set
    irfs, pointings : one response for each pointing
    grid : pixels of the cube
    energy, true : axes of reconstructed and true energy
    """
    pairs = list(zip(irfs, pointings, strict=True))
    coarse = _make_coarse(grid)
    exposure = sum(_expose(irf, at, grid, true) for irf, at in pairs)
    weights = [_expose(irf, at, coarse, true) for irf, at in pairs]
    total = np.sum(weights, axis=0)
    valid = total.sum(0) > 0
    shares = [np.divide(one, total, out=np.zeros_like(one), where=total > 0) for one in weights]
    radius = np.linspace(0.0, np.sqrt(_RADIUS_DEG), _RADII) ** 2
    psf = sum(
        part[:, None] * _spread(irf, at, coarse, true, radius) for part, (irf, at) in zip(shares, pairs, strict=True)
    )
    moved = sum(
        part[:, None] * _migrate(irf, at, coarse, true, energy) for part, (irf, at) in zip(shares, pairs, strict=True)
    )
    return CubeDataset(
        name,
        grid,
        energy,
        true,
        np.asarray(exposure),
        np.asarray(sum(_count_background(irf, at, grid, energy) for irf, at in pairs)),
        RadialPsf(coarse, radius, np.asarray(psf), valid),
        Dispersion(coarse, np.asarray(moved), valid),
    )


def _make_coarse(grid: WcsGrid) -> WcsGrid:
    """Return large pixels with the same centre that cover a grid."""
    counts = [
        max(1, int(np.ceil(size * abs(step) / _COARSE_DEG)))
        for size, step in zip(grid.shape, grid.step_deg[::-1], strict=True)
    ]
    ratios = [size / count for size, count in zip(grid.shape, counts, strict=True)]
    step = (grid.step_deg[0] * ratios[1], grid.step_deg[1] * ratios[0])
    x, y = ((place + 0.5) / ratio - 0.5 for place, ratio in zip(grid.reference_pixel, ratios[::-1], strict=True))
    return WcsGrid(grid.projection, grid.frame, grid.reference_deg, step, (x, y), (counts[0], counts[1]))


def _offsets(at: Pointing, grid: WcsGrid) -> Array:
    return at.offset_deg(*grid.lonlat_in("galactic"))


def _expose(irf: Irf, at: Pointing, grid: WcsGrid, true: EnergyAxis) -> Array:
    """Return area times live time, (true energy, rows, columns), cm2 s."""
    return irf.area_cm2(true.centres_tev[:, None, None], _offsets(at, grid)) * at.live_time_s


def _count_background(irf: Irf, at: Pointing, grid: WcsGrid, energy: EnergyAxis) -> Array:
    """Return the rate integrated over bins of energy, at pixel centres times their solid angles and the live time."""
    places, weights = np.polynomial.legendre.leggauss(_POINTS)
    edges = np.log(energy.edges_tev)
    lon, lat = grid.lonlat_in("galactic")
    counts = np.zeros((energy.size, *grid.shape))
    for number, (low, high) in enumerate(pairwise(edges)):
        for place, weight in zip(places, weights, strict=True):
            at_tev = np.exp(0.5 * (low + high) + 0.5 * (high - low) * place)
            counts[number] += 0.5 * (high - low) * weight * at_tev * irf.background_at(at_tev, lon, lat, at)
    counts *= grid.areas_sr * _STERADIAN_DEG2 * at.live_time_s
    return counts


def _spread(irf: Irf, at: Pointing, coarse: WcsGrid, true: EnergyAxis, radius_deg: Array) -> Array:
    """Return the density of the PSF, (true energy, radius, rows, columns), sr-1."""
    where = true.centres_tev[:, None, None, None], _offsets(at, coarse), radius_deg[:, None, None]
    density: Array = irf.psf(*where) * _STERADIAN_DEG2
    return density


def _migrate(irf: Irf, at: Pointing, coarse: WcsGrid, true: EnergyAxis, energy: EnergyAxis) -> Array:
    """Return the shares of events, (true energy, energy, rows, columns)."""
    offsets = _offsets(at, coarse)
    table = read_migration(irf, make_energy_nodes(true), energy, float(offsets.max()))
    shares = np.zeros((true.size, energy.size, coarse.size))
    for number, (first, band) in enumerate(table.shares(offsets.ravel())):
        shares[number, first : first + band.shape[1]] = band.T
    return shares.reshape(true.size, energy.size, *coarse.shape)
