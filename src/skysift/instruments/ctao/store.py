"""Data stores in the format of gamma-astro-data-formats: which files hold which observation, and its response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skysift.errors import InputError, nearest
from skysift.storage.fits import card, find_unit, read_table_unit, scan_units

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["HDU_INDEX", "OBS_INDEX", "StoredObservation", "StoredTable", "read_store"]

HDU_INDEX, OBS_INDEX = "hdu-index.fits.gz", "obs-index.fits.gz"
_COLUMNS = ("OBS_ID", "HDU_TYPE", "HDU_CLASS", "FILE_DIR", "FILE_NAME", "HDU_NAME")


@dataclass(frozen=True)
class StoredTable:
    """Where one table lies: file and name of the HDU."""

    place: Path
    hdu: str


@dataclass(frozen=True)
class StoredObservation:
    """One observation of a store.

    Parameters
    ----------
    number : OBS_ID
    tables : HDU_TYPE (``events``, ``gti``, ``aeff``, ``psf``, ``edisp``, ``bkg``) to its place
    index : the HDU index that says so
    """

    number: int
    tables: Mapping[str, StoredTable]
    index: Path

    def table(self, kind: str) -> StoredTable:
        """Return where the table of a kind lies.

        Raises
        ------
        InputError : the index has no such table, or its file is not there
        """
        place, known = f"OBS_ID {self.number}", ", ".join(self.tables)
        if kind not in self.tables:
            raise InputError(self.index, place, f"tables {known}", f"HDU_TYPE {kind}", "take another observation")
        found = self.tables[kind]
        if not found.place.is_file():
            raise InputError(self.index, f"{place}, {kind}", f"{found.place}: no such file", "the file", "complete it")
        return found


def read_store(folder: str | Path, numbers: Sequence[int] = ()) -> list[StoredObservation]:
    """Return the observations of a store that have events, in the order of its index of observations.

    Parameters
    ----------
    folder : with ``hdu-index.fits.gz`` and ``obs-index.fits.gz``
    numbers : OBS_ID of those that are wanted, in their order; all by default

    Raises
    ------
    InputError : an index that is absent or damaged, an observation that the store does not have
    """
    place = _find_index(Path(folder), HDU_INDEX)
    rows, base = _read_index(place, _COLUMNS)
    found: dict[int, dict[str, StoredTable]] = {}
    for number, kind, _, below, name, hdu in rows:
        path = base / str(below).strip() / str(name).strip()
        found.setdefault(int(number), {})[str(kind).strip().lower()] = StoredTable(path, str(hdu).strip())
    listed = [int(row[0]) for row in _read_index(_find_index(Path(folder), OBS_INDEX), ("OBS_ID",))[0]]
    known = [number for number in listed if "events" in found.get(number, {})]
    for number in numbers:
        if number not in known:
            text = [str(other) for other in known]
            raise InputError(place, "OBS_ID", number, "an observation with events", nearest(str(number), text))
    if not known:
        raise InputError(place, "HDU_TYPE", "no events", "an observation with events", "name another store")
    return [StoredObservation(number, found[number], place) for number in numbers or known]


def _find_index(folder: Path, name: str) -> Path:
    for place in (folder / name, folder / name.removesuffix(".gz")):
        if place.is_file():
            return place
    raise InputError(folder, "event store", f"no {name}", "a folder with index files", "name another folder")


def _read_index(place: Path, columns: Sequence[str]) -> tuple[list[tuple[Any, ...]], Path]:
    """Return some columns by row, and the folder that files are named from."""
    units = scan_units(place, "index")
    unit = next((unit for unit in units if unit.is_table), None) or find_unit(units, 1, place)
    rows: fits.FITS_rec = read_table_unit(place, unit)
    missing = [name for name in columns if name not in rows.names]
    if missing:
        raise InputError(place, "columns", f"no {missing[0]}", ", ".join(columns), "write the index as GADF has it")
    base = card(unit.header, "BASE_DIR")
    folder = place.parent if base is None else place.parent / str(base)
    return list(zip(*(rows[name].tolist() for name in columns), strict=True)), folder
