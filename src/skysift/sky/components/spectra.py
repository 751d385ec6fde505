"""Spectra of model files as functions of tensors: formulas, tables, compounds, with integrals over bins."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.sky.components.formulas import FORMULAS, Formula
from skysift.sky.components.quadrature import integrate_bins
from skysift.sky.components.tables import TABLES
from skysift.sky.spectra import BrokenPowerLaw, PowerLaw, Spectrum, power_integral

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["SPECTRA", "Part", "build_spectrum"]

Values = Mapping[str, Tensor | float]


class Part(Protocol):
    """What a declared spectrum or shape offers."""

    @property
    def tag(self) -> str:
        """Name of its kind."""

    @property
    def tables(self) -> Mapping[str, Sequence[float]]:
        """Numbers that come with it."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Its other entries."""

    @property
    def file(self) -> str | None:
        """File that it needs."""

    @property
    def parts(self) -> Sequence[Part]:
        """Of a compound or sum."""


@dataclass(frozen=True, eq=False)
class FormulaSpectrum:
    """A spectrum by its formula.

    Parameters
    ----------
    formula : of energies and parameters
    values : parameters, (batch,) or ()
    breaks_tev : (m,) or (batch, m), energies at which it has kinks, TeV
    """

    formula: Formula
    values: Values
    breaks_tev: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        return self.formula(_doubles(energy_tev), {name: _column(value) for name, value in self.values.items()})

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        edges = _doubles(edges_tev)
        return integrate_bins(self.density, edges, self.breaks_tev.to(edges.device))


@dataclass(frozen=True, eq=False)
class FluxPowerLaw:
    """Power law by its flux between two energies.

    Parameters
    ----------
    flux : cm-2 s-1
    index : of the power law
    low_tev, high_tev : of the flux, TeV
    """

    flux: Tensor
    index: Tensor
    low_tev: Tensor
    high_tev: Tensor

    def _law(self) -> PowerLaw:
        one = torch.ones_like(self.index)
        total = power_integral(one, self.index, self.low_tev, self.low_tev, self.high_tev)
        return PowerLaw(self.flux / total, self.index, self.low_tev)

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        return self._law().density(energy_tev)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        return self._law().integrals(edges_tev)


@dataclass(frozen=True, eq=False)
class Line:
    """A Gaussian in energy.

    Parameters
    ----------
    flux : over all energies, cm-2 s-1
    mean_tev, sigma_tev : TeV
    """

    flux: Tensor
    mean_tev: Tensor
    sigma_tev: Tensor

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        flux, mean, sigma = (_column(value) for value in (self.flux, self.mean_tev, self.sigma_tev))
        apart = (_doubles(energy_tev) - mean) / sigma
        peak: Tensor = flux / (sigma * math.sqrt(2 * math.pi))
        return peak * (-0.5 * apart**2).exp()

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        flux, mean, sigma = (_column(value) for value in (self.flux, self.mean_tev, self.sigma_tev))
        # Differences of the tail that is nearer keep their digits.
        apart = (_doubles(edges_tev) - mean) / (sigma * math.sqrt(2.0))
        low, high = apart[..., :-1], apart[..., 1:]
        turn = torch.where(low > 0, 1.0, -1.0)
        share: Tensor = turn * (torch.erfc(turn * low) - torch.erfc(turn * high))
        return 0.5 * flux * share


@dataclass(frozen=True, eq=False)
class CompoundSpectrum:
    """Two spectra joined by an operator.

    Parameters
    ----------
    first, second : spectra
    name : of the operator
    """

    first: Spectrum
    second: Spectrum
    name: str

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in TeV-1 cm-2 s-1 at energies (K,) in TeV."""
        joined: Tensor = getattr(operator, self.name)(self.first.density(energy_tev), self.second.density(energy_tev))
        return joined

    @property
    def breaks_tev(self) -> Tensor:
        """Kinks of both, (m,) or (batch, m), TeV."""
        parts = [breaks_of(one) for one in (self.first, self.second)]
        # Templates lie where they were read, parameters where the fit runs.
        device = next((part.device for part in parts if part.device.type != "cpu"), parts[0].device)
        shape = max((part.shape[:-1] for part in parts), key=len)
        return torch.cat([part.to(device).expand(*shape, part.shape[-1]) for part in parts], -1)

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the flux (batch, K) in cm-2 s-1 within bins of edges (K + 1,) in TeV."""
        if self.name in ("add", "sub"):
            first, second = self.first.integrals(edges_tev), self.second.integrals(edges_tev)
            return first + second if self.name == "add" else first - second
        edges = _doubles(edges_tev)
        return integrate_bins(self.density, edges, self.breaks_tev.to(edges.device))


def breaks_of(spectrum: Spectrum) -> Tensor:
    """Return the energies at which a spectrum has kinks, (m,) or (batch, m), TeV."""
    if isinstance(spectrum, BrokenPowerLaw):
        return _doubles(spectrum.break_tev)[..., None]
    found = getattr(spectrum, "breaks_tev", None)
    return found if isinstance(found, Tensor) else torch.zeros(0, dtype=torch.float64)


def build_spectrum(part: Part, values: Values, prefix: str = "") -> Spectrum:
    """Return the spectrum that a part declares.

    Parameters
    ----------
    part : declared, of any kind
    values : of its parameters by name (``model1.index`` in compounds), (batch,) or (), in TeV and cm-2 s-1 TeV-1; norm
        spectra have no unit
    prefix : of the names that belong to this part

    Raises
    ------
    InputError : a kind that cannot be evaluated, or that lacks its table

    References
    ----------
    Fermi Science Support Center, source model definitions; Abdollahi et al. (2022), ApJS 260, 53, eqs. 2 and 3

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> law = SimpleNamespace(tag="pl", tables={}, settings={}, file=None, parts=())
    >>> build_spectrum(law, {"index": 2.0, "amplitude": 1e-12, "reference": 1.0}).integrals([1.0, 2.0])
    tensor([5.0000e-13], dtype=torch.float64)
    """
    if part.tag == "compound":
        first, second = (build_spectrum(one, values, f"{prefix}model{n}.") for n, one in enumerate(part.parts, 1))
        return CompoundSpectrum(first, second, str(part.settings["operator"]))
    own = {
        name.removeprefix(prefix): _doubles(value)
        for name, value in values.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    if part.tag not in SPECTRA:
        found = f"{part.tag}{f' with {part.file}' if part.file else ''}"
        wanted = f"one of {', '.join(SPECTRA)}"
        raise InputError("model", "spectral.type", found, wanted, "replace it, or leave the source out")
    return SPECTRA[part.tag](part, own)


def _of_formula(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return FormulaSpectrum(FORMULAS[part.tag], own)


def _of_table(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return TABLES[part.tag](part, own)


def _pl(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return PowerLaw(own["amplitude"], own["index"], own["reference"])


def _pl_norm(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return PowerLaw(own["norm"], own["tilt"], own["reference"])


def _pl_2(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return FluxPowerLaw(own["amplitude"], own["index"], own["emin"], own["emax"])


def _bpl(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return BrokenPowerLaw(own["amplitude"], own["index1"], own["index2"], own["ebreak"])


def _gauss(part: Part, own: Mapping[str, Tensor]) -> Spectrum:
    return Line(own["amplitude"], own["mean"], own["sigma"])


#: Kinds that can be evaluated.
SPECTRA: dict[str, Callable[[Part, Mapping[str, Tensor]], Spectrum]] = {
    **dict.fromkeys(FORMULAS, _of_formula),
    **dict.fromkeys(TABLES, _of_table),
    "pl": _pl,
    "pl-norm": _pl_norm,
    "pl-2": _pl_2,
    "bpl": _bpl,
    "gauss": _gauss,
}


def _doubles(values: ArrayLike | Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _column(value: Tensor | float) -> Tensor:
    """Return a parameter as (batch, 1), or () for a plain number, to meet energies (K,)."""
    tensor = _doubles(value)
    return tensor[..., None] if tensor.ndim else tensor
