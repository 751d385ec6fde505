"""Sources smoothed by the PSF of one true energy, on nodes as close as the PSF is wide."""

from __future__ import annotations

from collections.abc import Iterator
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
#: How many sigma light is followed.
_REACH = 6.5
#: Side of the squares of true pixels that one matrix product takes.
_TILE = 6


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
    nodes: NDArray[np.float32]
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
        light = np.maximum(np.exp(total[:, :sources].astype(np.float64)) - self.floor, 0.0)
        moments = np.maximum(total[:, sources:], 0.0).astype(np.float64)
        return light, moments[:, :sources], moments[:, sources:]


def _cubic(place: Array, nodes: int) -> tuple[NDArray[np.int64], list[NDArray[np.float32]]]:
    """Return the first of four nodes and their Lagrange weights."""
    first = np.clip(place.astype(np.int64) - 1, 0, nodes - 4)
    x = place - first
    weights = (
        -(x - 1) * (x - 2) * (x - 3) / 6,
        x * (x - 2) * (x - 3) / 2,
        -x * (x - 1) * (x - 3) / 2,
        x * (x - 1) * (x - 2) / 6,
    )
    return first, [weight.astype(np.float32) for weight in weights]


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
    # Single precision is 1e-5 of the light at the floor, and twice as quick to look up.
    nodes = np.concatenate((np.log(light), mean, deviation), axis=2, dtype=np.float32)
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
    reach = _REACH * np.where(psf.weights[number] > 0, psf.sigmas_deg[number], 0.0).max(axis=1)
    cosine = np.cos(np.radians(grid.lat_deg))
    row, column = np.divmod(np.arange(grid.size), grid.shape[1])
    turn = response.reconstructed.grid.wrap(grid.lon_deg) - grid.lon_deg
    east = [grid.lon_edges_deg[column + end] + turn for end in (0, 1)]
    north = [grid.lat_edges_deg[row + end] for end in (0, 1)]
    smoothed = np.zeros((len(nodes[1]), values.shape[1], len(nodes[0])))
    is_bright = (reach > 0) & values.any(axis=1)
    for pixels in _tiles(grid.shape):
        lit = pixels[is_bright[pixels]]
        if not lit.size:  # all of the tile is dark
            continue
        far = reach[lit].max()
        along = _near(nodes[0], east, lit, far / cosine[lit].min())
        across = _near(nodes[1], north, lit, far)
        lon, lat = nodes[0][along], nodes[1][across]
        for term in range(psf.weights.shape[2]):
            weight, sigma = (x[number, lit, term][:, None] for x in (psf.weights, psf.sigmas_deg))
            scale = cosine[lit, None]
            low, high = ((edge[lit, None] - lon) * scale for edge in east)
            columns = average_density(np.zeros(()), low, high, sigma)
            low, high = (edge[lit, None] - lat for edge in north)
            # Kernels are flat maps around the true pixel; nodes hold densities per solid angle.
            rows = average_density(np.zeros(()), low, high, sigma) * weight * scale / np.cos(np.radians(lat))
            parts = (rows[:, :, None] * values[lit][:, None, :]).reshape(len(lit), -1)
            smoothed[across, :, along] += (parts.T @ columns).reshape(len(lat), values.shape[1], len(lon))
    return np.ascontiguousarray(smoothed.transpose(0, 2, 1))


def _tiles(shape: tuple[int, int]) -> Iterator[NDArray[np.int64]]:
    """Yield the pixels of each tile of a grid of (row, column)."""
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    for row in range(0, shape[0], _TILE):
        for column in range(0, shape[1], _TILE):
            yield pixels[row : row + _TILE, column : column + _TILE].ravel()


def _near(nodes: Array, edges: list[Array], pixels: NDArray[np.int64], reach: float) -> slice:
    """Return the nodes that some pixels reach."""
    first, end = np.searchsorted(nodes, (edges[0][pixels].min() - reach, edges[1][pixels].max() + reach))
    return slice(int(first), int(end))
