"""Sources smoothed by the PSF of neighbouring true energies, on nodes as close as the narrowest is wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

if TYPE_CHECKING:
    from skysift.instruments.ctao.response import Response

__all__ = ["SmoothedMaps", "make_smoothed_maps", "split_moments", "with_moments"]

Array = NDArray[np.float64]
Singles = NDArray[np.float32]
Values = NDArray[Any]
Spread = tuple[NDArray[np.int64], Singles]
#: Distance of nodes in units of the narrowest sigma.
_STEP = 0.5
#: Nodes beyond the region on each side: what a spline does at its ends is forgotten after so many.
_MARGIN = 8
#: Light below this share of a source's brightest node is not told from none.
_FLOOR = 1e-11
#: Light below this is none.
_NOTHING = 1e-30
#: How many sigma light is followed.
_REACH = 7.0
#: Argument at which the error function is one.
_FARTHEST = 6.0


@dataclass(frozen=True, eq=False)
class SmoothedMaps:
    """Cubic splines through the logarithm of light, and mean and deviation of the offset that it comes from.

    Parameters
    ----------
    low_deg : longitude and latitude of the first node
    step_deg : distances of nodes along both
    height : nodes along latitude, which follow each other
    coefficients : (node, true energy x 3 x source), of ln(light / peak + floor), of the mean offset less that of the
        node, deg, and of the deviation, deg
    peaks : (true energy, source), deg-2
    """

    low_deg: tuple[float, float]
    step_deg: tuple[float, float]
    height: int
    coefficients: Tensor
    peaks: Tensor

    def evaluate(self, lon_deg: Array, lat_deg: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Return light, deg-2, shift of its mean offset and deviation, deg, each (true energy, source, event)."""
        column, along = _place_in_spline((lon_deg - self.low_deg[0]) / self.step_deg[0])
        row, across = _place_in_spline((lat_deg - self.low_deg[1]) / self.step_deg[1])
        nodes = (column * self.height + row)[:, None] + (np.arange(4)[:, None] * self.height + np.arange(4)).ravel()
        # One event after the other in memory, as the look-up wants it; all others have one number after the other.
        weights = np.ascontiguousarray((along[:, None] * across).reshape(16, -1).T)
        found = embedding_bag(
            torch.from_numpy(nodes), self.coefficients, per_sample_weights=torch.from_numpy(weights), mode="sum"
        )
        channels = torch.from_numpy(np.ascontiguousarray(found.numpy().T))
        light, shift, deviation = channels.view(len(self.peaks), 3, -1, len(nodes)).unbind(1)
        return torch.exp(light).sub_(_FLOOR).clamp_min_(0.0) * self.peaks[:, :, None], shift, deviation


def _place_in_spline(place: Array) -> tuple[NDArray[np.int64], Singles]:
    """Return the first of four nodes (event,) and the weights of all (4, event)."""
    cell = place.astype(np.int64)
    x = (place - cell).astype(np.float32)
    y = 1 - x
    weights = (y * y * y / 6, 2 / 3 - 0.5 * x * x * (1 + y), 2 / 3 - 0.5 * y * y * (1 + x), x * x * x / 6)
    return cell - 1, np.stack(weights)


def make_smoothed_maps(
    response: Response, numbers: Sequence[int], expected: Array, offset_deg: Array, most_nodes: int
) -> SmoothedMaps | None:
    """Smooth sources by the PSF of some true energies.

    Parameters
    ----------
    response : gives the PSF and the axes
    numbers : of the true energies
    expected : (true energy, true pixel, source), of all energies
    offset_deg : (true pixel,), carried along as a mean
    most_nodes : None is returned where more would be needed

    Returns
    -------
    the maps over the reconstructed region
    """
    psf = response.factors.psf
    is_lit = psf.weights[numbers] > 0
    if not is_lit.any():
        return None
    lon, lat = _make_nodes(response, _STEP * float(psf.sigmas_deg[numbers][is_lit].min()))
    if len(lon) * len(lat) > most_nodes:
        return None
    sources = expected.shape[-1]
    here = response.pointing.offset_deg(lon, lat[:, None])[:, None].astype(np.float32)
    channels = np.empty((len(lon), len(lat), len(numbers), 3 * sources), dtype=np.float32)
    peaks = np.empty((len(numbers), sources))
    for place, number in enumerate(numbers):
        sums = _smooth(response, number, with_moments(expected[number], offset_deg), (lon, lat))
        peaks[place] = np.maximum(sums[:, :sources].max(axis=(0, 2)), 1e-30)
        parts = np.split(sums / np.tile(peaks[place], 3).astype(np.float32)[:, None], 3, axis=1)
        light, mean, deviation = split_moments(parts[0], parts[1], parts[2], _FLOOR, here)
        splines = _filter(np.concatenate((np.log(light), mean - here, deviation), axis=1))
        channels[:, :, place] = splines.transpose(2, 0, 1)
    coefficients = torch.from_numpy(_filter(channels).reshape(len(lon) * len(lat), -1))
    steps = lon[1] - lon[0], lat[1] - lat[0]
    return SmoothedMaps((lon[0], lat[0]), steps, len(lat), coefficients, torch.from_numpy(peaks.astype(np.float32)))


def _filter(rows: Singles) -> Singles:
    r"""Return coefficients of cubic splines through values along the first axis, in their place.

    Two recursions, forth and back, with the pole :math:`\sqrt 3 - 2`; mirrored at both ends.

    References
    ----------
    Unser, Aldroubi & Eden (1993), IEEE Transactions on Signal Processing 41, 834, box 2
    """
    pole = np.float32(3.0**0.5 - 2.0)
    rows *= np.float32(6.0)
    few = min(_MARGIN + 4, len(rows))
    rows[0] = np.tensordot(pole ** np.arange(few, dtype=np.float32), rows[:few], axes=1)
    for number in range(1, len(rows)):
        rows[number] += pole * rows[number - 1]
    rows[-1] = pole / (pole * pole - 1) * (pole * rows[-2] + rows[-1])
    for number in range(len(rows) - 2, -1, -1):
        np.subtract(rows[number + 1], rows[number], out=rows[number])
        rows[number] *= pole
    return rows


def with_moments(expected: Array, offset_deg: Array) -> Array:
    """Return counts (pixel, source) and their first two moments in offset side by side, (pixel, 3 sources)."""
    offset = offset_deg[:, None]
    return np.concatenate((expected, expected * offset, expected * offset**2), axis=1)


def split_moments(
    light: Values, first: Values, second: Values, floor: float, here_deg: Values | float
) -> tuple[Values, Values, Values]:
    """Return light, mean and deviation of the offset from its sums with moments.

    Parameters
    ----------
    light, first, second : (...), sums of `with_moments`
    floor : light added everywhere, from the offset ``here_deg``
    """
    light = light + floor
    inverse = 1 / np.where(light > _NOTHING, light, np.inf)
    mean = (first + floor * here_deg) * inverse
    variance = (second + floor * here_deg**2) * inverse - mean**2
    return light, mean.astype(light.dtype), np.sqrt(np.maximum(variance, 0)).astype(light.dtype)


def _make_nodes(response: Response, step_deg: float) -> tuple[Array, Array]:
    """Return longitudes and latitudes that cover the region and some more on each side."""
    grid = response.reconstructed.grid
    highest = np.cos(np.radians(np.abs(grid.lat_edges_deg).min()))
    axes = []
    for edges, step in ((grid.lon_edges_deg, step_deg / highest), (grid.lat_edges_deg, step_deg)):
        count = max(1, int(np.ceil((edges[-1] - edges[0]) / step)))
        width = (edges[-1] - edges[0]) / count
        axes.append(edges[0] + width * np.arange(-_MARGIN, count + 1 + _MARGIN))
    return axes[0], axes[1]


def _smooth(response: Response, number: int, values: Array, nodes: tuple[Array, Array]) -> Singles:
    """Return the PSF of every true pixel at every node times values (pixel, value), summed: (row, value, column)."""
    grid, psf = response.true.grid, response.factors.psf
    lon, lat = nodes
    smoothed = np.zeros((len(lat), values.shape[1], len(lon)), dtype=np.float32)
    for term in range(psf.weights.shape[2]):
        weight, sigma = psf.weights[number, :, term], psf.sigmas_deg[number, :, term]
        lit = np.flatnonzero((weight > 0) & values.any(axis=1))
        if not lit.size:
            continue
        row, column = np.divmod(lit, grid.shape[1])
        sigma, cosine = sigma[lit], np.cos(np.radians(grid.lat_deg[lit]))
        west = grid.lon_edges_deg[column] + response.reconstructed.grid.wrap(grid.lon_deg[lit]) - grid.lon_deg[lit]
        light = (values[lit] * weight[lit, None]).astype(np.float32)
        along = _spread(lon, west, np.diff(grid.lon_edges_deg)[column], sigma / cosine)
        across = _spread(lat, grid.lat_edges_deg[row], np.diff(grid.lat_edges_deg)[row], sigma)
        # Pixels of half a row at a time: a whole one reaches so many nodes that most products are zero.
        piece = row * 2 + (2 * column >= grid.shape[1])
        for part in np.split(np.arange(lit.size), np.flatnonzero(np.diff(piece)) + 1):
            sides = [(first[part], density[part]) for first, density in (along, across)]
            _add_row(smoothed, sides[0], sides[1], light[part])
    # Densities are per longitude so far, and then per solid angle.
    smoothed /= np.cos(np.radians(lat)).astype(np.float32)[:, None, None]
    return smoothed


def _spread(nodes: Array, low: Array, width: Array, sigma: Array) -> Spread:
    r"""Return the first node that each pixel reaches (pixel,), and its mean density at as many as any needs.

    .. math:: \frac{{\rm erfc}(|x| - w) - {\rm erfc}(|x| + w)}{2 d}

    x is the distance from the middle of the pixel, w half its width d, both over :math:`\sqrt 2 \sigma`.
    """
    step, reach = nodes[1] - nodes[0], _REACH * sigma
    first = np.floor((low - reach - nodes[0]) / step).astype(np.int64)
    last = np.ceil((low + width + reach - nodes[0]) / step).astype(np.int64)
    scale = 2.0**-0.5 / sigma
    start, steps, half = (
        torch.from_numpy(part.astype(np.float32))[:, None]
        for part in ((nodes[0] + step * first - low - 0.5 * width) * scale, step * scale, 0.5 * width * scale)
    )
    middle = (start + steps * torch.arange(int((last - first).max()) + 1)).abs()
    # Numbers so small that they lose digits are slow, and nothing.
    density = torch.erfc((middle - half).clamp_max(_FARTHEST)) - torch.erfc((middle + half).clamp_max(_FARTHEST))
    return first, (density * torch.from_numpy((0.5 / width).astype(np.float32))[:, None]).numpy()


def _add_row(smoothed: Singles, along: Spread, across: Spread, light: Singles) -> None:
    """Add the light of pixels of one latitude to nodes (row, value, column), by one matrix product."""
    left, columns = _align(*along, smoothed.shape[2])
    low, rows = _align(*across, smoothed.shape[0])
    if columns.size and rows.size:
        parts = (rows[:, :, None] * light[:, None, :]).reshape(len(light), -1)
        added = (parts.T @ columns).reshape(rows.shape[1], light.shape[1], -1)
        smoothed[low : low + rows.shape[1], :, left : left + columns.shape[1]] += added


def _align(first: NDArray[np.int64], density: Singles, size: int) -> tuple[int, Singles]:
    """Return pixels' densities (pixel, node) at common nodes of those that exist, and the first of these."""
    count = density.shape[1]
    start = int(first.min())
    common = np.zeros((len(first), int(first.max()) - start + count), dtype=np.float32)
    common[np.arange(len(first))[:, None], (first - start)[:, None] + np.arange(count)] = density
    return max(start, 0), common[:, max(-start, 0) : max(size - start, 0)]
