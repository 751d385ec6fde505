"""Files that appear whole or not at all: temporary name in the same folder, flush to disk, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from skysift.errors import InputError, SkysiftError

__all__ = ["check_writable", "full_disk_error", "is_full_disk", "refuse_escape", "replace_when_done", "sweep_parts"]

#: A part written on another machine counts as abandoned after a day without a change.
PROBE = ".writable"
_FOREIGN_PART_AGE_S = 86400.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "_", socket.gethostname())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep_parts(out: Path) -> list[Path]:
    """Remove the parts of ``out`` whose writers are gone, and their probes of its folder, and return them."""
    swept = []
    pattern = re.compile(rf"(?:{re.escape(out.name)}\.part|{re.escape(PROBE)})-(.+)-(\d+)")
    left = [*out.parent.glob(f"{_glob_escape(out.name)}.part-*"), *out.parent.glob(f"{PROBE}-*")]
    for part in sorted(left):
        found = pattern.fullmatch(part.name)
        if found is None:
            continue
        if found[1] == _host():
            gone = int(found[2]) == os.getpid() or not _is_running(int(found[2]))
        else:
            gone = time.time() - part.lstat().st_mtime > _FOREIGN_PART_AGE_S
        if gone:
            part.unlink(missing_ok=True)
            swept.append(part)
    return swept


def _glob_escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


@contextlib.contextmanager
def replace_when_done(path: str | Path, bytes_needed: int = 0) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there takes its place when the block ends well.

    Parameters
    ----------
    path : the final name; an old file stays untouched until the new one is complete and on disk
    bytes_needed : estimate, compared with the room on the disk before anything is written

    Raises
    ------
    InputError : the folder cannot be written to, or ``path`` leaves the results tree
    SkysiftError : the disk is full or the quota is used up
    """
    out = Path(path)
    check_writable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    sweep_parts(out)
    part = out.with_name(f"{out.name}.part-{_host()}-{os.getpid()}")
    try:
        if bytes_needed > shutil.disk_usage(out.parent).free:
            raise full_disk_error(out, bytes_needed)
        yield part
        _sync(part)
        part.replace(out)
        _sync(out.parent)
    except OSError as error:
        if is_full_disk(error):
            raise full_disk_error(out, bytes_needed) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def is_full_disk(error: OSError) -> bool:
    """Tell whether a write failed for want of room or quota."""
    return error.errno in _FULL


def full_disk_error(out: Path, bytes_needed: int) -> SkysiftError:
    """Return the error of a disk without room for ``out``."""
    free = shutil.disk_usage(out.parent).free
    needed = f"{bytes_needed} bytes" if bytes_needed else "more bytes than there are"
    return SkysiftError(
        f"no room to write {out}\n  needed  {needed}\n  free    {free} bytes (a quota may allow less)\n"
        "  do      make room and run the same command again; what was there before is untouched"
    )


def _sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(path: str | Path) -> None:
    """Refuse an output that could not be written, before any work; writes nothing that stays.

    Raises
    ------
    InputError : a folder, FIFO or device in its place; a read-only folder; a link that leaves the results tree
    """
    out = Path(path)
    refuse_escape(out)
    if out.exists() and not out.is_file():
        raise InputError(out, "output", _kind(out), "a regular file, or nothing yet", "choose another name")
    folder = out.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(out, "output", f"{folder} is a {_kind(folder)}", "a folder", "choose another place")
    probe = folder / f"{PROBE}-{_host()}-{os.getpid()}"
    try:
        probe.touch(exist_ok=True)
        probe.unlink()
    except OSError as error:
        if is_full_disk(error):
            raise full_disk_error(folder / out.name, 0) from error
        raise InputError(
            out, "output", f"{folder}: {error.strerror}", "a folder that can be written to",
            "change its permissions or run in another folder",
        ) from error  # fmt: skip


def _kind(path: Path) -> str:
    """Say what sort of thing ``path`` is."""
    mode = path.stat().st_mode
    names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return names.get(stat.S_IFMT(mode), "file" if stat.S_ISREG(mode) else "special file")


def refuse_escape(path: Path) -> None:
    """Refuse a path inside ``results`` that leads out of it through a link (``results`` itself may be one).

    A path outside of any ``results`` folder must not be a link to another folder itself.

    Raises
    ------
    InputError : the path leads elsewhere
    """
    absolute = path.absolute()
    tree = next((folder for folder in absolute.parents if folder.name == "results"), absolute.parent)
    target = absolute.resolve()
    if not target.is_relative_to(tree.resolve()):
        raise InputError(
            path, "path", f"leads to {target}", f"a place inside {tree}", "remove the symbolic link and run again"
        )
