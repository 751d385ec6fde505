"""Catalogues, images and cubes of the sky in files of others: read, checked, not yet interpreted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError, nearest
from skysift.storage.fits import Unit, card, find_unit, read_image_unit, read_table_unit, scan_units
from skysift.storage.guard import check_file, check_size, walk

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = [
    "ArrayMap",
    "FitsColumns",
    "FitsImage",
    "read_fits_columns",
    "read_fits_image",
    "read_hdf5_map",
    "read_named_table",
]

_ENERGY_TABLES = ("ENERGIES", "EBOUNDS", "ENERGY")


@dataclass(frozen=True)
class FitsColumns:
    """Columns of a FITS table: numbers as float64 with NaN for missing ones, text stripped.

    Parameters
    ----------
    place : file and table
    columns : name to array, first axis row
    units : name to unit, "" when the file is silent
    """

    place: str
    columns: Mapping[str, np.ndarray]
    units: Mapping[str, str]

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column."""
        return self.columns[name]


@dataclass(frozen=True)
class FitsImage:
    """An image or cube on a projected plane.

    Parameters
    ----------
    place : file and HDU
    array : (lat, lon) or (energy, lat, lon), float64
    unit : "" when the file is silent
    cards : header cards, for the projection
    energies : of the planes of a cube, None when the file holds none
    energy_unit : of these
    """

    place: str
    array: np.ndarray
    unit: str
    cards: Mapping[str, str | int | float | bool]
    energies: np.ndarray | None = None
    energy_unit: str = ""


@dataclass(frozen=True)
class ArrayMap:
    """A map or cube on Galactic longitudes and latitudes.

    Parameters
    ----------
    place : file
    array : (lat, lon) or (energy, lat, lon), float64
    lon_deg, lat_deg : axes, deg
    unit : of the values, "" when the file is silent
    energies : of the planes of a cube, None for a map
    energy_unit : of these
    """

    place: str
    array: np.ndarray
    lon_deg: np.ndarray
    lat_deg: np.ndarray
    unit: str = ""
    energies: np.ndarray | None = None
    energy_unit: str = ""


def read_fits_columns(path: str | Path, table: str | int, names: Iterable[str]) -> FitsColumns:
    """Return the named columns of a table of a FITS file, given by its name or number.

    Raises
    ------
    InputError : damaged file, no such table, no such column
    """
    unit = find_unit(scan_units(path), table, path)
    rows = read_table_unit(path, unit)
    known = list(rows.names)
    columns, units = {}, {}
    for name in names:
        if name not in known:
            raise InputError(path, f"{table}, column {name}", "no such column", nearest(name, known), "mend the file")
        columns[name] = _plain(rows, name)
        units[name] = str(card(unit.header, f"TUNIT{known.index(name) + 1}") or "").strip()
    return FitsColumns(f"{path}, {table}", columns, units)


def _plain(rows: fits.FITS_rec, name: str) -> np.ndarray:
    values: Any = np.ma.asarray(rows.field(name))
    if values.dtype.kind in "US":
        return np.char.strip(np.asarray(values.filled(""), dtype=str))
    return np.asarray(values.astype(np.float64).filled(np.nan))


def read_fits_image(path: str | Path, hdu: int | str | None = None) -> FitsImage:
    """Return an image of a FITS file, by default the first one with two axes or three.

    Raises
    ------
    InputError : damaged file, no image, another number of axes, a table of energies of another length
    """
    units = scan_units(path)
    unit = _first_image(units, path) if hdu is None else find_unit(units, hdu, path)
    array = read_image_unit(path, unit)
    place = f"{path}, HDU {unit.number}"
    if array.ndim not in (2, 3):
        raise InputError(place, "NAXIS", array.ndim, "2 or 3 axes", "name the HDU with the map")
    cards = {
        name: value
        for name, value in unit.header.items()
        if name not in ("", "COMMENT", "HISTORY") and isinstance(value, (str, int, float, bool))
    }
    unit_name = str(card(unit.header, "BUNIT") or "").strip()
    if array.ndim == 2:
        return FitsImage(place, array, unit_name, cards)
    return FitsImage(place, array, unit_name, cards, *_read_energies(path, units, unit, len(array)))


def _first_image(units: list[Unit], path: str | Path) -> Unit:
    for unit in units:
        if not unit.is_table and unit.header.get("NAXIS", 0) in (2, 3) and unit.data_bytes:
            return unit
    raise InputError(path, "HDU", "no image", "an image of 2 or 3 axes", "name another file")


def _read_energies(path: str | Path, units: list[Unit], unit: Unit, count: int) -> tuple[np.ndarray | None, str]:
    """Return the energies of a cube's planes, and their unit, from the table beside it or the third axis' cards."""
    wanted = {str(card(unit.header, "BANDSHDU") or "").upper(), *_ENERGY_TABLES} - {""}
    table = next((other for other in units if other.is_table and other.name in wanted), None)
    if table is None:
        return _energies_of_cards(unit, count)
    rows = read_table_unit(path, table)
    names = {str(name).upper(): str(name) for name in rows.names}
    points = next((names[name] for name in ("ENERGY", "ENERGIES") if name in names), None)
    if points is not None:
        column, energies = points, _plain(rows, points)
    elif "E_MIN" in names and "E_MAX" in names:
        column = names["E_MIN"]
        energies = np.sqrt(_plain(rows, column) * _plain(rows, names["E_MAX"]))
    else:
        raise InputError(
            path, table.name, ", ".join(rows.names), "a column ENERGY, or E_MIN and E_MAX", "mend the file"
        )
    if len(energies) != count:
        raise InputError(path, table.name, f"{len(energies)} energies", f"{count}, one per plane", "mend the file")
    return energies, str(card(table.header, f"TUNIT{list(rows.names).index(column) + 1}") or "").strip()


def _energies_of_cards(unit: Unit, count: int) -> tuple[np.ndarray | None, str]:
    header = unit.header
    if not str(card(header, "CTYPE3") or "").upper().startswith(("ENER", "PHOTON")) or card(header, "CDELT3") is None:
        return None, ""
    step = np.arange(count) + 1 - float(header.get("CRPIX3", 1.0))
    value, delta = float(header.get("CRVAL3", 0.0)), float(header["CDELT3"])
    is_log = str(header["CTYPE3"]).upper().endswith("LOG")
    energies = value * np.exp(delta * step / value) if is_log else value + delta * step
    return energies, str(card(header, "CUNIT3") or "").strip()


def read_hdf5_map(path: str | Path) -> ArrayMap:
    """Return a map or cube on evenly spaced axes from an HDF5 file.

    Its datasets: ``values`` (lat, lon) or (energy, lat, lon), ``longitude`` and ``latitude`` in deg, Galactic, and
    for a cube ``energy``; each with an attribute ``unit``.

    Raises
    ------
    InputError : not HDF5, no such dataset, axes that do not fit the values, an angle in another unit
    """
    import h5py

    place = check_file(path)
    try:
        with h5py.File(place, "r") as file:
            found = walk(file, place)
            names = ("values", "longitude", "latitude", *(("energy",) if "energy" in found else ()))
            for name in names:
                if name not in found:
                    raise InputError(place, name, "no such dataset", nearest(name, found), "add it, see the manual")
            arrays = {name: np.asarray(found[name][()], dtype=np.float64) for name in names}
            units = {name: _text(found[name].attrs.get("unit", "")) for name in names}
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(place, "HDF5", error, "an HDF5 file that can be read", "make it again") from error
    axes = ("energy", "latitude", "longitude") if "energy" in arrays else ("latitude", "longitude")
    shape = tuple(arrays[name].size for name in axes)
    if arrays["values"].shape != shape:
        wanted = f"({', '.join(axes)}) = {shape}"
        raise InputError(place, "values", f"shape {arrays['values'].shape}", wanted, "transpose the values")
    for name in ("longitude", "latitude"):
        if units[name] not in ("deg", "degree", "degrees"):
            raise InputError(place, f"{name}, attribute unit", repr(units[name]), "'deg'", "state the unit")
    energies, energy_unit = arrays.get("energy"), units.get("energy", "")
    values = arrays["values"], arrays["longitude"], arrays["latitude"]
    return ArrayMap(str(place), *values, units["values"], energies, energy_unit)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def read_named_table(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the column names and the rows of a table in plain text.

    The last line before the numbers that has as many words as columns names them, with or without ``#`` or quotes.

    Raises
    ------
    InputError : not text, no numbers, rows of different lengths, no names
    """
    place = check_file(path)
    check_size(place, "text", place.stat().st_size, place.stat().st_size)
    header: list[str] = []
    rows: list[list[float]] = []
    try:
        with place.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                words = line.replace(",", " ").split()
                values = _numbers(words)
                if values is None and rows and words and not words[0].startswith("#"):
                    raise InputError(place, f"line {number}", line.strip()[:60], "numbers", "mend the table")
                if values is None:
                    header = header if rows or not words else line.replace("Log[10,x]", "log10x").split()
                elif rows and len(values) != len(rows[0]):
                    found = f"{len(values)} numbers"
                    raise InputError(place, f"line {number}", found, f"{len(rows[0])} as above", "mend the table")
                else:
                    rows.append(values)
    except UnicodeDecodeError as error:
        raise InputError(place, "text", error, "a table in plain text", "name another file") from error
    if not rows:
        raise InputError(place, "rows", "none", "rows of numbers", "name another file")
    names = tuple(name.strip("\"'#,") for name in header if name.strip("\"'#,"))
    if len(names) != len(rows[0]):
        found = f"{len(names)} names for {len(rows[0])} columns"
        raise InputError(place, "header", found, "a line that names every column", "add it above the numbers")
    return names, np.asarray(rows)


def _numbers(words: list[str]) -> list[float] | None:
    """Return words as numbers, None where one is not."""
    try:
        return [float(word) for word in words] or None
    except ValueError:
        return None
