"""Responses continued beyond their energies, where somebody asks for it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.instruments.ctao.background import BACKGROUND_KINDS
from skysift.instruments.ctao.tables import Array, Axis
from skysift.storage.provenance import digest_bytes

if TYPE_CHECKING:
    from skysift.geometry import EnergyAxis
    from skysift.instruments.ctao.irf import Irf

__all__ = ["covered_energies_tev", "extend_energies"]

#: As much wider than the axis of reconstructed energy are tables of true energy.
_TRUE_REACH = 3.0
_TERMS_FIRST = ("amplitudes", "sigmas_deg")
_TINY = float(np.finfo(np.float32).tiny)


def covered_energies_tev(irf: Irf) -> tuple[float, float]:
    """Return the lowest and the highest energy that area and background both have, TeV."""
    ends = [table.energy.edges[[0, -1]] for table in (irf.area, irf.background_model)]
    return max(float(end[0]) for end in ends), min(float(end[1]) for end in ends)


def extend_energies(irf: Irf, axis: EnergyAxis) -> Irf:
    """Return a response whose tables go on beyond their first and last energies with the values that they have there.

    Within the tables nothing changes.

    Parameters
    ----------
    irf : the response, itself returned where its tables reach
    axis : reconstructed energies
    """
    low, high = covered_energies_tev(irf)
    first, last = float(axis.edges_tev[0]), float(axis.edges_tev[-1])
    if low <= first and last <= high:
        return irf
    # an end that the tables reach stays as it is; they do not hold their last edge
    seen = first if first < low else np.inf, last * (1 + 1e-9) if last > high else 0.0
    true = seen[0] / _TRUE_REACH, seen[1] * _TRUE_REACH
    return replace(
        irf,
        sha256=digest_bytes(f"{irf.sha256} extended to {seen[0].hex()} {seen[1].hex()} TeV".encode()),
        area=_extend(irf.area, *true),
        psf_model=_extend(irf.psf_model, *true),
        energy_dispersion=_extend(irf.energy_dispersion, *true),
        background_model=_extend(irf.background_model, *seen),
    )


def _extend(table: Any, low_tev: float, high_tev: float) -> Any:  # noqa: ANN401 - of any kind
    """Return a table with further nodes: at its ends, and at the energies wanted beyond them."""
    edges, nodes = table.energy.edges, table.energy.scaled_nodes
    at = np.concatenate((
        np.log([low_tev, edges[0]]) if low_tev < edges[0] else [], nodes,
        np.log([edges[-1], high_tev]) if high_tev > edges[-1] else [],
    ))  # fmt: skip
    wide = np.concatenate((
        [low_tev, np.sqrt(low_tev * edges[0])] if low_tev < edges[0] else [], edges,
        [np.sqrt(high_tev * edges[-1]), high_tev] if high_tev > edges[-1] else [],
    ))  # fmt: skip
    energy = Axis(table.energy.name, wide, table.energy.logarithmic)
    object.__setattr__(energy, "scaled_nodes", at)
    inner = np.clip(np.exp(at), edges[0], edges[-1])
    changed: dict[str, Any] = {"energy": energy}
    for field in fields(table):
        value = getattr(table, field.name)
        if isinstance(value, np.ndarray):
            axis = 1 if field.name in _TERMS_FIRST else 0
            is_logarithmic = table.kind in BACKGROUND_KINDS if hasattr(table, "kind") else False
            changed[field.name] = _resample(value, table.energy, inner, axis, is_logarithmic)
    return replace(table, **changed)


def _resample(values: Array, energy: Axis, at_tev: Array, axis: int, is_logarithmic: bool) -> Array:
    """Return values at energies, linear between and beyond nodes as where tables are looked up."""
    moved = np.moveaxis(values, axis, 0)
    moved = np.log(np.maximum(moved, _TINY)) if is_logarithmic else moved
    cell, weight = energy.locate(at_tev)
    weight = weight.reshape(-1, *(1,) * (moved.ndim - 1))
    found = moved[cell] * (1 - weight) + moved[np.minimum(cell + 1, energy.size - 1)] * weight
    return np.ascontiguousarray(np.moveaxis(np.exp(found) if is_logarithmic else found, 0, axis))
