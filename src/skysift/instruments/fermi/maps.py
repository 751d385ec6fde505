"""HEALPix maps from files, always handed out as RING, Galactic and float64, and checked on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import Convention, change_resolution, check_nside, reorder_to_ring, rotate_to_galactic
from skysift.instruments.fermi.dataset import Role
from skysift.storage.arrays import FitsMap, read_fits_map, read_npy
from skysift.storage.guard import check_file

__all__ = ["CONVENTIONS", "MapFile", "SkyMap", "check_same_nside", "read_map"]

CONVENTIONS: dict[Role, Convention] = {"counts": "sum", "template": "sum", "exposure": "mean", "mask": "any"}
_UNSEEN = -1.6375e30  # healpy's mark of a pixel without a value


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
    """

    name: str
    role: Role
    place: str
    field: str
    values: NDArray[np.float64]
    is_partial: bool = False
    warnings: tuple[str, ...] = ()

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
        return SkyMap(self.name, self.role, self.place, self.field, values, self.is_partial, (*self.warnings, note))


def read_map(name: str, role: Role, file: MapFile) -> SkyMap:
    """Return a map from an ``.npy`` or FITS file.

    Raises
    ------
    InputError : the file is absent, no regular file, damaged, of the wrong length, or its order or frame
        is unknown or contradicts what the configuration states
    """
    check_file(file.path, name)
    is_npy = file.path.suffix == ".npy"
    raw = _read_npy(file, name) if is_npy else read_fits_map(file.path, file.hdu, file.column)
    place = str(file.path)
    field = name if is_npy else f"{', '.join(raw.column)} (HDU {1 if file.hdu is None else file.hdu})"
    ordering = _agree(place, f"ORDERING of {field}", raw.ordering, file.ordering, ("ring", "nested"))
    coordsys = _agree(place, f"COORDSYS of {field}", raw.coordsys, file.coordsys, ("galactic", "equatorial"))
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
    return SkyMap(name, role, place, field, values, is_partial, warnings)


def check_same_nside(maps: list[SkyMap]) -> None:
    """Raise an `InputError` that lists each map's nside when they differ."""
    if len({entry.nside for entry in maps}) > 1:
        listing = ", ".join(f"{entry.name} {entry.nside} ({entry.place})" for entry in maps)
        raise InputError(
            maps[0].place, "nside", listing, "one nside for counts, exposure, templates and masks",
            "set observation.nside to bring all maps to one resolution (counts and templates are summed, "
            "exposure is averaged, masks grow)",
        )  # fmt: skip


def _read_npy(file: MapFile, name: str) -> FitsMap:
    array = read_npy(file.path, name)
    if array.ndim not in {1, 2}:
        found = f"shape {array.shape}"
        raise InputError(file.path, name, found, "(pixels,) or (energies, pixels)", "save one map, or one per energy bin")
    return FitsMap(array)


def _full_sky(raw: FitsMap, place: str, field: str) -> tuple[NDArray[np.float64], bool]:
    """Return values (E, 12 nside^2) in the file's own order, NaN where it says nothing, and whether it does so."""
    values = np.atleast_2d(np.array(raw.array, dtype=np.float64))
    if raw.pixels is not None:
        values = _spread(raw, values, place, field)
    try:
        nside = check_nside(values.shape[-1])
    except ValueError as error:
        raise InputError(place, field, error, "12 nside^2 pixels", "give a HEALPix map of the full sky") from None
    if raw.nside is not None and raw.nside != nside:
        found = f"NSIDE {raw.nside}, but {values.shape[-1]} pixels"
        raise InputError(place, field, found, "12 NSIDE^2 pixels", "correct the file's header")
    unseen = np.isclose(values, _UNSEEN, rtol=1e-5, atol=0.0)
    return np.where(unseen, np.nan, values), raw.pixels is not None or bool(unseen.any())


def _spread(raw: FitsMap, values: NDArray[np.float64], place: str, field: str) -> NDArray[np.float64]:
    pixels = np.asarray(raw.pixels)
    length = 12 * (raw.nside or 0) ** 2
    if not pixels.size or pixels.min() < 0 or pixels.max() >= length:
        found = f"{pixels.size} pixel numbers, {pixels.min(initial=0)} to {pixels.max(initial=0)}, NSIDE {raw.nside}"
        raise InputError(place, field, found, "0 <= pixel < 12 NSIDE^2", "correct the file")
    if len(np.unique(pixels)) != pixels.size:
        raise InputError(place, field, "pixel numbers that appear twice", "each pixel once", "correct the file")
    full = np.full((len(values), length), np.nan)
    full[:, pixels] = values
    return full


def _agree(place: str, field: str, said: str | None, stated: str | None, known: tuple[str, str]) -> str:
    """Return what header and configuration say together; a contradiction or double silence is an error."""
    wanted = " or ".join(known)
    if said is None and stated is None:
        remedy = f"state {field.split()[0].lower()} beside the file in the configuration"
        raise InputError(place, field, "stated neither by the file nor by the configuration", wanted, remedy)
    if said is not None and stated is not None and said != stated:
        raise InputError(
            place, field, f"the header says {said}, the configuration says {stated}", said,
            "remove it from the configuration, or correct the file",
        )  # fmt: skip
    return said or str(stated)
