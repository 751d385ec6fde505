"""Navarro-Frenk-White halos as deflectors, with and without a truncation; differentiable at every radius."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["nfw_convergence", "nfw_deflection", "truncated_nfw_deflection"]

SMALL = 1e-2
NEAR = 0.05
TERMS = 13
#: deflection at the scale radius, in units of the normalisation
AT_SCALE_RADIUS = 1.0 + math.log(0.5)


def nfw_deflection(
    x: Tensor, y: Tensor, *, scale_radius: Tensor, alpha_rs: Tensor, soft: float
) -> tuple[Tensor, Tensor]:
    r"""Return the deflection of an NFW halo, arcsec.

    .. math:: \alpha = \frac{\alpha_{R_s}}{1 - \ln 2}\, \frac{g(X)}{X}, \quad g = \ln\frac{X}{2} + F(X),
        \quad X = R / R_s

    Parameters
    ----------
    x, y : offsets from the halo, arcsec, broadcasting to (batch, rows, columns)
    scale_radius : arcsec, (batch, 1, 1)
    alpha_rs : deflection at the scale radius, arcsec, (batch, 1, 1)
    soft : radius below which the centre is smoothed, arcsec

    References
    ----------
    Wright and Brainerd (2000), ApJ 534, 34
    """
    ratio_square = (x * x + y * y + soft**2) / scale_radius**2
    scale = alpha_rs / AT_SCALE_RADIUS * _enclosed(ratio_square) / (ratio_square * scale_radius)
    return scale * x, scale * y


def nfw_convergence(x: Tensor, y: Tensor, *, scale_radius: Tensor, alpha_rs: Tensor, soft: float) -> Tensor:
    r"""Return the convergence :math:`\frac{\alpha_{R_s}}{2 R_s (1 - \ln 2)} \frac{F(X) - 1}{1 - X^2}` of a halo."""
    distance = 1.0 - (x * x + y * y + soft**2) / scale_radius**2
    is_near = distance.abs() < NEAR
    far = (_inverse_tangent(distance) - 1.0) / torch.where(is_near, 1.0, distance)
    near = _geometric(torch.where(is_near, distance, 0.0), 1)
    return 0.5 * alpha_rs / (AT_SCALE_RADIUS * scale_radius) * torch.where(is_near, near, far)


def truncated_nfw_deflection(
    x: Tensor, y: Tensor, *, scale_radius: Tensor, alpha_rs: Tensor, truncation_radius: Tensor, soft: float
) -> tuple[Tensor, Tensor]:
    r"""Return the deflection of an NFW halo whose density falls by a further :math:`(1 + (r/r_t)^2)^{-1}`, arcsec.

    The published expression is a difference of terms of order one; here their leading parts have been cancelled by
    hand, with :math:`\tau = r_t / R_s`, :math:`\delta = \sqrt{\tau^2 + X^2} - \tau` and g of the halo without
    truncation, so that what is left is of order X^2:

    .. math::
        \frac{(\tau^2+1)^2}{\tau^2} g_\tau = (\tau^2 - 1 + 2 X^2) g - 2 X^2 \ln\frac{X}{2} - \pi \delta
        + \frac{\delta}{\tau} (\tau^2 - 1) \ln\frac{X}{2\tau}
        - \left(1 + \frac{\delta}{\tau}\right) (\tau^2 - 1) \ln\left(1 + \frac{\delta}{2\tau}\right)

    Parameters
    ----------
    x, y, scale_radius, soft : as of `nfw_deflection`
    alpha_rs : deflection at the scale radius of the halo without truncation, arcsec, (batch, 1, 1)
    truncation_radius : r_t, arcsec, (batch, 1, 1)

    References
    ----------
    Baltz, Marshall and Oguri (2009), JCAP 01, 015, eq. A.13 to A.17
    """
    ratio_square = (x * x + y * y + soft**2) / scale_radius**2
    tau = truncation_radius / scale_radius
    delta = ratio_square / ((tau * tau + ratio_square).sqrt() + tau)
    log_half = 0.5 * ratio_square.log() - math.log(2.0)
    excess, share = tau * tau - 1.0, delta / tau
    enclosed = (
        (excess + 2.0 * ratio_square) * _enclosed(ratio_square)
        - 2.0 * ratio_square * log_half
        - math.pi * delta
        + share * excess * (log_half - tau.log())
        - (1.0 + share) * excess * torch.log1p(0.5 * share)
    )
    enclosed = enclosed * (tau / (tau * tau + 1.0)) ** 2
    scale = alpha_rs / AT_SCALE_RADIUS * enclosed / (ratio_square * scale_radius)
    return scale * x, scale * y


def _enclosed(ratio_square: Tensor) -> Tensor:
    """Return g = ln(X/2) + F, the mass within a cylinder, at X^2; by its series where the two nearly cancel."""
    is_small = ratio_square < SMALL**2
    safe = torch.where(is_small, 0.25, ratio_square)
    large = 0.5 * safe.log() - math.log(2.0) + _inverse_tangent(1.0 - safe)
    square = torch.where(is_small, ratio_square, 0.25)
    log = math.log(2.0) - 0.5 * square.log()
    small = square * (0.5 * log - 0.25 + square * (0.375 * log - 7.0 / 32.0 + square * (0.3125 * log - 37.0 / 192.0)))
    return torch.where(is_small, small, large)


def _inverse_tangent(d: Tensor) -> Tensor:
    r"""Return F: :math:`\mathrm{artanh}(\sqrt d) / \sqrt d` for d = 1 - X^2 > 0, the arc tangent for d < 0."""
    is_inside, is_outside = d >= NEAR, d <= -NEAR
    root = torch.where(is_inside, d, 0.5).sqrt()
    # 1 - root loses digits near the centre, X^2 does not
    inside = ((1.0 + root).log() - 0.5 * torch.where(is_inside, 1.0 - d, 0.5).log()) / root
    root = torch.where(is_outside, -d, 0.5).sqrt()
    outside = root.atan() / root
    near = _geometric(torch.where(is_inside | is_outside, 0.0, d), 0)
    return torch.where(is_inside, inside, torch.where(is_outside, outside, near))


def _geometric(d: Tensor, first: int) -> Tensor:
    r"""Return :math:`\sum_{n \ge f} d^{n-f} / (2n+1)`."""
    total = torch.zeros_like(d)
    for n in reversed(range(first, first + TERMS)):
        total = total * d + 1.0 / (2 * n + 1)
    return total
