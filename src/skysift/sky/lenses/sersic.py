"""Sérsic profiles of galaxies: circular, elliptical, and with a core."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.sky.lenses.ellipses import squeeze

__all__ = ["core_sersic_brightness", "half_light_constant", "sersic_brightness", "sersic_ellipse_brightness"]

HalfLight = Literal["linear", "series"]
HALF_LIGHTS = ("linear", "series")


def half_light_constant(index: Tensor, kind: HalfLight = "linear") -> Tensor:
    r"""Return b_n, which makes R_e the radius of half the light.

    ``linear`` is :math:`1.9992 n - 0.3271`; ``series`` is :math:`2n - \frac13 + \frac{4}{405 n} + \frac{46}{25515 n^2}`
    and more exact. Both are meant for n > 0.3.

    References
    ----------
    Capaccioli (1989); Ciotti and Bertin (1999), A&A 352, 447
    """
    if kind not in HALF_LIGHTS:
        raise InputError("light", "half_light", kind, "an approximation of b_n", nearest(kind, HALF_LIGHTS))
    if kind == "linear":
        return 1.9992 * index - 0.3271
    return 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index) + 46.0 / (25515.0 * index**2)


def sersic_brightness(
    x: Tensor, y: Tensor, *, radius: Tensor, index: Tensor, soft: float, half_light: HalfLight = "linear"
) -> Tensor:
    r"""Return :math:`\exp(-b_n [(R/R_e)^{1/n} - 1])`, one at the half-light radius.

    Parameters
    ----------
    x, y : offsets from the centre, arcsec, broadcasting to (batch, rows, columns)
    radius : R_e, arcsec, (batch, 1, 1)
    index : n, (batch, 1, 1)
    soft : radius below which the centre is smoothed, arcsec
    half_light : which b_n
    """
    return _fall(x * x + y * y + soft**2, radius, index, half_light)


def sersic_ellipse_brightness(
    x: Tensor,
    y: Tensor,
    *,
    radius: Tensor,
    index: Tensor,
    e1: Tensor,
    e2: Tensor,
    soft: float,
    half_light: HalfLight = "linear",
) -> Tensor:
    """Return the profile of `sersic_brightness` on ellipses of ellipticity e; R_e is the geometric mean of the axes."""
    _, _, square, k = squeeze(x, y, e1, e2, soft)
    return _fall(square, radius * k.sqrt(), index, half_light)


def core_sersic_brightness(  # noqa: PLR0913 - that many numbers has the profile
    x: Tensor,
    y: Tensor,
    *,
    radius: Tensor,
    index: Tensor,
    break_radius: Tensor,
    sharpness: Tensor,
    slope: Tensor,
    e1: Tensor,
    e2: Tensor,
    soft: float,
    half_light: HalfLight = "linear",
) -> Tensor:
    r"""Return a Sérsic profile that turns into a power law within a break radius.

    .. math:: \left[1 + (R_b/R)^a\right]^{g/a} \exp\left(-b_n \left\{\left[(R^a + R_b^a) / R_e^a\right]^{1/(a n)}
        - 1\right\}\right)

    Parameters
    ----------
    x, y, radius, index, e1, e2, soft, half_light : as of the profiles without a core
    break_radius : R_b > 0, arcsec, (batch, 1, 1)
    sharpness : a, of the turn at the break
    slope : g, of the light within the break

    References
    ----------
    Graham et al. (2003), AJ 125, 2951, eq. 5; Trujillo et al. (2004), AJ 127, 1917
    """
    _, _, square, k = squeeze(x, y, e1, e2, soft)
    # ln(1 + (R/R_b)^a) is finite at the centre and far away, unlike the powers themselves
    ratio = sharpness * (0.5 * (square / k).log() - break_radius.log())
    joined = torch.nn.functional.softplus(ratio) / sharpness
    rise = slope * (joined - ratio / sharpness)
    growth = torch.exp((joined + (break_radius / radius).log()) / index)
    return torch.exp(rise - half_light_constant(index, half_light) * (growth - 1.0))


def _fall(square: Tensor, radius: Tensor, index: Tensor, half_light: HalfLight) -> Tensor:
    """Return the profile at squared radii, where R_e is ``radius``."""
    b = half_light_constant(index, half_light)
    # powers by logarithms, whose derivatives cost no further powers
    growth = torch.exp(0.5 / index * square.log() + (b.log() - radius.log() / index))
    return torch.exp(b - growth)
