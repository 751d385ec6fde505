"""Point-spread functions read from a file, and what stands at nodes that hold no information."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.hdus import ResponseTable
from skysift.instruments.ctao.psf import GaussianPsf, KingPsf, PointSpread
from skysift.instruments.ctao.psf_table import TablePsf
from skysift.instruments.ctao.tables import Array

__all__ = ["PSF_KINDS", "EmptyRule", "read_psf"]

PSF_KINDS = ("PSF_3GAUSS", "PSF_KING", "PSF_TABLE")
#: What stands at nodes without information: the next valid higher energy at that offset, or a width of 1 deg.
EmptyRule = Literal["nearest", "one_degree"]
_TERMS = (1, 2, 3)


def read_psf(table: ResponseTable, psf_empty: EmptyRule = "nearest") -> PointSpread:
    """Read a PSF_3GAUSS, PSF_KING or PSF_TABLE table.

    Parameters
    ----------
    psf_empty : ``nearest`` masks nodes without information and takes the next valid higher energy at that offset
        (without one the next lower, without any the nearest offset); ``one_degree`` writes widths of 1 deg there, which
        leak into their neighbours as in Gammapy

    Raises
    ------
    InputError : columns, units or axes are not those of the format, or no node holds information
    """
    readers = {"PSF_3GAUSS": _read_gaussians, "PSF_KING": _read_king, "PSF_TABLE": _read_table}
    return readers[table.kind](table, psf_empty)


def _read_gaussians(table: ResponseTable, psf_empty: EmptyRule) -> PointSpread:
    names = ("SCALE", *(f"SIGMA_{term}" for term in _TERMS), *(f"AMPL_{term}" for term in _TERMS[1:]))
    # The scale cancels in the weights, so its unit, which some files lack, does not matter.
    columns = _columns(table, names, (None, "deg", "deg", "deg", "", ""))
    scale, sigmas, amplitudes = columns[0], columns[1:4], np.concatenate((np.ones_like(columns[:1]), columns[4:]))
    is_empty = _find_empty(sigmas[0], scale)
    is_filled = np.ones_like(scale)
    if psf_empty == "nearest":
        energy, offset = _find_sources(table, is_empty)
        sigmas, amplitudes = np.nan_to_num(sigmas[:, energy, offset]), np.nan_to_num(amplitudes[:, energy, offset])
    else:
        sigmas, amplitudes = np.nan_to_num(sigmas), np.nan_to_num(amplitudes)
        sigmas, is_filled = np.where(sigmas == 0, 1.0, sigmas), np.nan_to_num(scale)
    return GaussianPsf(table.axis("ENERG"), table.axis("THETA"), amplitudes, sigmas, is_filled)


def _read_king(table: ResponseTable, psf_empty: EmptyRule) -> PointSpread:
    sigma, gamma = _columns(table, ("SIGMA", "GAMMA"), ("deg", ""))
    if psf_empty == "nearest":
        energy, offset = _find_sources(table, _find_empty(sigma, gamma - 1))
        sigma, gamma = sigma[energy, offset], gamma[energy, offset]
    else:
        sigma, gamma = np.where(np.nan_to_num(sigma) == 0, 1.0, sigma), np.nan_to_num(gamma)
    return KingPsf(table.axis("ENERG"), table.axis("THETA"), sigma, gamma)


def _read_table(table: ResponseTable, psf_empty: EmptyRule) -> PointSpread:
    energy, offset, radius = table.axis("ENERG"), table.axis("THETA"), table.axis("RAD")
    raw = table.values("RPSF", (radius, offset, energy), "deg-2", is_gap_allowed=True)
    values = np.nan_to_num(raw).transpose(2, 1, 0)
    if psf_empty == "nearest":
        sources = _find_sources(table, ~np.any(values > 0, axis=-1))
        values = values[sources]
    return TablePsf(energy, offset, radius, np.ascontiguousarray(values))


def _columns(table: ResponseTable, names: tuple[str, ...], units: tuple[str | None, ...]) -> Array:
    """Return columns (column, energy, offset)."""
    axes = (table.axis("THETA"), table.axis("ENERG"))
    pairs = zip(names, units, strict=True)
    return np.stack([table.values(name, axes, unit, is_gap_allowed=True).T for name, unit in pairs])


def _find_empty(first: Array, second: Array) -> NDArray[np.bool_]:
    """Tell which nodes lack a positive value of either."""
    with np.errstate(invalid="ignore"):
        return ~((first > 0) & (second > 0))


def _find_sources(table: ResponseTable, is_empty: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of energy and offset (energy, offset) of the node whose values each node takes."""
    if np.all(is_empty):
        raise table.refuse("all nodes", "no width above 0", "a point-spread function")
    energy = np.zeros(is_empty.shape, dtype=np.int64)
    offset = np.zeros(is_empty.shape, dtype=np.int64)
    filled_offsets = np.flatnonzero(~np.all(is_empty, axis=0))
    for column in range(is_empty.shape[1]):
        near = int(filled_offsets[np.argmin(np.abs(filled_offsets - column))])
        filled = np.flatnonzero(~is_empty[:, near])
        higher = np.searchsorted(filled, np.arange(len(is_empty)))
        energy[:, column], offset[:, column] = filled[np.minimum(higher, len(filled) - 1)], near
    return energy, offset
