"""Spectra of sources: flux per energy and its exact integral over bins, differentiable in every parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from skysift.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "BrokenPowerLaw", "ExponentialCutoff", "LogParabola", "PowerLaw", "Spectrum", "TableSpectrum", "integrate_log",
    "power_integral",
]  # fmt: skip

Value = float | Tensor
"""A parameter: a number, or a tensor (batch) that may ask for gradients."""

_NODES = 16
_WIDEST = math.log(2.0)


class Spectrum(Protocol):
    """What every spectrum offers; the batch of its parameters comes first."""

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""


@cache
def _make_rule() -> tuple[Tensor, ...]:
    """Return points and weights between -1 and 1."""
    import numpy as np

    return tuple(torch.as_tensor(part, dtype=torch.float64) for part in np.polynomial.legendre.leggauss(_NODES))


def integrate_log(density: Callable[[Tensor], Tensor], low_tev: Tensor, high_tev: Tensor) -> Tensor:
    r"""Return integrals over bins by Gauss-Legendre rules in the logarithm of the energy.

    .. math:: \int_a^b \phi(E)\, dE = \int_{\ln a}^{\ln b} \phi(e^u)\, e^u\, du

    Bins wider than a factor of 2 are divided, so that a cutoff inside a wide bin is resolved.

    Parameters
    ----------
    density : maps energies (n,) to (..., n)
    low_tev, high_tev : (K,), 0 < low <= high, TeV; may carry gradients

    Returns
    -------
    (..., K), density times TeV
    """
    start, width = low_tev.log(), (high_tev / low_tev).log()
    pieces = max(1, math.ceil(float(width.detach().max()) / _WIDEST))
    points, shares = _make_rule()
    places = ((torch.arange(pieces, dtype=torch.float64)[:, None] + 0.5 * (1 + points)) / pieces).reshape(-1)
    energy = (start[:, None] + width[:, None] * places).exp()
    values = density(energy.reshape(-1))
    terms = values.reshape(*values.shape[:-1], *energy.shape) * energy * (0.5 * shares / pieces).repeat(pieces)
    integral: Tensor = terms.sum(-1) * width
    return integral


@dataclass(frozen=True, eq=False)
class PowerLaw:
    r"""Power law.

    .. math:: \phi(E) = \phi_0 (E / E_0)^{-\Gamma}

    Parameters
    ----------
    norm : phi_0, the flux at the pivot, TeV-1 cm-2 s-1; number or (batch,)
    index : Gamma
    pivot_tev : E_0, TeV

    Examples
    --------
    >>> PowerLaw(norm=1e-12, index=2.0, pivot_tev=1.0).integrals([1.0, 2.0])
    tensor([5.0000e-13], dtype=torch.float64)
    """

    norm: Value
    index: Value
    pivot_tev: Value = 1.0

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        norm, index, pivot = _columns(self.norm, self.index, self.pivot_tev)
        return norm * (_doubles(energy_tev) / pivot) ** (-index)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        low, high = _bins(edges_tev)
        norm, index, pivot = _columns(self.norm, self.index, self.pivot_tev)
        return power_integral(norm, index, pivot, low, high)


@dataclass(frozen=True, eq=False)
class BrokenPowerLaw:
    r"""Two power laws that meet at the break.

    .. math:: \phi(E) = \phi_b (E / E_b)^{-\Gamma_1}\ (E < E_b), \quad \phi_b (E / E_b)^{-\Gamma_2}\ (E \ge E_b)

    Parameters
    ----------
    norm : phi_b, the flux at the break, TeV-1 cm-2 s-1; number or (batch,)
    index_below, index_above : Gamma_1 and Gamma_2
    break_tev : E_b, TeV
    """

    norm: Value
    index_below: Value
    index_above: Value
    break_tev: Value

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        norm, below, above, edge = _columns(self.norm, self.index_below, self.index_above, self.break_tev)
        energy = _doubles(energy_tev)
        return norm * (energy / edge) ** (-torch.where(energy < edge, below, above))

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        norm, below, above, edge = _columns(self.norm, self.index_below, self.index_above, self.break_tev)
        low, high = _bins(edges_tev)
        middle = torch.minimum(torch.maximum(edge, low), high)
        first = power_integral(norm, below, edge, low, middle)
        return first + power_integral(norm, above, edge, middle, high)


@dataclass(frozen=True, eq=False)
class ExponentialCutoff:
    r"""Power law with exponential cutoff; its norm is *not* the flux at the pivot.

    .. math:: \phi(E) = \phi_0 (E / E_0)^{-\Gamma} e^{-\lambda E}

    Parameters
    ----------
    norm : phi_0, TeV-1 cm-2 s-1; number or (batch,)
    index : Gamma
    pivot_tev : E_0, TeV
    cutoff_inverse_tev : lambda, TeV-1
    """

    norm: Value
    index: Value
    pivot_tev: Value
    cutoff_inverse_tev: Value

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        norm, index, pivot, cutoff = _columns(self.norm, self.index, self.pivot_tev, self.cutoff_inverse_tev)
        energy = _doubles(energy_tev)
        return norm * (energy / pivot) ** (-index) * (-cutoff * energy).exp()

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        return integrate_log(self.density, *_bins(edges_tev))


@dataclass(frozen=True, eq=False)
class LogParabola:
    r"""Power law whose index runs with the logarithm of the energy.

    .. math:: \phi(E) = \phi_0 (E / E_0)^{-\alpha - \beta \ln(E / E_0)}

    Parameters
    ----------
    norm : phi_0, the flux at the pivot, TeV-1 cm-2 s-1; number or (batch,)
    alpha, beta : index at the pivot, and how it runs (natural logarithm)
    pivot_tev : E_0, TeV
    """

    norm: Value
    alpha: Value
    beta: Value
    pivot_tev: Value = 1.0

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        norm, alpha, beta, pivot = _columns(self.norm, self.alpha, self.beta, self.pivot_tev)
        ratio = (_doubles(energy_tev) / pivot).log()
        return norm * (-(alpha + beta * ratio) * ratio).exp()

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        return integrate_log(self.density, *_bins(edges_tev))


@dataclass(frozen=True, eq=False)
class TableSpectrum:
    """Points joined by power laws, zero outside them.

    Parameters
    ----------
    energies_tev : (N,) rising, TeV
    densities : (N,) positive, TeV-1 cm-2 s-1
    norm : factor; number or (batch,)

    Raises
    ------
    InputError : fewer than two points, energies that do not rise, values that are not positive
    """

    energies_tev: ArrayLike | Tensor
    densities: ArrayLike | Tensor
    norm: Value = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be joined."""
        energy, density = _doubles(self.energies_tev), _doubles(self.densities)
        shapes = f"{tuple(energy.shape)} energies, {tuple(density.shape)} values"
        if energy.ndim != 1 or energy.shape != density.shape or len(energy) < 2:
            raise _fault("points", shapes, "two equally long lists of at least 2", "mend the table")
        bad = ~((energy[1:] > energy[:-1]) & (energy[:-1] > 0) & energy[1:].isfinite())
        if bad.any():
            row = int(bad.nonzero()[0, 0]) + 1
            raise _fault(f"energies_tev, row {row}", float(energy[row]), "positive, rising energies", "sort the table")
        bad = ~((density > 0) & density.isfinite())
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise _fault(
                f"densities, row {row}", float(density[row]), "values > 0", "cut the table where the flux ends"
            )

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        points, values, slopes = self._segments()
        energy = _doubles(energy_tev)
        place = (torch.searchsorted(points, energy.contiguous(), right=True) - 1).clamp(0, len(points) - 2)
        inside = (energy >= points[0]) & (energy <= points[-1])
        density = values[place] * (energy / points[place]) ** (-slopes[place])
        (norm,) = _columns(self.norm)
        return norm * torch.where(inside, density, 0.0)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        points, values, slopes = self._segments()
        low, high = (torch.minimum(torch.maximum(edge[:, None], points[:-1]), points[1:]) for edge in _bins(edges_tev))
        (norm,) = _columns(self.norm)
        return norm * power_integral(values[:-1], slopes, points[:-1], low, high).sum(-1)

    def _segments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies (N,), values (N,) and the index (N - 1,) between them."""
        points, values = _doubles(self.energies_tev), _doubles(self.densities)
        return points, values, -(values[1:] / values[:-1]).log() / (points[1:] / points[:-1]).log()


def power_integral(norm: Tensor, index: Tensor, pivot: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the integral of norm (E / pivot)^-index from low to high, smooth through index 1; all broadcast."""
    width = (high / low).log()
    exponent = (1.0 - index) * width
    is_small = exponent.abs() < 1e-3
    # Both branches must stay finite: the gradient flows through the one that is not taken, too.
    far = torch.where(is_small, 1.0, exponent)
    near = torch.where(is_small, exponent, 0.0)
    series = 1 + near / 2 * (1 + near / 3 * (1 + near / 4 * (1 + near / 5)))
    return norm * low * (low / pivot) ** (-index) * width * torch.where(is_small, series, far.expm1() / far)


def _doubles(values: ArrayLike | Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _columns(*values: Value) -> list[Tensor]:
    """Return parameters as (batch, 1), or () for plain numbers, to meet energies (K,)."""
    tensors = [_doubles(value) for value in values]
    return [value[..., None] if value.ndim else value for value in tensors]


def _bins(edges_tev: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
    edges = _doubles(edges_tev)
    return edges[:-1], edges[1:]


def _fault(field: str, found: object, wanted: str, remedy: str) -> InputError:
    return InputError("table spectrum", field, found, wanted, remedy)
