"""Spectra as formulas of energy and parameters, differentiable in all of them, at their limits too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["FORMULAS", "Columns", "Formula"]

Columns = Mapping[str, Tensor]
"""Parameters by name, (batch, 1) or ()."""
Formula = Callable[[Tensor, Columns], Tensor]
"""Maps energies (n,) or (batch, n), TeV, and parameters to densities (batch, n)."""

_MEV_PER_TEV = 1e6
_SMALL = 1e-2


def _power(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index, x = E / reference."""
    return p["amplitude"] * (energy / p["reference"]) ** (-p["index"])


def _broken(energy: Tensor, p: Columns) -> Tensor:
    """Return A (E / break)^-index1 below the break, -index2 above."""
    ratio = energy / p["ebreak"]
    return p["amplitude"] * ratio ** (-torch.where(ratio < 1, p["index1"], p["index2"]))


def _smooth_break(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index1 (1 + (E / break)^((index2 - index1) / b))^-b, b = beta sign(index2 - index1)."""
    change = p["index2"] - p["index1"]
    bend = torch.nn.functional.softplus(change.abs() / p["beta"] * (energy / p["ebreak"]).log(), threshold=40.0)
    turn = (-p["beta"] * change.sign() * bend).exp()
    return p["amplitude"] * (energy / p["reference"]) ** (-p["index1"]) * turn


def _cutoff(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index exp(-(lambda E)^alpha)."""
    return _power(energy, p) * (-((p["lambda_"] * energy) ** p["alpha"])).exp()


def _cutoff_3fgl(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index exp((reference - E) / cut)."""
    return _power(energy, p) * ((p["reference"] - energy) / p["ecut"]).exp()


def _super_cutoff_3fgl(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index_1 exp((reference / cut)^index_2 - (E / cut)^index_2)."""
    ratio = energy / p["reference"]
    drop = (p["reference"] / p["ecut"]) ** p["index_2"] - (energy / p["ecut"]) ** p["index_2"]
    return p["amplitude"] * ratio ** (-p["index_1"]) * drop.exp()


def _super_cutoff_4fgl(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^-index_1 exp(a (reference^index_2 - E^index_2)), energies of the cutoff in MeV."""
    ratio = energy / p["reference"]
    drop = (p["reference"] * _MEV_PER_TEV) ** p["index_2"] - (energy * _MEV_PER_TEV) ** p["index_2"]
    return p["amplitude"] * ratio ** (-p["index_1"]) * (p["expfactor"] * drop).exp()


def _super_cutoff_dr3(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^(-index_1 + a / index_2) exp(a / index_2^2 (1 - x^index_2)), regular at index_2 = 0.

    With l = ln x and u = index_2 l the exponent of the cutoff is -a l^2 (e^u - 1 - u) / u^2.
    """
    log = (energy / p["reference"]).log()
    return p["amplitude"] * (-p["index_1"] * log - p["expfactor"] * log**2 * _second_rest(p["index_2"] * log)).exp()


def _second_rest(u: Tensor) -> Tensor:
    """Return (e^u - 1 - u) / u^2, one half at 0."""
    is_small = u.abs() < _SMALL
    near, far = torch.where(is_small, u, 0.0), torch.where(is_small, 1.0, u)
    series = 0.5 * (1 + near / 3 * (1 + near / 4 * (1 + near / 5 * (1 + near / 6 * (1 + near / 7)))))
    return torch.where(is_small, series, (far.expm1() - far) / far**2)


def _parabola(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^(-alpha - beta ln x)."""
    log = (energy / p["reference"]).log()
    return p["amplitude"] * (-(p["alpha"] + p["beta"] * log) * log).exp()


def _parabola_2(energy: Tensor, p: Columns) -> Tensor:
    """Return A x^(-alpha - beta ln(E / escale))."""
    log = (energy / p["reference"]).log()
    return p["amplitude"] * (-(p["alpha"] + p["beta"] * (energy / p["escale"]).log()) * log).exp()


def _norm_of(formula: Formula, **names: str) -> Formula:
    def norm(energy: Tensor, p: Columns) -> Tensor:
        return formula(energy, {**p, **{new: p[old] for new, old in names.items()}})

    return norm


def _constant(name: str) -> Formula:
    def constant(energy: Tensor, p: Columns) -> Tensor:
        return p[name] + torch.zeros_like(energy)

    return constant


#: Those without closed integrals and kinks; the others are classes.
FORMULAS: dict[str, Formula] = {
    "const": _constant("const"),
    "scale": _constant("norm"),
    "bpl": _broken,
    "sbpl": _smooth_break,
    "ecpl": _cutoff,
    "ecpl-3fgl": _cutoff_3fgl,
    "secpl-3fgl": _super_cutoff_3fgl,
    "secpl-4fgl": _super_cutoff_4fgl,
    "secpl-4fgl-dr3": _super_cutoff_dr3,
    "lp": _parabola,
    "lp2": _parabola_2,
    "pl-norm": _norm_of(_power, amplitude="norm", index="tilt"),
    "lp-norm": _norm_of(_parabola, amplitude="norm"),
    "ecpl-norm": _norm_of(_cutoff, amplitude="norm"),
}
