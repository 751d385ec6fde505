"""HEALPix maps from files, always handed out as RING, Galactic and float64, and checked on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import Convention, change_resolution, check_nside, reorder_to_ring, rotate_to_galactic
from skysift.instruments.fermi.dataset import Role
from skysift.storage.arrays import FitsMap, read_fits_map, read_npy
from skysift.storage.guard import check_file

__all__ = ["CONVENTIONS", "MapFile", "SkyMap", "check_same_nside", "different_nside", "read_map"]

CONVENTIONS: dict[Role, Convention] = {"counts": "sum", "template": "sum", "exposure": "mean", "mask": "any"}
_UNSEEN = -1.6375e30  # healpy's mark of a pixel without a value
_COUNTS = ("", "count", "counts", "ct", "ph", "photon", "photons")
_UNITS: dict[Role, tuple[str, ...]] = {"counts": _COUNTS, "template": _COUNTS, "exposure": ("", "cm2s", "scm2")}
_ENERGY_UNITS_GEV = {"eV": 1e-9, "keV": 1e-6, "MeV": 1e-3, "GeV": 1.0, "TeV": 1e3, "erg": 624.1509074460763}


@dataclass(frozen=True)
class MapFile:
    """Where a map lies and what its file may not say itself.

    Parameters
    ----------
    path : an ``.npy`` or FITS file
    hdu : FITS extension, number or name; the first HEALPix table when None
    column : FITS column; the only one, or all energy channels, when None
    ordering : ``ring`` or ``nested``
    coordsys : ``galactic`` or ``equatorial``
    """

    path: Path
    hdu: int | str | None = None
    column: str | None = None
    ordering: str | None = None
    coordsys: str | None = None


@dataclass(frozen=True)
class SkyMap:
    """A map with its origin.

    Parameters
    ----------
    name : in the configuration
    role : ``counts``, ``exposure``, ``template`` or ``mask``
    place, field : for messages
    values : (E, 12 nside^2), RING, Galactic; NaN outside a partial sky
    is_partial : whether the file covers a part of the sky only
    warnings : what was converted
    energy_edges_gev : (E + 1,) GeV, where the file states them
    """

    name: str
    role: Role
    place: str
    field: str
    values: NDArray[np.float64]
    is_partial: bool = False
    warnings: tuple[str, ...] = ()
    energy_edges_gev: NDArray[np.float64] | None = None

    @property
    def nside(self) -> int:
        """HEALPix resolution."""
        return check_nside(self.values.shape[-1])

    def at_nside(self, nside: int) -> SkyMap:
        """Return the map at another resolution, by the convention of its role."""
        if nside == self.nside:
            return self
        if self.role == "counts" and nside > self.nside:
            raise InputError(
                self.place, self.field, f"nside {self.nside}", f"nside of at least {nside}",
                "photons cannot be split: choose observation.nside no larger than that of the counts",
            )  # fmt: skip
        convention = CONVENTIONS[self.role]
        values = change_resolution(self.values, nside, convention).astype(np.float64)
        note = f"{self.name}: nside {self.nside} changed to {nside} ({convention} of the fine pixels)"
        return replace(self, values=values, warnings=(*self.warnings, note))


def read_map(name: str, role: Role, file: MapFile) -> SkyMap:
    """Return a map from an ``.npy`` or FITS file.

    Raises
    ------
    InputError : the file is absent, no regular file, damaged, of the wrong length, or its order or frame
        is unknown or contradicts what the configuration states
    """
    check_file(file.path, name)
    is_npy = file.path.suffix == ".npy"
    raw = _read_npy(file.path, name) if is_npy else read_fits_map(file.path, file.hdu, file.column)
    place = str(file.path)
    field = name if is_npy else f"{', '.join(raw.column)} (HDU {raw.hdu})"
    ordering = _agree(place, f"ORDERING of {field}", raw.ordering, file.ordering, ("ring", "nested"))
    coordsys = _agree(place, f"COORDSYS of {field}", raw.coordsys, file.coordsys, ("galactic", "equatorial"))
    _check_unit(raw.unit, role, place, field)
    values, is_partial = _full_sky(raw, place, field)
    if ordering == "nested":
        values = reorder_to_ring(values)
    warnings: tuple[str, ...] = ()
    if coordsys == "equatorial":
        if role == "counts":
            raise InputError(
                place, field, "coordsys equatorial", "a counts map in Galactic coordinates",
                "binned photons cannot be moved: bin the events again on a Galactic map",
            )  # fmt: skip
        values = rotate_to_galactic(values, CONVENTIONS[role])
        warnings = (f"{name}: rotated from equatorial to Galactic pixels",)
    return SkyMap(name, role, place, field, values, is_partial, warnings, _edges_gev(raw, place))


def check_same_nside(maps: list[SkyMap]) -> None:
    """Raise an `InputError` that lists each map's nside when they differ."""
    if len({entry.nside for entry in maps}) > 1:
        raise different_nside(maps[0].place, ", ".join(f"{entry.name} {entry.nside}" for entry in maps))


def different_nside(place: str, listing: str) -> InputError:
    """Return the error of maps that differ in resolution; ``listing`` names each with its nside."""
    return InputError(
        place, "nside", listing, "one nside for counts, exposure, templates and masks",
        "set observation.nside to bring all maps to one resolution (counts and templates are summed, exposure is "
        "averaged, masks grow)",
    )  # fmt: skip


def _read_npy(path: Path, name: str) -> FitsMap:
    array = read_npy(path, name)
    if array.ndim not in {1, 2}:
        found = f"shape {array.shape}"
        raise InputError(path, name, found, "(pixels,) or (energies, pixels)", "save one map, or one per energy bin")
    return FitsMap(array)


def _check_unit(unit: str, role: Role, place: str, field: str) -> None:
    """Refuse a stated unit of another kind; silence is taken at its word, since most maps are silent."""
    plain = re.sub(r"[\s^*.]", "", unit).lower()
    if role in _UNITS and plain not in _UNITS[role]:
        wanted = "cm2 s" if role == "exposure" else "counts (per pixel, exposure and pixel area multiplied)"
        raise InputError(place, f"unit of {field}", unit, wanted, "convert the map, then correct TUNIT")


def _full_sky(raw: FitsMap, place: str, field: str) -> tuple[NDArray[np.float64], bool]:
    """Return values (E, 12 nside^2) in the file's own order, NaN where it says nothing, and whether it does so."""
    values = np.atleast_2d(np.array(raw.array, dtype=np.float64))
    if raw.pixels is not None:
        full = np.full((len(values), 12 * int(raw.nside or 0) ** 2), np.nan)
        full[:, raw.pixels] = values
        return full, True
    try:
        check_nside(values.shape[-1])
    except ValueError as error:
        raise InputError(place, field, error, "12 nside^2 pixels", "give a HEALPix map of the full sky") from None
    unseen = np.isclose(values, _UNSEEN, rtol=1e-5, atol=0.0)
    return np.where(unseen, np.nan, values), bool(unseen.any())


def _edges_gev(raw: FitsMap, place: str) -> NDArray[np.float64] | None:
    """Return the energy edges (E + 1,), GeV, that the file itself states, None where it is silent."""
    if raw.energy_edges is None:
        return None
    if raw.energy_unit not in _ENERGY_UNITS_GEV:
        known = ", ".join(_ENERGY_UNITS_GEV)
        raise InputError(
            place, "unit of energies", raw.energy_unit or "none", f"one of {known}", "correct TUNIT in the file"
        )
    return np.asarray(raw.energy_edges, dtype=np.float64) * _ENERGY_UNITS_GEV[raw.energy_unit]


def _agree(place: str, field: str, said: str | None, stated: str | None, known: tuple[str, str]) -> str:
    """Return what header and configuration say together; a contradiction or double silence is an error."""
    wanted = " or ".join(known)
    if said is None and stated is None:
        remedy = f"state {field.split(maxsplit=1)[0].lower()} beside the file in the configuration"
        raise InputError(place, field, "stated neither by the file nor by the configuration", wanted, remedy)
    if said is not None and stated is not None and said != stated:
        raise InputError(
            place, field, f"the header says {said}, the configuration says {stated}", said,
            "remove it from the configuration, or correct the file",
        )  # fmt: skip
    if said is not None and said not in known:
        raise InputError(place, field, said, wanted, "convert the map")
    return said or str(stated)
