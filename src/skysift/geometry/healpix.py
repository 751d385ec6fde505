"""HEALPix maps (RING, Galactic): pixel centres, order, frame and resolution."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.pixels import find_pixels, nest_to_ring, ring_to_nest, ring_vectors
from skysift.geometry.sphere import Vectors

__all__ = [
    "Convention",
    "change_resolution",
    "check_nside",
    "interpolate",
    "pixel_area_sr",
    "pixel_vectors",
    "reorder_to_ring",
    "rotate_to_galactic",
]

Convention = Literal["sum", "mean", "any"]


def check_nside(length: int) -> int:
    """Return nside of a map of ``length`` pixels.

    Raises
    ------
    ValueError : length is not 12 nside^2 with nside a power of two

    Examples
    --------
    >>> check_nside(196608)
    128
    """
    nside = math.isqrt(max(length, 0) // 12)
    if length <= 0 or 12 * nside**2 != length or nside & (nside - 1):
        raise ValueError(f"{length} pixels are not 12 nside^2 with nside a power of two")
    return nside


def pixel_area_sr(nside: int) -> float:
    """Return the solid angle of one pixel, sr."""
    return float(np.pi / (3 * nside**2))


def pixel_vectors(nside: int, pixels: NDArray[np.int64] | None = None) -> Vectors:
    """Return unit vectors of pixel centres.

    Parameters
    ----------
    nside : resolution
    pixels : (P,) RING pixel numbers; all of them when None

    Returns
    -------
    (P, 3)
    """
    return ring_vectors(nside, np.arange(12 * nside**2) if pixels is None else pixels)


def reorder_to_ring(values: NDArray[Any]) -> NDArray[Any]:
    """Return a NESTED map (..., 12 nside^2) in RING order, as a copy."""
    nside = check_nside(values.shape[-1])
    reordered: NDArray[Any] = values[..., ring_to_nest(nside, np.arange(values.shape[-1]))]
    return reordered


def change_resolution(values: NDArray[Any], nside: int, convention: Convention) -> NDArray[Any]:
    """Return a RING map at another nside.

    Parameters
    ----------
    values : (..., 12 nside^2), RING
    nside : wanted resolution, a power of two
    convention : what the values are: ``sum`` per pixel (counts, templates), ``mean`` per solid angle
        (exposure, intensity), ``any`` masks (a coarse pixel is masked if any of its fine ones is)

    Returns
    -------
    (..., 12 nside^2) of the new nside; a copy

    Raises
    ------
    ValueError : nside is not a power of two
    """
    check_nside(12 * nside**2)
    old = check_nside(values.shape[-1])
    if old == nside:
        return values.copy()
    if nside > old:
        parents = nest_to_ring(old, ring_to_nest(nside, np.arange(12 * nside**2)) // (nside // old) ** 2)
        finer: NDArray[Any] = values[..., parents]
        return finer / (nside // old) ** 2 if convention == "sum" else finer
    nested = values[..., nest_to_ring(old, np.arange(12 * old**2))]
    grouped = nested.reshape(*values.shape[:-1], 12 * nside**2, (old // nside) ** 2)
    if convention == "any":
        return reorder_to_ring(np.asarray(grouped.any(axis=-1)))
    return reorder_to_ring(grouped.sum(axis=-1) if convention == "sum" else grouped.mean(axis=-1))


def interpolate(values: NDArray[np.float64], vectors: Vectors) -> NDArray[np.float64]:
    """Return a RING map bilinearly interpolated at directions.

    Parameters
    ----------
    values : (..., 12 nside^2)
    vectors : (P, 3) unit vectors

    Returns
    -------
    (..., P)
    """
    import healpy

    nside = check_nside(values.shape[-1])
    colatitude = np.arctan2(np.hypot(vectors[:, 0], vectors[:, 1]), vectors[:, 2])
    longitude = np.arctan2(vectors[:, 1], vectors[:, 0])
    pixels, weights = healpy.get_interp_weights(nside, colatitude, longitude)
    interpolated: NDArray[np.float64] = np.sum(values[..., pixels] * weights, axis=-2)
    return interpolated


def rotate_to_galactic(values: NDArray[Any], convention: Convention) -> NDArray[Any]:
    """Return an equatorial (ICRS) RING map at Galactic pixel centres.

    Densities are interpolated, masks take the nearest pixel. Binned photons cannot be moved; counts maps
    are refused before they come here.

    Parameters
    ----------
    values : (..., 12 nside^2)
    convention : ``any`` for masks; all pixels have one area, so ``sum`` and ``mean`` are interpolated alike
    """
    import healpy

    nside = check_nside(values.shape[-1])
    vectors = pixel_vectors(nside) @ np.asarray(healpy.Rotator(coord=["G", "C"]).mat).T
    if convention == "any":
        nearest: NDArray[Any] = values[..., find_pixels(nside, vectors)]
        return nearest
    return interpolate(np.asarray(values, dtype=np.float64), vectors)
