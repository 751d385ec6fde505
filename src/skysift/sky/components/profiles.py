"""Formulas of shapes around a centre: Gaussians, disks, shells, with how far they reach and how fine they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skysift.sky.components.sphere import Seen

__all__ = ["PROFILES", "Profile"]

Columns = Mapping[str, Tensor]

_RADIAN = torch.pi / 180
# Sizes and axes below these are taken for these: limits are part of the domain, and densities stay finite there.
_SMALLEST_DEG = 1e-6
_NARROWEST = 1e-4
_THINNEST = 1e-9
#: Of the error function: 0.1 to 99.9 % of the edge lie within its width.
_EDGE = 2.326174307353347
_MOST = 700.0


@dataclass(frozen=True)
class Profile:
    """A shape around a centre.

    Parameters
    ----------
    density : maps directions seen from the centre and parameters (batch, 1) to (batch, n), sr-1
    reach_deg, size_deg : map parameters to the radius of evaluation and the finest detail, deg
    """

    density: Callable[[Seen, Columns], Tensor]
    reach_deg: Callable[[Columns], Tensor]
    size_deg: Callable[[Columns], Tensor]


def _size(p: Columns, name: str) -> Tensor:
    """Return a size in rad."""
    return p[name].clamp_min(_SMALLEST_DEG) * _RADIAN


def _minor_share(e: Tensor) -> Tensor:
    """Return minor over major axis."""
    return (1 - e**2).clamp_min(_NARROWEST**2).sqrt()


def _is_round(p: Columns) -> bool:
    return not p["e"].requires_grad and bool((p["e"] == 0).all())


def _versine(angle: Tensor) -> Tensor:
    """Return 1 - cos, exact for small angles."""
    return 2 * (0.5 * angle).sin() ** 2


def _gaussian(seen: Seen, p: Columns) -> Tensor:
    """exp(-(1 - cos theta) / (2 (1 - cos sigma))), normalised on the sphere where it is round."""
    sigma = _size(p, "sigma")
    width = _versine(sigma)
    norm = 1 / (4 * torch.pi * width * -torch.expm1(-1 / width))
    if not _is_round(p):
        share = _minor_share(p["e"])
        width = _versine(sigma * seen.stretch(share, p["phi"]))
        norm = torch.where(p["e"] == 0, norm, 1 / (2 * torch.pi * sigma**2 * share))
    return norm * (-seen.haversine / width).exp()


def _general_gaussian(seen: Seen, p: Columns) -> Tensor:
    """exp(-(theta / r)^(1 / eta)) / (2 pi r_0 r_minor eta Gamma(2 eta))."""
    radius, share, eta = _size(p, "r_0"), _minor_share(p["e"]), p["eta"]
    ratio = seen.apart / radius
    if not _is_round(p):
        ratio = ratio / seen.stretch(share, p["phi"])
    power = (ratio.log() / eta).clamp_max(math.log(_MOST)).exp()
    norm = 2 * torch.pi * share * radius**2 * eta * torch.lgamma(2 * eta).exp()
    return (-power).exp() / norm


def _disk(seen: Seen, p: Columns) -> Tensor:
    """Uniform, with an edge by the error function."""
    radius, edge = _size(p, "r_0"), p["edge_width"].clamp_min(_THINNEST)
    if _is_round(p):
        norm, outline = 1 / (2 * torch.pi * _versine(radius)), radius
    else:
        share = _minor_share(p["e"])
        norm, outline = 1 / _ellipse_area(radius, share), radius * seen.stretch(share, p["phi"])
    inside = 0.5 * torch.erfc(_EDGE * (seen.apart - outline) / (outline * edge))
    return norm * inside


def _ellipse_area(radius: Tensor, share: Tensor, corners: int = 512) -> Tensor:
    r"""Return the solid angle of an ellipse, (batch, 1) or ().

    .. math:: 2 \int_0^\pi 1 - \sqrt{1 - 1 / (B + C \cos^2 x)}\, dx, \quad B = \sin^{-2} b, \; C = \sin^{-2} a - B

    The trapezoidal rule converges exponentially: the integrand is periodic.
    """
    turn = (torch.arange(corners, dtype=torch.float64, device=radius.device) + 0.5) * (torch.pi / corners)
    long, short = radius.sin() ** -2, (radius * share).sin() ** -2
    square = 1 / (long * turn.cos() ** 2 + short * turn.sin() ** 2)
    depth = square / (1 + (1 - square).clamp_min(0.0).sqrt())
    return 2 * torch.pi * depth.mean(-1, keepdim=radius.ndim > 0)


def _hollow(seen: Seen, inner: Tensor, outer: Tensor) -> Tensor:
    """Return the projected density of a ball without its inner part."""
    norm = 3 / (2 * torch.pi * (outer - inner).clamp_min(_SMALLEST_DEG * _RADIAN))
    norm = norm / (outer**2 + outer * inner + inner**2)
    square = seen.apart**2
    return norm * (_root(outer**2 - square) - _root(inner**2 - square))


def _root(square: Tensor) -> Tensor:
    """Return the square root where it is real, else zero, with a gradient of zero."""
    is_real = square > 0
    return torch.where(is_real, torch.where(is_real, square, 1.0).sqrt(), 0.0)


def _shell(seen: Seen, p: Columns) -> Tensor:
    """Projected shell between a radius and that plus its width."""
    inner = p["radius"] * _RADIAN
    return _hollow(seen, inner, inner + _size(p, "width"))


def _shell_2(seen: Seen, p: Columns) -> Tensor:
    """Projected shell between (1 - eta) r_0 and r_0."""
    outer = _size(p, "r_0")
    return _hollow(seen, (1 - p["eta"]) * outer, outer)


#: As Gammapy evaluates them: radius, and detail beyond which it divides pixels.
PROFILES: dict[str, Profile] = {
    "gauss": Profile(_gaussian, lambda p: 5 * p["sigma"], lambda p: p["sigma"] / 3),
    "gauss-general": Profile(
        _general_gaussian,
        lambda p: p["r_0"] * (1 + 8 * p["eta"]),
        lambda p: p["r_0"] / (3 + 8 * p["eta"]) / (1 + p["e"]),
    ),
    "disk": Profile(
        _disk, lambda p: 1.1 * p["r_0"] * (1 + p["edge_width"]), lambda p: p["r_0"] * (1 - p["edge_width"]) / 10
    ),
    "shell": Profile(_shell, lambda p: p["radius"] + p["width"], lambda p: p["width"]),
    "shell2": Profile(_shell_2, lambda p: p["r_0"], lambda p: p["eta"] * p["r_0"]),
}
