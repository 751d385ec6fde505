"""What a file from anywhere must pass before its content is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.errors import InputError

if TYPE_CHECKING:
    import h5py

__all__ = ["MAX_BYTES", "check_file", "check_size", "walk"]

#: The largest array that is read whole.
MAX_BYTES = 32 * 2**30
#: No filter of ours turns one byte into more than this many.
_MAX_RATIO = 1100
_SMALL_BYTES = 16 * 2**20
_MAX_OBJECTS = 100_000
_MAX_DEPTH = 16
#: deflate, shuffle, fletcher32 and lzf; any other filter would make HDF5 load a plug-in.
_FILTERS = {1, 2, 3, 32000}
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}  # fmt: skip


def check_file(path: str | Path, field: str = "file") -> Path:
    """Return ``path`` if it is a regular file with content; never opens anything else.

    Raises
    ------
    InputError : missing, empty, a folder, a FIFO or a device, or not readable
    """
    place = Path(path)
    wanted = "a regular file with content"
    try:
        status = place.stat()
    except OSError as error:
        raise InputError(place, field, error.strerror or "unreadable", wanted, "check the path") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise InputError(place, field, kind, wanted, "name a file")
    if status.st_size == 0:
        raise InputError(place, field, "0 bytes", wanted, "make or fetch the file again")
    if not os.access(place, os.R_OK):
        raise InputError(place, field, "permission denied", wanted, "change its permissions")
    return place


def check_size(place: str | Path, field: str, promised: int, held: int, ratio: int = 1) -> None:
    """Refuse an array whose header promises more than the file can hold, or more than fits in memory.

    Parameters
    ----------
    promised : bytes after reading
    held : bytes in the file
    ratio : how far the encoding can shrink data

    Raises
    ------
    InputError : the promise is absurd
    """
    limit = min(MAX_BYTES, _memory_bytes())
    remedy = "the file is damaged or hostile; fetch it again from where it came"
    if promised > limit:
        raise InputError(place, field, f"{promised} bytes promised", f"at most {limit} bytes", remedy)
    if promised > max(_SMALL_BYTES if ratio > 1 else 0, held * ratio):
        raise InputError(place, field, f"{promised} bytes promised by {held} bytes of data", "a whole file", remedy)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def walk(file: h5py.File, place: Path) -> dict[str, h5py.Dataset]:
    """Return all datasets by name, having refused everything that leads out of the file or blows up on reading.

    Raises
    ------
    InputError : soft or external links, virtual or external data, foreign filters, absurd shapes, loops
    """
    found: dict[str, h5py.Dataset] = {}
    seen: set[int] = set()
    _walk_group(file, "", place, found, seen)
    return found


def _walk_group(group: h5py.Group, head: str, place: Path, found: dict[str, h5py.Dataset], seen: set[int]) -> None:
    import h5py

    if head.count("/") > _MAX_DEPTH or len(group) + len(found) > _MAX_OBJECTS:
        raise _refuse(place, head or "/", "groups without end", "a file as skysift writes it")
    for key in group:
        name = head + key
        link = group.get(name=key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise _refuse(place, name, f"{type(link).__name__} to {getattr(link, 'path', '?')}", "data inside the file")
        member = group[key]
        address = h5py.h5o.get_info(member.id).addr
        if address in seen:
            raise _refuse(place, name, "an object with two names", "each object once")
        seen.add(address)
        if isinstance(member, h5py.Dataset):
            _check_dataset(member, name, place)
            found[name] = member
        elif isinstance(member, h5py.Group):
            _walk_group(member, f"{name}/", place, found, seen)
        else:
            raise _refuse(place, name, "a named type", "groups and datasets")


def _check_dataset(data: h5py.Dataset, name: str, place: Path) -> None:
    import h5py

    if data.is_virtual:
        raise _refuse(place, name, "a virtual dataset", "data inside the file")
    if data.external:
        raise _refuse(place, name, f"data kept in {data.external[0][0]}", "data inside the file")
    if data.shape is None:
        raise _refuse(place, name, "no shape", "an array")
    plist = data.id.get_create_plist()
    filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
    if filters - _FILTERS:
        raise _refuse(place, name, f"filters {sorted(filters - _FILTERS)}", "gzip, lzf, shuffle and fletcher32")
    text = h5py.check_string_dtype(data.dtype)
    if data.dtype.kind not in "biuf" and text is None:
        raise _refuse(place, name, f"type {data.dtype}", "numbers, booleans or text")
    promised = data.dtype.itemsize
    for size in data.shape:
        promised *= int(size)
    held = data.id.get_storage_size()
    check_size(place, name, promised, held, _MAX_RATIO if filters - {2, 3} else 1)
    if data.chunks is not None:
        chunk = data.dtype.itemsize
        for size in data.chunks:
            chunk *= int(size)
        check_size(place, f"{name} (chunk)", chunk, held, _MAX_RATIO)


def _refuse(place: Path, name: str, found: str, wanted: str) -> InputError:
    return InputError(place, name, found, wanted, "use a file written by skysift, or one you trust, converted by it")
