"""Elliptical power laws as deflectors, with the isothermal ellipse and sphere among them; external shear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skysift.sky.lenses.ellipses import squeeze
from skysift.sky.lenses.power_series import sum_series

__all__ = ["count_terms", "epl_convergence", "epl_deflection", "epl_potential", "shear_deflection", "sis_deflection"]

DEFAULT_TERMS = 18


def count_terms(largest_ellipticity: float, tolerance: float = 1e-9) -> int:
    """Return how many terms of the series of `epl_deflection` leave an error below ``tolerance`` of the deflection.

    Examples
    --------
    >>> count_terms(0.3), count_terms(0.6)
    (18, 43)
    """
    c = min(max(largest_ellipticity, 1e-3), 0.99)
    return max(2, math.ceil(math.log(tolerance * (1.0 - c)) / math.log(c)))


def epl_deflection(
    x: Tensor,
    y: Tensor,
    *,
    theta_e: Tensor,
    gamma: Tensor,
    e1: Tensor,
    e2: Tensor,
    soft: float,
    terms: int = DEFAULT_TERMS,
) -> tuple[Tensor, Tensor]:
    r"""Return the deflection of an elliptical power law, arcsec.

    .. math::
        \alpha = \theta_E \sqrt{k} \left(\frac{\theta_E}{R}\right)^{t-1} u \sum_n (-1)^n \prod_{m \le n}
        \frac{2m - 2 + t}{2m + 2 - t} (\bar e u^2)^n, \qquad t = \gamma - 1

    Parameters
    ----------
    x, y : offsets from the lens, arcsec, broadcasting to (batch, rows, columns)
    theta_e : Einstein radius (product average of the axes), arcsec, (batch, 1, 1), as are all others
    gamma : slope of the density in three dimensions, between 1 and 3
    e1, e2 : ellipticity, of modulus c = (1 - q) / (1 + q)
    soft : radius below which the centre is smoothed, arcsec
    terms : of the series, whose error is about c^terms / (1 - c)

    References
    ----------
    Tessore and Metcalf (2015), A&A 580, A79, eq. 22, 23
    """
    w1, w2, square, k = squeeze(x, y, e1, e2, soft)
    inverse = square.rsqrt()
    u1, u2 = w1 * inverse, w2 * inverse
    cosine, sine = u1 * u1 - u2 * u2, 2.0 * u1 * u2
    t = gamma - 1.0
    same = 0.0 * t
    real, imaginary = (e1 + same) * cosine + e2 * sine, (e1 + same) * sine - e2 * cosine
    real, imaginary = sum_series(real, imaginary, _coefficients(t, terms).expand(len(real), -1))
    # powers by logarithms, whose derivatives cost no further powers
    size = theta_e * k.sqrt()
    scale = torch.exp(t * size.log() - (0.5 * t - 0.5) * square.log())
    return scale * (u1 * real - u2 * imaginary), scale * (u1 * imaginary + u2 * real)


def _coefficients(t: Tensor, terms: int) -> Tensor:
    """Return (-1)^n times the products of the series, (batch, terms)."""
    n = torch.arange(1, terms, dtype=t.dtype, device=t.device)
    t = t.reshape(-1, 1)
    factors = -(2.0 * n - 2.0 + t) / (2.0 * n + 2.0 - t)
    return torch.cat([torch.ones_like(t), factors.cumprod(-1)], -1)


def epl_convergence(
    x: Tensor, y: Tensor, *, theta_e: Tensor, gamma: Tensor, e1: Tensor, e2: Tensor, soft: float
) -> Tensor:
    r"""Return the convergence :math:`\frac{3-\gamma}{2} (\theta_E / R)^{\gamma-1}` of an elliptical power law."""
    _, _, square, k = squeeze(x, y, e1, e2, soft)
    return 0.5 * (3.0 - gamma) * torch.pow(theta_e * (k / square).sqrt(), gamma - 1.0)


def epl_potential(
    x: Tensor,
    y: Tensor,
    *,
    theta_e: Tensor,
    gamma: Tensor,
    e1: Tensor,
    e2: Tensor,
    soft: float,
    terms: int = DEFAULT_TERMS,
) -> Tensor:
    r"""Return the potential :math:`(x \alpha_x + y \alpha_y) / (3 - \gamma)` of an elliptical power law, arcsec2."""
    along, across = epl_deflection(x, y, theta_e=theta_e, gamma=gamma, e1=e1, e2=e2, soft=soft, terms=terms)
    return (x * along + y * across) / (3.0 - gamma)


def sis_deflection(x: Tensor, y: Tensor, *, theta_e: Tensor, soft: float) -> tuple[Tensor, Tensor]:
    """Return the deflection of a singular isothermal sphere, arcsec: its Einstein radius, away from the centre."""
    scale = theta_e * (x * x + y * y + soft**2).rsqrt()
    return scale * x, scale * y


def shear_deflection(x: Tensor, y: Tensor, *, g1: Tensor, g2: Tensor) -> tuple[Tensor, Tensor]:
    """Return the deflection of external shear about the origin, arcsec."""
    return g1 * x + g2 * y, g2 * x - g1 * y
