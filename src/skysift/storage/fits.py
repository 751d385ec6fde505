"""FITS files from anywhere: structure, sizes and checksums verified before any table is built."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from skysift.errors import InputError
from skysift.storage.guard import MAX_BYTES, check_file, check_size

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["Unit", "card", "find_unit", "read_image_unit", "read_table_unit", "scan_units"]

_BLOCK = 2880
_MAX_HEADER_BLOCKS = 4000
_MAX_UNITS = 1000
_GZIP_RATIO = 1100
_FETCH = "fetch or make the file again"


@dataclass(frozen=True)
class Unit:
    """One header and data unit of a file: where it stands and what its header says."""

    number: int
    header: fits.Header
    start: int
    data_start: int
    data_bytes: int

    @property
    def name(self) -> str:
        """Its name, "" for none."""
        return str(self.header.get("EXTNAME", "")).strip().upper()

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table of plain columns (a compressed image is not)."""
        return str(self.header.get("XTENSION", "")).strip() == "BINTABLE" and not self.header.get("ZIMAGE", False)


@contextmanager
def _open(place: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """Open a file, through gzip if it is one."""
    with place.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not is_gzip:
            yield raw, False
            return
        with gzip.GzipFile(fileobj=raw) as stream:
            try:
                yield cast("IO[bytes]", stream), True
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise InputError(place, "gzip", error, "a whole gzip file", _FETCH) from error


def scan_units(path: str | Path, field: str = "file") -> list[Unit]:
    """Return all units of a FITS file without reading their data.

    Raises
    ------
    InputError : not FITS, cut, or headers that promise more than the file holds
    """
    place = check_file(path, field)
    held = place.stat().st_size
    units: list[Unit] = []
    with _open(place) as (stream, is_gzip):
        position = 0
        while len(units) < _MAX_UNITS:
            raw = _read_header(stream, place, len(units))
            if raw is None:
                break
            header = _parse(raw, place, len(units))
            size = _data_bytes(header, place, len(units))
            start, position = position, position + len(raw)
            name = f"HDU {len(units)}"
            check_size(place, name, size, held if is_gzip else held - position, _GZIP_RATIO if is_gzip else 1)
            units.append(Unit(len(units), header, start, position, size))
            padded = -(-size // _BLOCK) * _BLOCK
            if is_gzip:
                _skip(stream, size, padded, place, name)
            else:
                stream.seek(padded, io.SEEK_CUR)
            position += padded
            if position > min(MAX_BYTES, held * _GZIP_RATIO):
                raise InputError(place, name, f"{position} bytes and more", "a file of honest size", _FETCH)
    return units


def _read_header(stream: IO[bytes], place: Path, number: int) -> bytes | None:
    """Return the blocks of the next header, None at the end of the file."""
    blocks: list[bytes] = []
    while len(blocks) < _MAX_HEADER_BLOCKS:
        block = stream.read(_BLOCK)
        begins = block[:9] == b"SIMPLE  =" if number == 0 else block[:9] == b"XTENSION="
        if not blocks and number > 0 and not begins:
            return None
        if len(block) < _BLOCK or (not blocks and not begins):
            found = "a header that is cut" if blocks or begins else "another kind of file"
            raise InputError(place, f"HDU {number}", found, "a FITS file", _FETCH)
        blocks.append(block)
        if any(block[at : at + 80].rstrip() == b"END" for at in range(0, _BLOCK, 80)):
            return b"".join(blocks)
    raise InputError(place, f"HDU {number}", "a header without END", "a FITS file", _FETCH)


def _parse(raw: bytes, place: Path, number: int) -> fits.Header:
    """Return a header whose every card can be read; astropy alone would complain when one is asked for."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    if any(byte < 32 or byte > 126 for byte in raw):
        raise InputError(place, f"HDU {number}", "bytes that are no text", "a header in ASCII", _FETCH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)
            header = fits.Header.fromstring(raw.decode("ascii"))
            for part in header.cards:
                _ = part.keyword, part.value, part.comment
    except (ValueError, TypeError, KeyError, OSError, fits.VerifyError, AstropyUserWarning) as error:
        raise InputError(place, f"HDU {number}", error, "cards of the FITS standard", _FETCH) from error
    return header


def _data_bytes(header: fits.Header, place: Path, number: int) -> int:
    """Return the bytes of data that a header promises."""
    from astropy.io.fits import VerifyError

    try:
        axes = [int(header[f"NAXIS{axis}"]) for axis in range(1, int(header["NAXIS"]) + 1)]
        bits, groups, heap = abs(int(header["BITPIX"])), int(header.get("GCOUNT", 1)), int(header.get("PCOUNT", 0))
    except (KeyError, ValueError, TypeError, OSError, VerifyError) as error:
        raise InputError(place, f"HDU {number}", f"no size: {error}", "BITPIX and NAXIS cards", _FETCH) from error
    if min([bits, groups, heap, *axes]) < 0:
        raise InputError(place, f"HDU {number}", f"sizes {axes}", "sizes >= 0", _FETCH)
    count = 1 if axes else 0
    for size in axes:
        count *= size
    return bits // 8 * groups * (heap + count)


def _skip(stream: IO[bytes], size: int, padded: int, place: Path, name: str) -> None:
    """Go over packed data; a missing end of the padding does no harm, missing data does."""
    left = padded
    while left > 0:
        got = len(stream.read(min(left, 2**20)))
        if got == 0:
            break
        left -= got
    if padded - left < size:
        raise InputError(place, name, f"{padded - left} bytes of data", f"{size} bytes", _FETCH)


def find_unit(units: list[Unit], wanted: int | str, place: str | Path) -> Unit:
    """Return a unit by number or name.

    Raises
    ------
    InputError : no such unit
    """
    for unit in units:
        if unit.number == wanted or (isinstance(wanted, str) and unit.name == wanted.strip().upper()):
            return unit
    known = ", ".join(f"{unit.number} {unit.name or '(no name)'}" for unit in units)
    raise InputError(place, f"HDU {wanted}", "no such HDU", f"one of: {known}", "name another HDU")


def read_table_unit(path: str | Path, unit: Unit) -> fits.FITS_rec:
    """Return the rows of a binary table, checksums verified where the file has them.

    Raises
    ------
    InputError : no plain table, cut data, CHECKSUM or DATASUM differ, a column that cannot be read
    """
    from astropy.io import fits

    place, name = Path(path), f"HDU {unit.number}"
    if not unit.is_table:
        found = str(unit.header.get("XTENSION", "an image")).strip()
        raise InputError(place, name, found, "a binary table", "name the HDU with the map")
    head, data = _read_bytes(unit, place)
    try:
        return fits.BinTableHDU.fromstring(head + data).data
    except (ValueError, TypeError, KeyError, OSError, fits.VerifyError) as error:
        raise InputError(place, name, error, "a table whose columns can be read", _FETCH) from error


def read_image_unit(path: str | Path, unit: Unit) -> np.ndarray:
    """Return an image or cube as float64, scaled and blanked as its header says, checksums verified if it has them.

    Raises
    ------
    InputError : no plain image, cut data, CHECKSUM or DATASUM differ
    """
    from astropy.io import fits

    place, name = Path(path), f"HDU {unit.number}"
    kind = str(unit.header.get("XTENSION", "IMAGE")).strip()
    if kind != "IMAGE" or not unit.data_bytes:
        raise InputError(place, name, kind if unit.data_bytes else "no data", "an image", "name the HDU with the map")
    head, data = _read_bytes(unit, place)
    try:
        made = (fits.ImageHDU if "XTENSION" in unit.header else fits.PrimaryHDU).fromstring(head + data)
        return np.asarray(made.data, dtype=np.float64)
    except (ValueError, TypeError, KeyError, OSError, fits.VerifyError) as error:
        raise InputError(place, name, error, "an image that can be read", _FETCH) from error


def _read_bytes(unit: Unit, place: Path) -> tuple[bytes, bytes]:
    """Return the header and the padded data of a unit, checksums verified."""
    padded = -(-unit.data_bytes // _BLOCK) * _BLOCK
    with _open(place) as (stream, _):
        stream.seek(unit.start)
        head, data = stream.read(unit.data_start - unit.start), stream.read(padded)
    if len(data) < unit.data_bytes:
        raise InputError(place, f"HDU {unit.number}", f"{len(data)} bytes of data", f"{unit.data_bytes} bytes", _FETCH)
    data = data.ljust(padded, b"\0")
    _verify_sums(unit, head, data, place)
    return head, data


def _verify_sums(unit: Unit, head: bytes, data: bytes, place: Path) -> None:
    """Compare CHECKSUM and DATASUM, if present and not blank, with the bytes."""
    stated = str(unit.header.get("DATASUM", "")).strip()
    found = _ones_complement_sum(data)
    if stated and stated != str(found):
        raise InputError(place, f"HDU {unit.number}, DATASUM", found, stated, _FETCH)
    if str(unit.header.get("CHECKSUM", "")).strip():
        total = _ones_complement_sum(head + data)
        if total not in {0, 0xFFFFFFFF}:
            raise InputError(place, f"HDU {unit.number}, CHECKSUM", total, "a sum of zero", _FETCH)


def _ones_complement_sum(content: bytes) -> int:
    """Return the 32-bit sum with end-around carry of the FITS standard, appendix J."""
    total = int(np.frombuffer(content, dtype=">u4").sum(dtype=np.uint64)) if content else 0
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def card(header: fits.Header, name: str) -> Any:  # noqa: ANN401 - text, number or None
    """Return the value of a card, None when it is absent or blank."""
    value = header.get(name)
    return None if value is None or (isinstance(value, str) and not value.strip()) else value
