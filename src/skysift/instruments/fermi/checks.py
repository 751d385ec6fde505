"""Fit-for-use checks of maps, before any work: where, how many, which pixel first, what to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.fermi.dataset import Member
from skysift.instruments.fermi.maps import SkyMap

__all__ = [
    "check_counts",
    "check_covered",
    "check_energies",
    "check_energy_edges",
    "check_explained",
    "check_exposure",
    "check_mask",
    "check_seen",
    "check_template",
    "check_total",
]

_EXCLUDE = "check the file, or exclude these pixels with observation.region.mask"


def check_energy_edges(edges_gev: NDArray[np.float64], place: str) -> None:
    """Raise an `InputError` unless energy edges (E + 1,), GeV, are finite, positive and increasing."""
    field = "observation.energy_edges"
    for index, edge in enumerate(edges_gev):
        if not np.isfinite(edge) or edge <= 0:
            raise InputError(place, field, f"edge {index}: {edge} GeV", "finite energies > 0, GeV", "correct the edge")
    for index in np.flatnonzero(np.diff(edges_gev) <= 0).tolist():
        pair = f"edges {index} and {index + 1}: {edges_gev[index]} and {edges_gev[index + 1]} GeV"
        raise InputError(place, field, pair, "increasing energies without repeats", "sort the edges")
    if len(edges_gev) < 2:
        raise InputError(place, field, f"{len(edges_gev)} edges", "at least two", "give both edges of each bin")


def check_energies(entry: SkyMap, edges_gev: NDArray[np.float64]) -> None:
    """Raise an `InputError` unless a map has one row per energy bin (masks: one row) with these edges (E + 1,), GeV."""
    wanted = 1 if entry.role == "mask" else len(edges_gev) - 1
    remedy = "correct observation.energy_edges, or the file"
    if len(entry.values) != wanted:
        found = f"{len(entry.values)} energy bins"
        raise InputError(entry.place, entry.field, found, f"{wanted} energy bins", remedy)
    stated = entry.energy_edges_gev
    if stated is not None and (len(stated) != len(edges_gev) or not np.allclose(stated, edges_gev, rtol=1e-4)):
        found, listing = (", ".join(f"{edge:g}" for edge in edges) for edges in (stated, edges_gev))
        raise InputError(entry.place, f"energies of {entry.field}", f"{found} GeV", f"{listing} GeV", remedy)


def check_total(entry: SkyMap, member: Member) -> None:
    """Raise an `InputError` unless the full-map sum agrees to 1e-6 with the published file's."""
    total = float(entry.values.sum())
    if not abs(total - member.total) <= 1e-6 * abs(member.total):
        raise InputError(
            entry.place, f"sum of {entry.name}", f"{total:.10g}", f"{member.total:.10g} within 1e-6",
            "fetch the file again: skysift data fetch fermi",
        )  # fmt: skip


def check_counts(entry: SkyMap, *, allow_noninteger: bool = False) -> tuple[str, ...]:
    """Check a counts map; return warnings.

    Parameters
    ----------
    entry : counts, (E, 12 nside^2)
    allow_noninteger : accept fractional counts, rounded to the nearest integer, with a warning

    Raises
    ------
    InputError : NaN, infinite or negative values, or fractional ones that are not allowed
    """
    _check_finite(entry, "finite counts >= 0")
    _reject(entry, entry.values < 0, "negative values", "counts >= 0")
    fractional = entry.values != np.rint(entry.values)
    fractional &= np.isfinite(entry.values)
    if not fractional.any():
        return ()
    if not allow_noninteger:
        _reject(
            entry, fractional, "values that are no integers", "integer counts",
            "give photon counts, or set observation.allow_noninteger: true to round them",
        )  # fmt: skip
    return (f"{entry.place}: {_describe(entry, fractional, 'fractional counts')}; rounded",)


def check_covered(entry: SkyMap, region: NDArray[np.bool_]) -> None:
    """Raise an `InputError` when a partial sky lacks pixels of the region (12 nside^2,)."""
    if entry.is_partial:
        absent = np.isnan(entry.values) & region
        _reject(entry, absent, "used pixels that the file does not cover", "every pixel of the region", _EXCLUDE)


def check_exposure(entry: SkyMap, region: NDArray[np.bool_]) -> None:
    """Raise an `InputError` on NaN, infinite or negative exposure; zeros are left to the region."""
    check_covered(entry, region)
    wanted = "finite values >= 0, unit cm2 s"
    _check_finite(entry, wanted)
    _reject(entry, entry.values < 0, "negative values", wanted)


def check_template(entry: SkyMap, region: NDArray[np.bool_], stored: NDArray[np.bool_]) -> None:
    """Raise an `InputError` unless a template is finite, nowhere negative and not all zero in the region.

    Parameters
    ----------
    entry : template, (E, 12 nside^2)
    region, stored : (12 nside^2,) pixels of the fit region and all pixels in use
    """
    check_covered(entry, stored)
    wanted = "finite values >= 0, counts per pixel"
    _check_finite(entry, wanted)
    _reject(entry, entry.values < 0, "negative values", wanted)
    if region.any() and not entry.values[:, region].any():
        raise InputError(
            entry.place, entry.field, f"template '{entry.name}': all values are 0 in the fit region",
            "some expected counts in the region", "remove the component, or choose another region",
        )  # fmt: skip


def check_mask(entry: SkyMap) -> None:
    """Raise an `InputError` unless a mask holds only 0 and 1 (1 = masked)."""
    _reject(entry, ~np.isin(entry.values, (0.0, 1.0)), "values other than 0 and 1", "0 (used) or 1 (masked)")


def check_seen(counts: SkyMap, exposure: NDArray[np.float64], region: NDArray[np.bool_]) -> None:
    """Raise an `InputError` when there are photons in pixels of the region (12 nside^2,) without exposure."""
    impossible = (counts.values > 0) & (exposure <= 0) & region
    _reject(counts, impossible, "photons where the exposure is 0", "no photons without exposure")


def check_explained(
    counts: NDArray[np.int64],
    templates: Mapping[str, NDArray[np.float64]],
    pixels: NDArray[np.int64],
    region: NDArray[np.bool_],
    place: str,
) -> None:
    """Raise an `InputError` when counts (E, P) lie in pixels of the region where all templates vanish."""
    if not templates:
        return
    total = np.sum(list(templates.values()), axis=0)
    energy, column = np.nonzero((counts > 0) & (total <= 0) & region)
    if len(column):
        first = f"pixel {pixels[column[0]]}: {counts[energy[0], column[0]]} counts"
        raise InputError(
            place, "counts", f"{len(column)} values > 0 where every template is 0, first at {first}",
            f"counts only where one of {', '.join(templates)} is positive",
            "add a component that fills the region (such as isotropic), or mask these pixels",
        )  # fmt: skip


def _check_finite(entry: SkyMap, wanted: str) -> None:
    if not entry.is_partial:
        _reject(entry, np.isnan(entry.values), "NaN values", wanted)
    _reject(entry, np.isinf(entry.values), "infinite values", wanted)


def _reject(entry: SkyMap, wrong: NDArray[np.bool_], what: str, wanted: str, remedy: str = _EXCLUDE) -> None:
    if wrong.any():
        raise InputError(entry.place, entry.field, _describe(entry, wrong, what), wanted, remedy)


def _describe(entry: SkyMap, wrong: NDArray[np.bool_], what: str) -> str:
    """Return how many, the first pixel and its value."""
    energy, pixel = (int(axis[0]) for axis in np.nonzero(wrong))
    bin_text = f" of energy bin {energy}" if len(entry.values) > 1 else ""
    return f"{int(wrong.sum())} {what}, first at pixel {pixel}{bin_text}: {entry.values[energy, pixel]:g}"
