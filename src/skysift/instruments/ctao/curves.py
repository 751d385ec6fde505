"""What response tables say, as the curves that people look at first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.storage.hdf5 import Dataset

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf
    from skysift.storage.hdf5 import File

__all__ = ["CONTAINED", "ResponseCurves", "list_curves", "make_curves", "read_curves"]

Array = NDArray[np.float64]
#: Shares of the light within the radii of the PSF.
CONTAINED = (0.68, 0.95)
_MOST_OFFSETS = 5
_PER_DECADE = 30
_NICE_STEPS = (0.25, 0.5, 1.0, 2.0, 5.0)
#: Below this share of the largest area nothing is seen: curves there are of empty tables.
_SEEN = 1e-4


@dataclass(frozen=True, eq=False)
class ResponseCurves:
    """Response tables along energy at a few offsets; NaN where nothing is seen.

    Parameters
    ----------
    energies_tev : (n,), true
    offsets_deg : (o,)
    area_m2 : (o, n)
    containment_deg : (o, 2, n), radii that hold `CONTAINED` of the light
    bias : (o, n), median of E_r / E_t, minus one
    resolution : (o, n), half the width of the central 68 % of E_r / E_t
    migration_offset_deg : of the matrix
    reconstructed_tev : (m,)
    migration : (n, m), density of ln E_r at true energies
    """

    energies_tev: Array
    offsets_deg: Array
    area_m2: Array
    containment_deg: Array
    bias: Array
    resolution: Array
    migration_offset_deg: float
    reconstructed_tev: Array
    migration: Array


def make_curves(irf: Irf, reach_deg: float, low_tev: float, high_tev: float) -> ResponseCurves:
    """Return the curves of a response over the part of its tables that an analysis uses.

    Parameters
    ----------
    irf : the response
    reach_deg : largest offset within the field
    low_tev, high_tev : range of energies
    """
    offsets = _choose_offsets(min(reach_deg, irf.offset_max_deg))
    energies = np.geomspace(low_tev, high_tev, 2 + int(_PER_DECADE * np.log10(high_tev / low_tev)))
    at = offsets[:, None]
    area = irf.area_cm2(energies, at)
    seen = area > _SEEN * area.max()
    radii = irf.psf_containment_deg(energies, at[..., None], np.array(CONTAINED)[:, None])
    low, middle, high = np.moveaxis(_quantiles(irf, energies, offsets, (0.16, 0.5, 0.84)), -1, 0)
    own = float(offsets[min(1, len(offsets) - 1)])
    # finer than true energies: the dispersion is narrower than their steps
    seen_tev = np.geomspace(low_tev, high_tev, 2 * len(energies))
    migra = seen_tev / energies[:, None]
    return ResponseCurves(
        energies,
        offsets,
        area * 1e-4,
        np.where(seen[:, None], radii, np.nan),
        np.where(seen, middle - 1.0, np.nan),
        np.where(seen, 0.5 * (high - low), np.nan),
        own,
        seen_tev,
        irf.dispersion(energies[:, None], migra, own) * migra,
    )


def _choose_offsets(reach_deg: float) -> Array:
    step = next((step for step in _NICE_STEPS if reach_deg / step < _MOST_OFFSETS), _NICE_STEPS[-1])
    return np.arange(0.0, reach_deg, step) if reach_deg > step else np.array([0.0])


def _quantiles(irf: Irf, energies_tev: Array, offsets_deg: Array, shares: tuple[float, ...]) -> Array:
    """Return quantiles of E_r / E_t, (offset, energy, share); NaN where the file holds nothing."""
    nodes, below = irf.dispersion_cumulative(energies_tev, offsets_deg[:, None])
    found = np.full((*below.shape[:2], len(shares)), np.nan)
    for place in np.ndindex(below.shape[:2]):
        if below[place][-1] > 0.5:
            found[place] = np.interp(shares, below[place], nodes)
    return found


_UNITS = {
    "energies": "TeV", "offsets": "deg", "area": "m2", "containment": "deg", "bias": "", "resolution": "",
    "migration_offset": "deg", "reconstructed": "TeV", "migration": "",
}  # fmt: skip


def list_curves(head: str, curves: ResponseCurves) -> Iterator[tuple[str, Dataset]]:
    """Yield names below ``head`` and datasets of a file that keeps curves."""
    for (name, unit), value in zip(_UNITS.items(), vars(curves).values(), strict=True):
        yield f"{head}/{name}", Dataset(np.atleast_1d(np.asarray(value, dtype=np.float64)), unit)


def read_curves(file: File, head: str) -> ResponseCurves:
    """Return the curves below ``head``."""
    names = {"area": "area_m2", "energies": "energies_tev", "offsets": "offsets_deg", "containment": "containment_deg",
             "reconstructed": "reconstructed_tev"}  # fmt: skip
    parts = {names.get(name, name): file[f"{head}/{name}"] for name in _UNITS if name != "migration_offset"}
    return ResponseCurves(migration_offset_deg=float(file[f"{head}/migration_offset"][0]), **parts)
