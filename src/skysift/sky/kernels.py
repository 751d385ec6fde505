"""Correlation functions of Gaussian processes on the sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skysift.errors import InputError, nearest

__all__ = ["KERNELS", "correlate", "separation"]

KERNELS = ("matern12", "matern32", "matern52", "rbf")


def separation(x: Tensor, z: Tensor, distance: str = "chord") -> Tensor:
    r"""Return the distance between unit vectors, with finite gradients where points coincide or are antipodes.

    Chord length :math:`\sqrt{2 - 2\,x\cdot z}` keeps every kernel that is valid in three dimensions positive
    definite on the sphere; the great-circle angle does not (for Matern kernels above nu = 1/2).

    Parameters
    ----------
    x : (n, 3), unit vectors
    z : (m, 3), unit vectors
    distance : ``chord`` or ``geodesic``

    Returns
    -------
    (n, m), radian (chord: length on the unit sphere)
    """
    if distance not in ("chord", "geodesic"):
        known = ("chord", "geodesic")
        raise InputError("model", "modulate.distance", distance, " or ".join(known), nearest(distance, known))
    squared = 2.0 - 2.0 * (x @ z.T)
    apart = squared > 1e-15
    chord = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    return chord if distance == "chord" else 2.0 * torch.asin((0.5 * chord).clamp(max=1.0 - 1e-15))


def correlate(kernel: str, distance_rad: Tensor, lengthscale_rad: Tensor | float) -> Tensor:
    r"""Return the correlation at a distance, 1 at zero.

    With :math:`r = d / l`: ``matern12`` :math:`e^{-r}`, ``matern32`` :math:`(1+\sqrt3 r)e^{-\sqrt3 r}`,
    ``matern52`` :math:`(1+\sqrt5 r+5r^2/3)e^{-\sqrt5 r}`, ``rbf`` :math:`e^{-r^2/2}`.

    Parameters
    ----------
    kernel : one of `KERNELS`
    distance_rad : any shape, radian
    lengthscale_rad : radian, broadcast against the distance

    Raises
    ------
    InputError : unknown kernel

    References
    ----------
    Rasmussen & Williams (2006), eqs. 4.16-4.17

    Examples
    --------
    >>> round(float(correlate("matern52", torch.tensor(0.2), 0.2)), 6)
    0.523994
    """
    r = distance_rad / lengthscale_rad
    match kernel:
        case "matern12":
            return torch.exp(-r)
        case "matern32":
            s = math.sqrt(3.0) * r
            return (1.0 + s) * torch.exp(-s)
        case "matern52":
            s = math.sqrt(5.0) * r
            return (1.0 + s + s * s / 3.0) * torch.exp(-s)
        case "rbf":
            return torch.exp(-0.5 * r * r)
    raise InputError("model", "modulate.kernel", kernel, " or ".join(KERNELS), nearest(kernel, KERNELS))
