"""Flux of annihilating or decaying dark matter per J- or D-factor: a spectrum like that of any source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.sky.dark_matter.channels import Channel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["LONG_LIFETIME_S", "THERMAL_CM3_S", "AnnihilationSpectrum", "DecaySpectrum"]

Value = float | Tensor

THERMAL_CM3_S = 3e-26
"""A cross section of the order that a thermal relic needs, cm3 s-1."""
LONG_LIFETIME_S = 1e27
"""A lifetime of the order that gamma rays can tell from none, s."""

_GEV_PER_TEV = 1000.0


@dataclass(frozen=True, eq=False)
class AnnihilationSpectrum:
    r"""Flux of annihilation per J-factor.

    .. math:: \frac{\Phi}{J} = \frac{\langle\sigma v\rangle}{8 \pi m^2} \sum_c B_c \frac{dN_c}{dE}

    for particles that are their own antiparticles; 16 pi otherwise.

    Parameters
    ----------
    channels : by name
    mass_tev : m, TeV; number or (batch,)
    cross_section_cm3_s : sigma-v, cm3 s-1; number or (batch,)
    branching : of each channel; number or (batch,); 1 for a single channel without it
    is_self_conjugate : whether particle and antiparticle are the same

    Raises
    ------
    InputError : branching ratios that do not belong to the channels
    """

    channels: Mapping[str, Channel]
    mass_tev: Value
    cross_section_cm3_s: Value = THERMAL_CM3_S
    branching: Mapping[str, Value] = field(default_factory=dict)
    is_self_conjugate: bool = True

    def __post_init__(self) -> None:
        """Refuse branching ratios of other channels."""
        _check_branching(self.channels, self.branching)

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux density, TeV-1 cm-2 s-1 per GeV2 cm-5, at energies (K,): (K,) or (batch, K)."""
        photons = [channel.density(energy_tev, self.mass_tev) for channel in self.channels.values()]
        return self._factor() * _mix(self.channels, self.branching, photons)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux, cm-2 s-1 per GeV2 cm-5, in bins of edges (K + 1,): (K,) or (batch, K)."""
        photons = [channel.integrals(edges_tev, self.mass_tev) for channel in self.channels.values()]
        return self._factor() * _mix(self.channels, self.branching, photons)

    def _factor(self) -> Tensor:
        mass_gev = _column(self.mass_tev) * _GEV_PER_TEV
        return _column(self.cross_section_cm3_s) / ((8 if self.is_self_conjugate else 16) * math.pi * mass_gev**2)


@dataclass(frozen=True, eq=False)
class DecaySpectrum:
    r"""Flux of decay per D-factor; a decay of mass m gives the photons of an annihilation at m / 2.

    .. math:: \frac{\Phi}{D} = \frac{1}{4 \pi m \tau} \sum_c B_c \frac{dN_c}{dE}

    Parameters
    ----------
    channels : by name
    mass_tev : m, TeV; number or (batch,)
    lifetime_s : tau, s; number or (batch,)
    branching : of each channel; number or (batch,); 1 for a single channel without it

    Raises
    ------
    InputError : branching ratios that do not belong to the channels
    """

    channels: Mapping[str, Channel]
    mass_tev: Value
    lifetime_s: Value = LONG_LIFETIME_S
    branching: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse branching ratios of other channels."""
        _check_branching(self.channels, self.branching)

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux density, TeV-1 cm-2 s-1 per GeV cm-2, at energies (K,): (K,) or (batch, K)."""
        photons = [channel.density(energy_tev, self._half()) for channel in self.channels.values()]
        return self._factor() * _mix(self.channels, self.branching, photons)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux, cm-2 s-1 per GeV cm-2, in bins of edges (K + 1,): (K,) or (batch, K)."""
        photons = [channel.integrals(edges_tev, self._half()) for channel in self.channels.values()]
        return self._factor() * _mix(self.channels, self.branching, photons)

    def _half(self) -> Tensor:
        return torch.as_tensor(self.mass_tev, dtype=torch.float64) / 2

    def _factor(self) -> Tensor:
        return 1 / (4 * math.pi * _column(self.mass_tev) * _GEV_PER_TEV * _column(self.lifetime_s))


def _check_branching(channels: Mapping[str, Channel], branching: Mapping[str, Value]) -> None:
    is_implied = len(channels) == 1 and not branching
    if not channels or not (is_implied or set(branching) == set(channels)):
        raise InputError(
            "dark matter", "branching", ", ".join(branching) or "none",
            f"one per channel: {', '.join(channels) or 'none'}", "give a ratio for each channel",
        )  # fmt: skip


def _mix(channels: Mapping[str, Channel], branching: Mapping[str, Value], photons: list[Tensor]) -> Tensor:
    if not branching:
        return photons[0]
    parts = [_column(branching[name]) * part for name, part in zip(channels, photons, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _column(value: Value) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64)
    return tensor[..., None] if tensor.ndim else tensor
