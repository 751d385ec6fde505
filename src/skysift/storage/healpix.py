"""HEALPix maps in FITS tables: healpy style, vector columns, gadf, Fermi counts cubes and partial skies."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError, nearest
from skysift.storage.fits import Unit, card, find_unit, read_table_unit, scan_units

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["FitsMap", "read_fits_map"]

_PIXEL_COLUMNS = {"PIX", "PIXEL", "PIXELS"}
_CHANNEL = re.compile(r"(CHANNEL|ENERGY|BIN)[ _]?\d+", re.IGNORECASE)
_ORDERINGS = {"RING": "ring", "NEST": "nested", "NESTED": "nested"}
_FRAMES = {
    "G": "galactic", "GAL": "galactic", "GALACTIC": "galactic",
    "C": "equatorial", "CEL": "equatorial", "CELESTIAL": "equatorial", "EQU": "equatorial", "EQUATORIAL": "equatorial",
    "E": "ecliptic", "ECL": "ecliptic", "ECLIPTIC": "ecliptic",
}  # fmt: skip
_TABLES_OF_ENERGIES = ("EBOUNDS", "ENERGIES")


@dataclass(frozen=True)
class FitsMap:
    """A HEALPix map as a FITS file holds it.

    Parameters
    ----------
    array : (pixel,) or (energy, pixel), in the order of the file; partial maps hold only ``pixels``
    unit : as the file says, "" when silent
    nside : from the header, else from the length of a full map
    ordering : "ring" or "nested", None when the file is silent
    coordsys : "galactic", "equatorial" or "ecliptic", None when the file is silent
    pixels : (pixel,) numbers of a partial map, None for the full sky
    energy_edges : (energy + 1,) of a counts cube, None without such a table
    energies : (energy,) of a cube of values at energies, None without such a table
    energy_unit : of the two above, "" when silent
    column : the columns that were read
    hdu : number of the table
    """

    array: np.ndarray
    unit: str = ""
    nside: int | None = None
    ordering: str | None = None
    coordsys: str | None = None
    pixels: np.ndarray | None = None
    energy_edges: np.ndarray | None = None
    energies: np.ndarray | None = None
    energy_unit: str = ""
    column: tuple[str, ...] = ()
    hdu: int = 1


def read_fits_map(path: str | Path, hdu: int | str | None = None, field: str | int | None = None) -> FitsMap:
    """Read a HEALPix map from a FITS file, plain or gzipped.

    Parameters
    ----------
    path : the file
    hdu : number or name of the table; the only table with a HEALPix header or name when absent
    field : name or number (from 0) of the column; when absent, all channels of a cube, or the only column of a map

    Raises
    ------
    InputError : not FITS, cut, a checksum that differs, no such table or column, a length that is not 12 nside^2, or
        more promised than the file can hold

    References
    ----------
    Data formats for gamma-ray astronomy, section on HEALPix sky maps; Gorski et al. (2005) for the pixels
    """
    place = Path(path)
    units = scan_units(place)
    unit = find_unit(units, hdu, place) if hdu is not None else _find_map(units, place)
    rows = read_table_unit(place, unit)
    names = tuple(str(name) for name in rows.names)
    pixels = _read_pixels(rows, names, place)
    columns = _choose_columns(names, field, place)
    nside = _stated_nside(unit, place)
    parts = [_read_column(rows, name, nside, pixels, place) for name in columns]
    is_cube = len(parts) > 1 or bool(_CHANNEL.fullmatch(columns[0]) and field is None)
    array = np.concatenate([np.atleast_2d(part) for part in parts]) if is_cube else parts[0]
    nside = _check_length(nside, array.shape[-1], pixels, place, unit)
    edges, energies, energy_unit = _read_energies(units, unit, place)
    return FitsMap(
        array,
        str(card(unit.header, f"TUNIT{names.index(columns[0]) + 1}") or ""),
        nside,
        _translate(unit, ("ORDERING",), _ORDERINGS, place),
        _translate(unit, ("COORDSYS", "COORDTYP"), _FRAMES, place),
        pixels,
        edges,
        energies,
        energy_unit,
        columns,
        unit.number,
    )


def _find_map(units: list[Unit], place: Path) -> Unit:
    tables = [unit for unit in units if unit.is_table]
    marked = [unit for unit in tables if card(unit.header, "PIXTYPE") == "HEALPIX" or card(unit.header, "ORDERING")]
    found = marked or (tables if len(tables) == 1 else [])
    if len(found) != 1:
        known = ", ".join(f"{unit.number} {unit.name or '(no name)'}" for unit in tables) or "none"
        raise InputError(place, "HDU", f"{len(found)} maps; tables: {known}", "one HEALPix table", "state hdu")
    return found[0]


def _read_pixels(rows: fits.FITS_rec, names: tuple[str, ...], place: Path) -> np.ndarray | None:
    found = [name for name in names if name.upper() in _PIXEL_COLUMNS]
    if not found:
        return None
    pixels = np.asarray(rows[found[0]])
    if pixels.ndim != 1 or pixels.dtype.kind not in "iu" or len(np.unique(pixels)) != len(pixels):
        raise InputError(
            place, found[0], f"{pixels.dtype} of shape {pixels.shape} or repeated pixels", "each pixel number once",
            "write a partial map with one integer pixel per row",
        )  # fmt: skip
    return pixels.astype(np.int64)


def _choose_columns(names: tuple[str, ...], field: str | int | None, place: Path) -> tuple[str, ...]:
    columns = [name for name in names if name.upper() not in _PIXEL_COLUMNS]
    if isinstance(field, int):
        if not 0 <= field < len(columns):
            raise InputError(place, f"column {field}", f"{len(columns)} columns", "a number from 0", "state field")
        return (columns[field],)
    if field is not None:
        found = [name for name in columns if name.upper() == field.upper()]
        if not found:
            raise InputError(place, f"column {field}", "no such column", nearest(field, columns), "state field")
        return (found[0],)
    channels = [name for name in columns if _CHANNEL.fullmatch(name)]
    if channels and len(channels) == len(columns):
        return tuple(channels)
    if len(columns) != 1:
        found_text = f"{len(columns)} columns: {', '.join(columns)}"
        raise InputError(place, "columns", found_text, "one column, or channels of a cube", "state field")
    return (columns[0],)


def _stated_nside(unit: Unit, place: Path) -> int | None:
    stated = card(unit.header, "NSIDE")
    if stated is None:
        return None
    if not isinstance(stated, int) or stated < 1 or stated > 2**29:
        raise InputError(place, "NSIDE", stated, "a whole number from 1", "mend the header")
    return stated


def _read_column(
    rows: fits.FITS_rec, name: str, nside: int | None, pixels: np.ndarray | None, place: Path
) -> np.ndarray:
    """Return one column as (pixel,) or, if each row holds the energies of one pixel, as (energy, pixel)."""
    values = np.asarray(rows[name])
    if values.dtype.kind not in "biuf":
        raise InputError(place, name, f"type {values.dtype}", "plain numbers", "name another column")
    values = values.astype(values.dtype.newbyteorder("="))
    if values.ndim == 1:
        return values
    values = values.reshape(len(values), -1)
    if pixels is not None:
        return np.ascontiguousarray(values.T) if values.shape[1] > 1 else values[:, 0]
    by_energy, flat = _is_full_sky(len(values), nside), _is_full_sky(values.size, nside)
    if by_energy and flat and values.shape[1] > 1:
        raise InputError(place, "NSIDE", "no such card", "nside, to tell energies from pixels", "mend the header")
    return np.ascontiguousarray(values.T) if by_energy and not flat else values.reshape(-1)


def _is_full_sky(count: int, nside: int | None) -> bool:
    if nside is not None:
        return count == 12 * nside**2
    root = math.isqrt(count // 12)
    return 12 * root**2 == count and root > 0 and root & (root - 1) == 0


def _check_length(nside: int | None, count: int, pixels: np.ndarray | None, place: Path, unit: Unit) -> int:
    where = f"HDU {unit.number}"
    if pixels is not None:
        if nside is None:
            raise InputError(place, "NSIDE", "no such card", "the nside of a partial map", "mend the header")
        if len(pixels) and not 0 <= pixels.min() <= pixels.max() < 12 * nside**2:
            raise InputError(place, where, f"pixel {pixels.max()}", f"pixels below {12 * nside**2}", "mend the map")
        return nside
    if not _is_full_sky(count, nside):
        wanted = f"{12 * nside**2} for nside {nside}" if nside else "12 nside^2, nside a power of 2"
        raise InputError(place, where, f"{count} pixels", wanted, "mend the header, or name the right column")
    return nside or math.isqrt(count // 12)


def _translate(unit: Unit, cards: tuple[str, ...], known: Mapping[str, str], place: Path) -> str | None:
    """Return our word for what the first present card says; None when the header is silent."""
    for name in cards:
        stated = card(unit.header, name)
        if stated is None:
            continue
        word = known.get(str(stated).strip().upper())
        if word is None:
            raise InputError(place, name, stated, f"one of {', '.join(known)}", "mend the header")
        return word
    return None


def _read_energies(units: list[Unit], unit: Unit, place: Path) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """Return edges or energies of the cube from the table beside it."""
    wanted = {str(card(unit.header, "BANDSHDU") or "").upper(), f"{unit.name}_BANDS", *_TABLES_OF_ENERGIES}
    table = next((other for other in units if other.is_table and other.name in wanted and other is not unit), None)
    if table is None:
        return None, None, ""
    rows = read_table_unit(place, table)
    by_name = {str(name).upper(): number for number, name in enumerate(rows.names)}
    found = next((name for name in ("E_MIN", "ENERGY") if name in by_name), None)
    if found is None:
        return None, None, ""
    energy_unit = str(card(table.header, f"TUNIT{by_name[found] + 1}") or "")
    low = _column(rows, by_name[found])
    if found == "ENERGY" or "E_MAX" not in by_name:
        return None, low, energy_unit
    high = _column(rows, by_name["E_MAX"])
    if len(low) > 1 and not np.allclose(low[1:], high[:-1], rtol=1e-5, atol=0.0):
        raise InputError(place, table.name, "energy bins with gaps", "bins that touch", "mend the table")
    return np.append(low, high[-1:]), None, energy_unit


def _column(rows: fits.FITS_rec, number: int) -> Any:  # noqa: ANN401 - a float array; astropy has no types
    return np.asarray(rows.field(number), dtype=np.float64).reshape(-1)
