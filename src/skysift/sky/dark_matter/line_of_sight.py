"""Integrals of dark matter along lines of sight, from the smallest angles to the anticentre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from skysift.sky.dark_matter.profiles import is_batch, lift

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skysift.sky.dark_matter.profiles import Profile

__all__ = ["CM_PER_KPC", "DEPTH_KPC", "Kind", "integrate_sight"]

Kind = Literal["annihilation", "decay"]

CM_PER_KPC = 3.0856775814913673e21
DEPTH_KPC = 200.0
"""How far from the Sun the integrals go, kpc."""

_RULE = tuple(torch.as_tensor(part, dtype=torch.float64) for part in np.polynomial.legendre.leggauss(64))
"""Points and weights along each piece of a line."""


def integrate_sight(
    profile: Profile, angle_deg: ArrayLike | Tensor, kind: Kind = "annihilation", depth_kpc: float = DEPTH_KPC
) -> Tensor:
    r"""Return dJ/dOmega (annihilation) or dD/dOmega (decay) at angles from the centre.

    .. math:: \frac{dJ}{d\Omega} = \int_0^{s_\mathrm{max}} \rho^2\, ds, \quad
              \frac{dD}{d\Omega} = \int_0^{s_\mathrm{max}} \rho\, ds, \quad r^2 = R^2 + s^2 - 2 R s \cos\psi

    With :math:`s - R \cos\psi = R \sin\psi \sinh u` the integrand is smooth and short in u, cusp or not:
    :math:`r = R \sin\psi \cosh u`.

    Parameters
    ----------
    profile : parameters are numbers or (batch,)
    angle_deg : (n,) psi, above 0 and below 180 deg
    kind : ``annihilation`` or ``decay``
    depth_kpc : s_max

    Returns
    -------
    (n,) or (batch, n); GeV2 cm-5 sr-1, or GeV cm-2 sr-1

    References
    ----------
    Cirelli et al. (2011), JCAP 03, 051, eq. 4 (their J and D are in units of rho_sun and R)
    """
    angle = torch.deg2rad(torch.as_tensor(angle_deg, dtype=torch.float64))
    distance = lift(profile.distance_kpc, 2)
    impact, along = distance * angle.sin()[None], distance * angle.cos()[None]
    start, end = torch.asinh(-along / impact), torch.asinh((depth_kpc - along) / impact)
    breaks = [torch.zeros_like(start)]
    if profile.core_kpc is not None:
        # Lines that pass outside the core get an empty piece.
        inside = torch.acosh((lift(profile.core_kpc, 2) / impact).clamp(min=1 + 1e-12))
        breaks = [-inside, breaks[0], inside]
    points, parts = _RULE
    pieces, low = [], start
    for stop in [*breaks, end]:
        high = torch.minimum(torch.maximum(stop, low), end)
        half = 0.5 * (high - low)
        cosh = (low[..., None] + half[..., None] * (1 + points)).cosh()
        density = profile.density(impact[..., None] * cosh)
        density = density**2 if kind == "annihilation" else density
        pieces.append((density * cosh * parts).sum(-1) * half * impact)
        low = high
    total = torch.stack(pieces).sum(0) * CM_PER_KPC
    return total if is_batch(profile) else total[0]
