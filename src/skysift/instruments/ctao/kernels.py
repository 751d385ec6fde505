"""Gaussians averaged over intervals and integrated over intervals, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_density", "average_share_below", "reach_of_cut", "share_below"]

Array = NDArray[np.float64]


def share_below(distance: Array, sigma: Array) -> Array:
    r"""Return the share of a Gaussian below a distance from its middle, :math:`\Phi(x / \sigma)`; they broadcast."""
    return 0.5 + 0.5 * _erf(distance / (np.sqrt(2.0) * sigma))


def average_share_below(edge: Array, low: Array, high: Array, sigma: Array) -> Array:
    r"""Return the share of light below an edge when it starts evenly between two places and is spread by a Gaussian.

    .. math:: \frac{G(x - c) - G(x - d)}{d - c}, \quad G(x) = x \Phi(x / \sigma) + \sigma \phi(x / \sigma)

    The difference between two edges is the mean over [c, d] of what falls between them.

    Parameters
    ----------
    edge : x; broadcasts with the others, all of one unit
    low, high : c and d, high above low
    sigma : above zero
    """
    return (_integrated_share(edge - low, sigma) - _integrated_share(edge - high, sigma)) / (high - low)


def average_density(place: Array, low: Array, high: Array, sigma: Array) -> Array:
    r"""Return the density at a place of light that starts evenly between two places and is spread by a Gaussian.

    .. math:: \frac{\Phi((x - c) / \sigma) - \Phi((x - d) / \sigma)}{d - c}

    Exact far out as well: both shares are taken on the side where they are small.

    Parameters
    ----------
    place : x; broadcasts with the others, all of one unit
    low, high : c and d, high above low
    sigma : above zero
    """
    scale = 1.0 / (np.sqrt(2.0) * sigma)
    first, second = (place - low) * scale, (place - high) * scale
    sign = np.where(first + second > 0, -1.0, 1.0)
    share: Array = 0.5 * np.abs(_erfc(-sign * first) - _erfc(-sign * second))
    density: Array = share / (high - low)
    return density


def reach_of_cut(missing: float) -> float:
    r"""Return how many sigma an interval must reach to both sides so that less than ``missing`` of a Gaussian is lost.

    Examples
    --------
    >>> round(reach_of_cut(1e-9 / 2), 2)
    6.22
    """
    from scipy.special import ndtri

    return float(-ndtri(0.5 * missing)) if missing > 0 else np.inf


def _integrated_share(distance: Array, sigma: Array) -> Array:
    """Return G of `average_share_below`; every pass through memory counts, so all is done in place."""
    scaled = distance / (np.sqrt(2.0) * sigma)
    integral = _erf(scaled)
    integral += 1.0
    integral *= 0.5 * distance
    scaled *= scaled
    np.negative(scaled, out=scaled)
    np.exp(scaled, out=scaled)
    scaled *= sigma / np.sqrt(2.0 * np.pi)
    integral += scaled
    return integral


def _erf(values: Array) -> Array:
    """Return the error function; torch takes it several numbers at a time."""
    import torch

    answer: Array = torch.erf(torch.from_numpy(np.ascontiguousarray(values))).numpy()
    return answer


def _erfc(values: Array) -> Array:
    import torch

    answer: Array = torch.erfc(torch.from_numpy(np.ascontiguousarray(values))).numpy()
    return answer
