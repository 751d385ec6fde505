"""How the photons of one point source are shared among pixels: the PSF in the statistics of photon counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.pixels import find_pixels, nest_vectors, ring_to_nest
from skysift.geometry.sphere import Vectors

__all__ = ["PhotonShares", "gaussian_containment", "share_photons", "share_photons_of_squares"]

Array = NDArray[np.float64]
#: Directions in which photons are placed around a source: rings of equal probability, and places on each.
_RINGS, _PLACES = 240, 60
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))
#: A pixel's share of this or less joins the first bin.
_LEAST = 1e-3
_WIDEST_RAD = np.pi
_HALVINGS = 60


@dataclass(frozen=True)
class PhotonShares:
    """Pixels of one source by their share of its photons.

    Parameters
    ----------
    fractions : (bin,), mean share of the pixels in each bin, rising
    pixels : (bin,), number of such pixels; fractions times pixels sum to one
    """

    fractions: Array
    pixels: Array


def gaussian_containment(sigma_rad: float) -> Callable[[Array], Array]:
    """Return the share of photons within a radius, rad, of a Gaussian PSF; NPTFit's examples take 0.1812 deg."""
    return lambda radius_rad: -np.expm1(-0.5 * (np.asarray(radius_rad) / sigma_rad) ** 2)


def share_photons(
    containment: Callable[[Array], Array],
    nside: int,
    pixels: NDArray[np.int64],
    *,
    bins: int = 60,
    sources: int = 400,
) -> PhotonShares:
    """Return how many pixels get which share of a source's photons, averaged over places inside pixels.

    Photons lie on rings around each source that hold equal shares of them; nothing is random.

    Parameters
    ----------
    containment : share of the photons within radii (n,), rad
    nside : resolution
    pixels : (P,) RING numbers of the region; their shapes differ over the sky
    bins : of the share, even in its logarithm
    sources : how many places of sources are averaged over, at least

    References
    ----------
    Malyshev and Hogg (2011), ApJ 738, 181, section 3; Mishra-Sharma, Rodd and Safdi (2017), AJ 153, 253, section 2.3
    """
    places = _place_sources(nside, pixels, sources)
    steps = _make_steps(containment)
    found = np.concatenate([_share_of(place, steps, nside) for place in places])
    return _sort_shares(found, len(places), bins)


def share_photons_of_squares(
    containment: Callable[[Array], Array], width_rad: float, *, bins: int = 60, sources: int = 400
) -> PhotonShares:
    """Return the same for square pixels of a flat sky.

    Parameters
    ----------
    containment : share of the photons within radii (n,), rad
    width_rad : side of a pixel
    bins, sources : as in `share_photons`
    """
    radius, angle = _make_steps(containment)
    away = np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1) / width_rad
    side = int(np.ceil(np.sqrt(sources)))
    inside = (np.arange(side) + 0.5) / side
    places = np.stack(np.meshgrid(inside, inside), -1).reshape(-1, 2)
    # one number for each square
    numbers = [np.floor(place + away).astype(np.int64) @ (1 << 31, 1) for place in places]
    found = [np.unique(one, return_counts=True)[1] / len(away) for one in numbers]
    return _sort_shares(np.concatenate(found), len(places), bins)


def _make_steps(containment: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return radii, rad, and angles of photons around their source, (n,) each."""
    radii = _find_radii(containment, (np.arange(_RINGS) + 0.5) / _RINGS)
    angles = _GOLDEN * np.arange(_RINGS)[:, None] + 2 * np.pi * np.arange(_PLACES) / _PLACES
    return np.broadcast_to(radii[:, None], angles.shape).reshape(-1), angles.reshape(-1)


def _sort_shares(found: Array, sources: int, bins: int) -> PhotonShares:
    """Return the shares that pixels get of so many sources, in bins."""
    edges = np.append(0.0, np.geomspace(_LEAST, found.max() * (1 + 1e-12), bins))
    own = np.clip(np.searchsorted(edges, found, side="right") - 1, 0, bins - 1)
    counts, photons = np.bincount(own, minlength=bins), np.bincount(own, found, minlength=bins)
    filled = counts > 0
    return PhotonShares(photons[filled] / counts[filled], counts[filled] / sources)


def _place_sources(nside: int, pixels: NDArray[np.int64], sources: int) -> Vectors:
    """Return directions of sources spread evenly over pixels that lie all over the region, (n, 3)."""
    depth = 2
    inside = 4**depth
    chosen = pixels[np.unique(np.linspace(0, len(pixels) - 1, -(-sources // inside)).round().astype(np.int64))]
    children = ring_to_nest(nside, chosen)[:, None] * inside + np.arange(inside)
    return nest_vectors(nside * 2**depth, children.reshape(-1))


def _find_radii(containment: Callable[[Array], Array], shares: Array) -> Array:
    """Return the radii, rad, within which shares (n,) of the photons lie, by halving."""
    low, high = np.zeros_like(shares), np.full_like(shares, _WIDEST_RAD)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        is_low = containment(middle) < shares
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return 0.5 * (low + high)


def _share_of(place: Array, steps: tuple[Array, Array], nside: int) -> Array:
    """Return the share of photons of every pixel that gets any, for a source at a place (3,)."""
    radius, angle = steps
    axis = np.eye(3)[np.argmin(np.abs(place))]
    east = np.cross(axis, place)
    east /= np.linalg.norm(east)
    north = np.cross(place, east)
    sideways = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    photons = np.cos(radius)[:, None] * place + np.sin(radius)[:, None] * sideways
    _, counts = np.unique(find_pixels(nside, photons), return_counts=True)
    shares: Array = counts / len(radius)
    return shares
