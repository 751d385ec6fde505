"""Reading HDF5 files: everything checked before it is believed."""

from __future__ import annotations

import contextlib
import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skysift.errors import InputError, nearest
from skysift.storage.atomic import refuse_escape
from skysift.storage.guard import check_file, walk
from skysift.storage.schema import RESERVED, Dataset, Field, File, decode_attributes
from skysift.storage.seal import check_seal

__all__ = ["Reader", "find_format", "open_reader", "read"]

Wanted = Mapping[str, "str | Field | None"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OWN = {"unit", "description"}
_LIBRARY = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS", "_Netcdf4Dimid", "index"}
_MAX_TEXT_BYTES = 64 * 2**20
_AGAIN = "make the file again with the step that writes it"


@dataclass(frozen=True)
class Reader:
    """An open file, checked; arrays are read when asked for."""

    path: Path
    names: tuple[str, ...]
    attributes: Mapping[str, Any]
    provenance: Mapping[str, Any]
    _handles: Mapping[str, h5py.Dataset]
    _headers: Mapping[str, Mapping[str, Any]]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        return tuple(self._handle(name).shape)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of a dataset."""
        found: np.dtype[Any] = self._handle(name).dtype
        return found

    def unit(self, name: str) -> str:
        """Return the unit of a dataset, "" for none."""
        self._handle(name)
        return str(self._headers[name]["unit"])

    def read(self, name: str, part: Any = ()) -> np.ndarray:  # noqa: ANN401 - anything that slices
        """Return a dataset, or the part of it that the index ``part`` takes.

        Raises
        ------
        InputError : no such dataset, a checksum that fails, a cut file
        """
        handle = self._handle(name)
        try:
            if h5py.check_string_dtype(handle.dtype) is not None:
                return np.asarray(self._read_text(name)[part])
            return np.asarray(handle[part])
        except (OSError, RuntimeError) as error:
            raise InputError(
                self.path, name, f"unreadable data ({_first_line(error)})", "data whose checksums agree", _AGAIN
            ) from error

    def dataset(self, name: str) -> Dataset:
        """Return a dataset with its unit, description, axes and attributes."""
        header = self._headers[name]
        extra = decode_attributes({key: value for key, value in header.items() if key not in _OWN})
        axes = tuple(axis.label for axis in self._handle(name).dims)
        return Dataset(self.read(name), header["unit"], header["description"], axes if any(axes) else (), extra)

    def require(self, wanted: Wanted) -> None:
        """Check that datasets are there with unit, kind of numbers and number of axes; names may hold ``*``.

        Raises
        ------
        InputError : one is missing or differs
        """
        for pattern, given in wanted.items():
            want = given if isinstance(given, Field) else Field(unit=given)
            names = [name for name in self.names if fnmatch.fnmatchcase(name, pattern)]
            if not names and "*" not in pattern:
                self._handle(pattern)
            for name in names:
                self._require_one(name, want)

    def _require_one(self, name: str, want: Field) -> None:
        handle, unit = self._handles[name], self._headers[name]["unit"]
        if want.unit is not None and unit != want.unit:
            raise InputError(self.path, name, f"unit '{unit}'", f"unit '{want.unit}'", _AGAIN)
        kind = "U" if h5py.check_string_dtype(handle.dtype) is not None else handle.dtype.kind
        if want.kinds and kind not in want.kinds:
            raise InputError(self.path, name, f"type {handle.dtype}", f"type of kind {want.kinds}", _AGAIN)
        if want.ndim is not None and handle.ndim != want.ndim:
            raise InputError(self.path, name, f"{handle.ndim} axes", f"{want.ndim} axes", _AGAIN)

    def _handle(self, name: str) -> h5py.Dataset:
        if name not in self._headers:
            raise InputError(self.path, name, "no such dataset", nearest(name, self.names), _AGAIN)
        return self._handles[name]

    def _read_text(self, name: str) -> np.ndarray:
        handle, items, size = self._handles[name], [], 0
        for index in np.ndindex(handle.shape):
            item = handle[index]
            size += len(item)
            if size > _MAX_TEXT_BYTES:
                raise InputError(self.path, name, "text without end", f"at most {_MAX_TEXT_BYTES} bytes", _AGAIN)
            items.append(item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item))
        return np.asarray(items, dtype=str).reshape(handle.shape)


def read(path: str | Path, *, format: str, version: int = 1, wanted: Wanted | None = None) -> File:
    """Read a whole file.

    Parameters
    ----------
    path : a file written by `write`
    format, version : what it must be
    wanted : datasets that must be there, each with its unit (None: any) or a `Field`; names may hold ``*``

    Raises
    ------
    InputError : the file is anything else than asked for, cut, damaged or hostile
    """
    with open_reader(path, format=format, version=version, wanted=wanted) as reader:
        datasets = {name: reader.dataset(name) for name in reader.names}
        return File(datasets, reader.attributes, reader.provenance)


def find_format(path: str | Path) -> str:
    """Return the format that a file says it is; empty for a file of another kind.

    Raises
    ------
    InputError : no readable file
    """
    place = check_file(path)
    with place.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            return ""
    try:
        with h5py.File(place, "r", locking="best-effort") as file:
            return str(file.attrs.get("format", ""))
    except (OSError, RuntimeError):
        return ""


@contextlib.contextmanager
def open_reader(
    path: str | Path,
    *,
    format: str,
    version: int = 1,
    wanted: Wanted | None = None,
) -> Iterator[Reader]:
    """Open a file for reading parts of it; checks as `read`.

    Raises
    ------
    InputError : the file is anything else than asked for, cut, damaged or hostile
    """
    place = check_file(path)
    refuse_escape(place)
    wanted_text = f"a whole file, {format} {version}, sealed by its writer"
    _check_signature(place, wanted_text)
    check_seal(place, wanted_text, _AGAIN)
    try:
        file = h5py.File(place, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        raise InputError(place, "file", _first_line(error), wanted_text, _AGAIN) from error
    with file:
        reader = _check(file, place, format, version)
        reader.require(wanted or {})
        yield reader


def _check_signature(place: Path, wanted: str) -> None:
    with place.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            raise InputError(place, "file", "another kind of file", wanted, "name the right file, or make it again")


def _check(file: h5py.File, place: Path, name: str, version: int) -> Reader:
    """Check marks, structure and header of an open file."""
    try:
        root = _attributes(file, place, "/")
        _check_marks(root, place, name, version)
        handles = walk(file, place)
        headers = {key: _attributes(data, place, key) for key, data in handles.items() if not data.attrs.get("index")}
        order = [str(key) for key in json.loads(root["order"])]
        _check_header(order, headers, place)
        own = decode_attributes({key: value for key, value in root.items() if key not in RESERVED or key == "json"})
        return Reader(place, tuple(order), own, json.loads(root["provenance"]), handles, headers)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(place, "structure", _first_line(error), "a whole HDF5 file", _AGAIN) from error


def _check_header(order: list[str], headers: Mapping[str, Mapping[str, Any]], place: Path) -> None:
    """Compare the datasets of the file with the list that the writer left."""
    if lost := [key for key in order if key not in headers]:
        raise InputError(place, lost[0], "no such dataset", f"the {len(order)} datasets of the file", _AGAIN)
    if more := sorted(headers.keys() - set(order)):
        raise InputError(place, more[0], "a dataset that the file does not list", f"{len(order)} datasets", _AGAIN)
    for key, own in headers.items():
        if not all(isinstance(own.get(word), str) for word in _OWN):
            raise InputError(place, key, "no unit or no description", "both, as text", _AGAIN)


def _check_marks(root: Mapping[str, Any], place: Path, name: str, version: int) -> None:
    if not root.get("complete", False):
        raise InputError(place, "complete", "no mark", "complete = true", f"its writer was stopped: {_AGAIN}")
    found = (root.get("format"), root.get("format_version"))
    if found != (name, version):
        field = "format" if found[0] != name else "format_version"
        raise InputError(
            place, field, f"{found[0]} {found[1]}", f"{name} {version}", "name the right file, or make it again"
        )


def _attributes(item: h5py.Group | h5py.Dataset, place: Path, name: str) -> dict[str, Any]:
    """Return the scalar attributes of an object as plain values."""
    values: dict[str, Any] = {}
    for key in item.attrs:
        if key in _LIBRARY:
            continue
        if item.attrs.get_id(key).shape != ():
            raise InputError(place, f"{name}, attribute {key}", "an array", "a single value", _AGAIN)
        value = item.attrs[key]
        values[key] = value.item() if isinstance(value, np.generic) else value
    return values


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
