"""Writing HDF5 files: whole or not at all, checksummed, the same bytes for the same content."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skysift.storage.atomic import replace_when_done
from skysift.storage.provenance import Provenance
from skysift.storage.schema import RESERVED, Dataset, encode_attributes
from skysift.storage.seal import add_seal

__all__ = ["write"]

_CHUNK_BYTES = 4 * 2**20
#: Headers carry checksums of their own from this version of the library's file layout on.
_LAYOUT = ("v110", "v110")


def write(
    path: str | Path,
    *,
    format: str,
    version: int = 1,
    datasets: Mapping[str, Dataset],
    attributes: Mapping[str, Any] | None = None,
    provenance: Provenance | None = None,
    scratch: bool = False,
) -> None:
    """Write ``datasets`` to ``path``; a ``/`` in a name makes a group.

    Parameters
    ----------
    path : the final name
    format, version : what the file is; a reader asks for both
    datasets : name to array, unit, description and axes
    attributes : text, numbers, lists and mappings that belong to the file as a whole
    provenance : what made the file
    scratch : for files that live for an hour: as fast as the disk, not compressed

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError : no room on the disk
    ValueError, TypeError : content that has no place in a file
    """
    arrays = {name: _prepare(name, data) for name, data in datasets.items()}
    root = dict(attributes or {})
    if clash := RESERVED & root.keys():
        raise ValueError(f"attributes kept for the writer: {sorted(clash)}")
    root = {
        **encode_attributes(root),
        "format": format,
        "format_version": version,
        "order": json.dumps(list(arrays)),
        "provenance": json.dumps((provenance or Provenance()).as_dict(), sort_keys=True),
    }
    needed = sum(array.nbytes for array in arrays.values()) + 4096 * (len(arrays) + 1)
    with replace_when_done(path, needed) as part, part.open("w+b", buffering=0) as raw:
        stream = _ErrorKeepingStream(raw)
        with h5py.File(stream, "w", libver=_LAYOUT) as file:
            file.attrs.update(root)
            for name, array in _with_progress_check(arrays, stream):
                _put(file, name, array, datasets[name], scratch)
            _tie_axes(file, datasets)
            file.flush()
            file.attrs["complete"] = True
        stream.raise_error()
        add_seal(part)


class _ErrorKeepingStream(io.RawIOBase):
    """A file that remembers its first failed write and goes on as if nothing had happened.

    HDF5 cannot close a file whose writes fail: it leaves handles behind, and the process dies at its end. So a full
    disk is reported by us, after HDF5 has closed the file.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._error: OSError | None = None

    def raise_error(self) -> None:
        """Raise the first error, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        view = memoryview(data).cast("B")
        done = 0
        while self._error is None and done < len(view):
            try:
                done += self._raw.write(view[done:]) or 0
            except OSError as error:
                self._error = error
        if done < len(view):
            self._raw.seek(len(view) - done, io.SEEK_CUR)
        return len(view)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        count = self._raw.readinto(buffer) or 0
        if self._error is not None:
            memoryview(buffer).cast("B")[count:] = bytes(len(buffer) - count)
            return len(buffer)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def flush(self) -> None:
        """Leave flushing to the writer, which does it once."""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _with_progress_check(
    arrays: Mapping[str, np.ndarray], stream: _ErrorKeepingStream
) -> Iterator[tuple[str, np.ndarray]]:
    """Go through the arrays, stopping at the first one after a failed write."""
    for name, array in arrays.items():
        yield name, array
        stream.raise_error()


def _prepare(name: str, data: Dataset) -> np.ndarray:
    """Return the array as it is stored, refusing what could not be read back."""
    array = np.asarray(data.array)
    parts = name.split("/")
    if not all(parts) or "." in parts or ".." in parts:
        raise ValueError(f"dataset name {name!r} has an empty or relative part")
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat)):
        return np.asarray(array, dtype=object)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"dataset {name!r} has type {array.dtype}; files hold numbers, booleans and text")
    if data.axes and len(data.axes) != array.ndim:
        raise ValueError(f"dataset {name!r} has {array.ndim} axes and {len(data.axes)} names for them: {data.axes}")
    return np.ascontiguousarray(array).reshape(array.shape)


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """Halve the longest axis until a chunk has at most 4 MB."""
    shape = [max(1, size) for size in array.shape]
    while int(np.prod(shape, dtype=np.int64)) * array.dtype.itemsize > _CHUNK_BYTES:
        longest = int(np.argmax(shape))
        shape[longest] = -(-shape[longest] // 2)
    return tuple(shape)


def _put(file: h5py.File, name: str, array: np.ndarray, data: Dataset, scratch: bool) -> None:
    """Write one dataset with its attributes; what is too small for chunks goes in as it is."""
    settings: dict[str, Any] = {}
    if array.dtype == object:
        settings["dtype"] = h5py.string_dtype("utf-8")
    elif array.size and array.ndim:
        settings = {"chunks": _chunks(array), "fletcher32": True}
        settings |= {} if scratch else {"shuffle": True, "compression": "gzip", "compression_opts": 1}
    made = file.create_dataset(name, data=array, **settings)
    made.attrs.update({"unit": data.unit, "description": data.description, **encode_attributes(data.attributes)})


def _tie_axes(file: h5py.File, datasets: Mapping[str, Dataset]) -> None:
    """Attach every named axis to the dataset of that name, or to a plain index made for it."""
    for name, data in datasets.items():
        for number, axis in enumerate(data.axes):
            made = file[name]
            made.dims[number].label = axis
            if name.rsplit("/", 1)[-1] != axis:
                made.dims[number].attach_scale(_scale(file, name, axis, made.shape[number]))
            elif not made.is_scale:
                made.make_scale(axis)


def _scale(file: h5py.File, name: str, axis: str, size: int) -> h5py.Dataset:
    """Find the scale of an axis in the group of ``name`` or above it, else make an index in the group."""
    group = file[name].parent
    while True:
        found = group.get(axis)
        if isinstance(found, h5py.Dataset) and found.shape == (size,):
            break
        if found is not None and group == file[name].parent:
            raise ValueError(
                f"{name}: axis {axis} has {size} entries, {found.name} has shape {getattr(found, 'shape', None)}"
            )
        if group.name == "/":
            found = file[name].parent.create_dataset(axis, data=np.arange(size, dtype=np.int64))
            found.attrs["index"] = True
            break
        group = group.parent
    if not found.is_scale:
        found.make_scale(axis)
    return found
