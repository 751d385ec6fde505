"""Integrals of spectra over bins of true energy: exact ones, and those that Gammapy has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.sky.components import build_spectrum

if TYPE_CHECKING:
    from skysift.config.models import PartDeclaration

__all__ = ["integrate_spectrum"]

#: Spectra that Gammapy integrates in closed form.
_CLOSED = ("pl", "pl-norm", "pl-2", "gauss")
_POINTS_PER_DECADE = 100


def integrate_spectrum(
    part: PartDeclaration, values: Mapping[str, Tensor], edges_tev: Tensor, quadrature: str
) -> Tensor:
    """Return the flux in bins, (batch, K) or (K,), cm-2 s-1.

    Parameters
    ----------
    part : declaration of the spectrum
    values : of its parameters
    edges_tev : (K + 1,)
    quadrature : ``exact``, or ``gammapy``: power laws between the points of a grid in each bin, where it knows no
        closed form
    """
    spectrum = build_spectrum(part, values)
    if quadrature == "exact" or part.tag in _CLOSED:
        return spectrum.integrals(edges_tev)
    low, high = edges_tev[:-1], edges_tev[1:]
    decades = float(torch.log10(high / low).max())
    points = max(int(_POINTS_PER_DECADE * decades), 2)
    place = torch.linspace(0.0, 1.0, points, dtype=torch.float64, device=edges_tev.device)
    energy = (low.log()[:, None] + (high / low).log()[:, None] * place).exp()
    density = spectrum.density(energy.reshape(-1))
    return _sum_power_laws(energy, density.reshape(*density.shape[:-1], *energy.shape))


def _sum_power_laws(energy: Tensor, density: Tensor) -> Tensor:
    """Return the integral over the last axis of what is a power law between points."""
    safe = density.clamp_min(math.exp(-700.0))
    width = (energy[..., 1:] / energy[..., :-1]).log()
    slope = (safe[..., 1:] / safe[..., :-1]).log() / width + 1.0
    exponent = slope * width
    is_small = exponent.abs() < 1e-6
    far = torch.where(is_small, 1.0, exponent)
    share = torch.where(is_small, 1.0 + exponent / 2, far.expm1() / far)
    return (safe[..., :-1] * energy[..., :-1] * width * share).sum(-1)
