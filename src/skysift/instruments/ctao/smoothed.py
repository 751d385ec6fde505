"""Sources smoothed by the PSF of one true energy, on nodes as close as the PSF is wide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.kernels import average_density

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["SmoothedMap", "make_smoothed_map", "split_moments", "with_moments"]

Array = NDArray[np.float64]
#: Distance of nodes in units of the narrowest sigma: cubic interpolation of logarithms is then good to 1e-3.
_STEP = 0.6
#: Light below this share of a source's brightest node is not told from none.
_FLOOR = 1e-11
#: Light below this is none.
_NOTHING = 1e-250
#: Rows of true pixels and columns of nodes that one matrix product takes.
_ROWS, _COLUMNS = 12, 32


@dataclass(frozen=True, eq=False)
class SmoothedMap:
    """Logarithm of the light, mean and deviation of the offset it comes from, on nodes at equal distances.

    Parameters
    ----------
    low_deg : longitude and latitude of the first node
    step_deg : distances of nodes along both
    nodes : (row, column, three for each source)
    floor : (source,), added to the light before its logarithm was taken
    """

    low_deg: tuple[float, float]
    step_deg: tuple[float, float]
    nodes: Array
    floor: Array

    def evaluate(self, lon_deg: Array, lat_deg: Array) -> tuple[Array, Array, Array]:
        """Return light, deg-2, mean and deviation of the offset, deg, each (event, source), by cubic interpolation."""
        column, along = _cubic((lon_deg - self.low_deg[0]) / self.step_deg[0], self.nodes.shape[1])
        row, across = _cubic((lat_deg - self.low_deg[1]) / self.step_deg[1], self.nodes.shape[0])
        height, width, size = self.nodes.shape
        # Four neighbours along longitude lie next to each other: one look-up takes them all.
        quads = np.lib.stride_tricks.as_strided(
            self.nodes, (height, width - 3, 4 * size), self.nodes.strides[:2] + self.nodes.strides[2:], writeable=False
        )
        found = across[0][:, None] * quads[row, column]
        for number in range(1, 4):
            found += across[number][:, None] * quads[row + number, column]
        total = along[0][:, None] * found[:, :size]
        for number in range(1, 4):
            total += along[number][:, None] * found[:, number * size : (number + 1) * size]
        sources = size // 3
        light = np.maximum(np.exp(total[:, :sources]) - self.floor, 0.0)
        return light, np.maximum(total[:, sources : 2 * sources], 0.0), np.maximum(total[:, 2 * sources :], 0.0)


def _cubic(place: Array, nodes: int) -> tuple[NDArray[np.int64], list[Array]]:
    """Return the first of four nodes and their Lagrange weights."""
    first = np.clip(place.astype(np.int64) - 1, 0, nodes - 4)
    x = place - first
    return first, [
        -(x - 1) * (x - 2) * (x - 3) / 6,
        x * (x - 2) * (x - 3) / 2,
        -x * (x - 1) * (x - 3) / 2,
        x * (x - 1) * (x - 2) / 6,
    ]


def make_smoothed_map(
    response: Response, number: int, expected: Array, offset_deg: Array, most_nodes: int
) -> SmoothedMap | None:
    """Smooth sources by the PSF of one true energy.

    Parameters
    ----------
    response : gives the PSF and the axes
    number : of the true energy
    expected : (true pixel, source)
    offset_deg : (true pixel,), carried along as a mean
    most_nodes : None is returned where more would be needed

    Returns
    -------
    the map over the reconstructed region
    """
    weights, sigmas = response.factors.psf.weights[number], response.factors.psf.sigmas_deg[number]
    is_lit = weights.sum(axis=1) > 0
    if not is_lit.any():
        return None
    sigma = float(sigmas[is_lit][weights[is_lit] > 0].min())
    lon, lat = _nodes(response, _STEP * sigma)
    if len(lon) * len(lat) > most_nodes:
        return None
    sums = _smooth(response, number, with_moments(expected, offset_deg), (lon, lat))
    floor = np.maximum(_FLOOR * sums[:, :, : expected.shape[1]].max(axis=(0, 1)), 1e-300)
    here = response.pointing.offset_deg(lon, lat[:, None])[:, :, None]
    light, mean, deviation = split_moments(sums, floor, here)
    nodes = np.concatenate((np.log(light), mean, deviation), axis=2)
    return SmoothedMap((lon[0], lat[0]), (lon[1] - lon[0], lat[1] - lat[0]), nodes, floor)


def with_moments(expected: Array, offset_deg: Array) -> Array:
    """Return counts (pixel, source) and their first two moments in offset side by side, (pixel, 3 sources)."""
    offset = offset_deg[:, None]
    return np.concatenate((expected, expected * offset, expected * offset**2), axis=1)


def split_moments(sums: Array, floor: Array, here_deg: Array) -> tuple[Array, Array, Array]:
    """Return light, mean and deviation of the offset, each (..., source), from sums (..., 3 sources).

    Parameters
    ----------
    sums : of `with_moments`, weighted
    floor : (source,), light added everywhere, from the offset ``here_deg`` (..., 1)
    """
    sources = sums.shape[-1] // 3
    light = sums[..., :sources] + floor
    inverse = 1.0 / np.where(light > _NOTHING, light, np.inf)
    mean = (sums[..., sources : 2 * sources] + floor * here_deg) * inverse
    variance = (sums[..., 2 * sources :] + floor * here_deg**2) * inverse - mean**2
    return light, mean, np.sqrt(np.maximum(variance, 0.0))


def _nodes(response: Response, step_deg: float) -> tuple[Array, Array]:
    """Return longitudes and latitudes that cover the region and two nodes more on each side."""
    grid = response.reconstructed.grid
    highest = np.cos(np.radians(np.abs(grid.lat_edges_deg).min()))
    axes = []
    for edges, step in ((grid.lon_edges_deg, step_deg / highest), (grid.lat_edges_deg, step_deg)):
        count = int(np.ceil((edges[-1] - edges[0]) / step)) + 1
        nodes = np.linspace(edges[0], edges[-1], max(count, 2))
        width = nodes[1] - nodes[0]
        axes.append(nodes[0] + width * np.arange(-2, len(nodes) + 2))
    return axes[0], axes[1]


def _smooth(response: Response, number: int, values: Array, nodes: tuple[Array, Array]) -> Array:
    """Return the PSF of every true pixel at every node times values (pixel, column), summed: (row, column, value)."""
    grid, psf = response.true.grid, response.factors.psf
    height, width = grid.shape
    shape = (height, width, -1)
    weights, sigmas = (x[number].reshape(shape) for x in (psf.weights, psf.sigmas_deg))
    reach = 6.5 * np.where(weights > 0, sigmas, 0.0).max(axis=2)
    cubes = values.reshape(shape)
    smoothed = np.zeros((len(nodes[1]), cubes.shape[2], len(nodes[0])))
    turn = response.reconstructed.grid.wrap(grid.lon_deg[:width]) - grid.lon_deg[:width]
    for start in range(0, height, _ROWS):
        rows = slice(start, min(start + _ROWS, height))
        if reach[rows].any() and values[start * width : rows.stop * width].any():
            block = _Rows(
                np.stack((grid.lat_edges_deg[start : rows.stop], grid.lat_edges_deg[start + 1 : rows.stop + 1])),
                np.stack((grid.lon_edges_deg[:-1] + turn, grid.lon_edges_deg[1:] + turn)),
                weights[rows], sigmas[rows], float(reach[rows].max()), cubes[rows],
            )  # fmt: skip
            _add_rows(block, nodes, smoothed)
    return np.ascontiguousarray(smoothed.transpose(0, 2, 1))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of true pixels: edges (2, row or column), terms (row, column, term), values (row, column, value)."""

    lat: Array
    lon: Array
    weights: Array
    sigmas: Array
    reach: float
    values: Array


def _add_rows(rows: _Rows, nodes: tuple[Array, Array], smoothed: Array) -> None:
    """Add what some rows of true pixels send to the nodes; products of two one-dimensional kernels and a sum."""
    lon, lat = nodes
    cosine = np.cos(np.radians(rows.lat.mean(axis=0)))
    first = np.searchsorted(lat, rows.lat[0] - rows.reach)
    tall = int(np.max(np.searchsorted(lat, rows.lat[1] + rows.reach) - first))
    if not tall:
        return
    numbers = np.minimum(first[:, None] + np.arange(tall), len(lat) - 1)
    is_inside = first[:, None] + np.arange(tall) < len(lat)
    # Kernels are flat maps around the true pixel; nodes hold densities per solid angle.
    scale = np.where(is_inside, cosine[:, None] / np.cos(np.radians(lat[numbers])), 0.0)
    sums = np.zeros((len(first), tall * rows.values.shape[2], len(lon)))
    for term in range(rows.weights.shape[2]):
        sigma = rows.sigmas[:, :, term]
        low, high = ((edge[:, None] - lat[numbers])[:, None, :] for edge in rows.lat)
        across = average_density(np.zeros(()), low, high, sigma[:, :, None]) * scale[:, None, :]
        across *= rows.weights[:, :, term, None]
        # (row, node, value, column of true pixels)
        parts = np.einsum("rjy,rjv->ryvj", across, rows.values).reshape(len(first), -1, sigma.shape[1])
        _add_columns(rows, parts, sigma, (lon, cosine), sums)
    for row, start in enumerate(first):
        count = min(tall, len(lat) - start)
        smoothed[start : start + count] += sums[row].reshape(tall, -1, len(lon))[:count]


def _add_columns(rows: _Rows, parts: Array, sigma: Array, along: tuple[Array, Array], sums: Array) -> None:
    """Add the sum over columns of true pixels, a few columns of nodes at a time."""
    lon, cosine = along
    reach = rows.reach / cosine.min()
    for start in range(0, len(lon), _COLUMNS):
        here = lon[start : start + _COLUMNS]
        near = np.flatnonzero((rows.lon[1] > here[0] - reach) & (rows.lon[0] < here[-1] + reach))
        if near.size:
            near_by = slice(int(near[0]), int(near[-1]) + 1)
            low, high = ((edge[near_by, None] - here) * cosine[:, None, None] for edge in rows.lon)
            kernel = average_density(np.zeros(()), low, high, sigma[:, near_by, None])
            sums[:, :, start : start + _COLUMNS] += parts[:, :, near_by] @ kernel
