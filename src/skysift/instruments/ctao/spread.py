"""The point-spread function as sparse operators from true to reconstructed pixels, one per true energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.grids import LonLatGrid
from skysift.instruments.ctao.kernels import average_share_below, reach_of_cut, share_below

if TYPE_CHECKING:
    from scipy.sparse import csc_array

    from skysift.instruments.ctao.irf import Irf

__all__ = ["PsfFactors", "make_psf_operator", "make_psf_point", "measure_region_share", "read_psf_factors"]

Array = NDArray[np.float64]
#: Components of a mixture with less weight than this are left out.
_LEAST_WEIGHT = 1e-12


@dataclass(frozen=True, eq=False)
class PsfFactors:
    """Gaussians of the PSF at each true bin; weight zero where nothing is seen.

    Parameters
    ----------
    weights : (energy, pixel, term)
    sigmas_deg : (energy, pixel, term), deg, above zero
    """

    weights: Array
    sigmas_deg: Array


@dataclass(frozen=True, eq=False)
class _Sides:
    """Edges of pixels along one direction: those of the region, and the lower and upper one of each true pixel."""

    edges: Array
    low: Array
    high: Array
    scale: Array  # what turns a step of the coordinate into an angle


def read_psf_factors(irf: Irf, energy_tev: Array, offset_deg: Array, is_seen: NDArray[np.bool_]) -> PsfFactors:
    """Return the Gaussians at bin centres.

    Parameters
    ----------
    irf : the response
    energy_tev : (energy,), TeV
    offset_deg : (pixel,), deg
    is_seen : (energy, pixel), False where the weights are set to zero
    """
    weights, sigmas = irf.psf_components(energy_tev[:, None], offset_deg)
    weights = np.where(is_seen[..., None] & (weights > _LEAST_WEIGHT), weights, 0.0)
    used = np.flatnonzero(np.any(weights > 0, axis=(0, 1)))
    used = used if used.size else np.zeros(1, dtype=np.int64)
    return PsfFactors(np.ascontiguousarray(weights[..., used]), np.ascontiguousarray(sigmas[..., used]))


def make_psf_operator(
    weights: Array, sigmas_deg: Array, true: LonLatGrid, reconstructed: LonLatGrid, cut: float
) -> csc_array:
    r"""Return the share of each true pixel's light that falls into each reconstructed pixel, at one true energy.

    .. math:: P_{ij} = \sum_k w_k L_k(i | j) B_k(i | j)

    with L and B the closed forms of `average_share_below` along longitude (times cos b of the true pixel) and latitude.

    Parameters
    ----------
    weights, sigmas_deg : (pixel, term)
    true, reconstructed : grids
    cut : share of each column that may be left out; zero keeps everything

    Returns
    -------
    (reconstructed pixel, true pixel), sparse by columns
    """
    from scipy.sparse import csc_array

    columns = np.flatnonzero(weights.sum(axis=1) > 0)
    weights, sigmas_deg = weights[columns], sigmas_deg[columns]
    reach = reach_of_cut(cut / 4) * np.max(np.where(weights > 0, sigmas_deg, 0.0), axis=1, initial=0.0)
    along, across = _sides(true, reconstructed, columns)
    column, share_along = _shares(along, sigmas_deg, reach)
    row, share_across = _shares(across, sigmas_deg, reach)
    # (pixel, row, column): terms are summed before anything is left out.
    shares = np.einsum("nk,nkb,nkl->nbl", weights, share_across, share_along)
    keep = shares > (cut / 2 / max(shares[0].size, 1) if len(shares) else 0.0)
    index = (row * reconstructed.shape[1])[:, :, None] + column[:, None, :]
    counts = np.zeros(true.size + 1, dtype=np.int32)
    counts[columns + 1] = keep.sum(axis=(1, 2))
    shape = (reconstructed.size, true.size)
    return csc_array((shares[keep], index[keep].astype(np.int32), np.cumsum(counts, dtype=np.int32)), shape=shape)


def make_psf_point(weights: Array, sigmas_deg: Array, lon_deg: float, lat_deg: float, grid: LonLatGrid) -> Array:
    """Return the share of a point source that falls into each reconstructed pixel, at each true energy.

    Parameters
    ----------
    weights, sigmas_deg : (energy, term) at its offset
    lon_deg, lat_deg : its exact place
    grid : reconstructed pixels

    Returns
    -------
    (energy, pixel)
    """
    along = (grid.lon_edges_deg - grid.wrap(lon_deg)) * np.cos(np.radians(lat_deg))
    across = grid.lat_edges_deg - lat_deg
    shares = [np.diff(share_below(edges, sigmas_deg[..., None]), axis=-1) for edges in (along, across)]
    spread: Array = np.einsum("ek,ekl,ekb->ebl", weights, *shares)
    return spread.reshape(len(weights), -1)


def measure_region_share(factors: PsfFactors, true: LonLatGrid, reconstructed: LonLatGrid) -> Array:
    """Return the share of each true pixel's light that falls anywhere into the region, (energy, pixel)."""
    every = np.arange(true.size)
    share = np.zeros(factors.weights.shape[:2])
    for number in range(len(share)):
        columns = every[factors.weights[number].sum(axis=1) > 0]
        sigmas = factors.sigmas_deg[number, columns]
        product = factors.weights[number, columns].copy()
        for sides in _sides(true, reconstructed, columns):
            low, high = ((side * sides.scale)[:, None] for side in (sides.low, sides.high))
            ends = [
                average_share_below(edge * sides.scale[:, None], low, high, sigmas) for edge in sides.edges[[0, -1]]
            ]
            product *= ends[1] - ends[0]
        share[number, columns] = product.sum(axis=1)
    return np.clip(share, 0.0, 1.0)


def _sides(true: LonLatGrid, reconstructed: LonLatGrid, columns: NDArray[np.int64]) -> tuple[_Sides, _Sides]:
    """Return what the kernels need along longitude and along latitude, for some true pixels."""
    row, column = columns // true.shape[1], columns % true.shape[1]
    turn = reconstructed.wrap(true.lon_deg[columns]) - true.lon_deg[columns]
    lon, lat = true.lon_edges_deg, true.lat_edges_deg
    along = _Sides(
        reconstructed.lon_edges_deg,
        lon[column] + turn,
        lon[column + 1] + turn,
        np.cos(np.radians(true.lat_deg[columns])),
    )
    across = _Sides(reconstructed.lat_edges_deg, lat[row], lat[row + 1], np.ones(len(columns)))
    return along, across


def _shares(sides: _Sides, sigmas: Array, reach: Array) -> tuple[NDArray[np.int64], Array]:
    """Return bins around each true pixel (pixel, bin) and the share that falls into them (pixel, term, bin)."""
    edges, steps = sides.edges, reach / sides.scale
    first = np.clip(np.searchsorted(edges, sides.low - steps, side="right") - 1, 0, len(edges) - 2)
    last = np.clip(np.searchsorted(edges, sides.high + steps, side="left"), first + 1, len(edges) - 1)
    width = int(np.max(last - first, initial=1))
    # All columns of one energy are as wide as the widest: bins beyond the region are empty intervals.
    numbers = np.minimum(first[:, None] + np.arange(width + 1), len(edges) - 1)
    place = (edges[numbers] - sides.low[:, None]) * sides.scale[:, None]
    size = ((sides.high - sides.low) * sides.scale)[:, None, None]
    below = average_share_below(place[:, None, :], np.zeros_like(size), size, sigmas[:, :, None])
    bins = np.minimum(numbers[:, :-1], len(edges) - 2)
    return bins, np.maximum(np.diff(below, axis=2), 0.0)
