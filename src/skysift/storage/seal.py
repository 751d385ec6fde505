"""The seal at the end of a file: a sha256 of all before it, looked at before any library opens the file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from skysift.errors import InputError

__all__ = ["SEAL_BYTES", "add_seal", "check_seal"]

_MARK = b"\nskysift sha256 "
SEAL_BYTES = len(_MARK) + 64 + 1
_PIECE = 2**20


def add_seal(path: Path) -> None:
    """Append the seal; HDF5 and NetCDF libraries do not mind what follows their own content."""
    with path.open("r+b") as stream:
        digest = _digest(stream, path.stat().st_size)
        stream.write(_MARK + digest.encode() + b"\n")


def check_seal(path: Path, wanted: str, remedy: str) -> None:
    """Refuse a file that is not, to the last byte, what its writer left.

    HDF5 itself can crash on damaged bytes, so this comes first.

    Parameters
    ----------
    path : the file
    wanted : what it should be, in words
    remedy : what to do

    Raises
    ------
    InputError : no seal (the writer was stopped, the file is cut or from elsewhere), or another checksum
    """
    size = path.stat().st_size - SEAL_BYTES
    with path.open("rb") as stream:
        stream.seek(max(size, 0))
        seal = stream.read(SEAL_BYTES + 1)
        if not (len(seal) == SEAL_BYTES and seal.startswith(_MARK) and seal.endswith(b"\n")):
            raise InputError(path, "complete", "no checksum at its end", wanted, remedy)
        stream.seek(0)
        if _digest(stream, size).encode() != seal[len(_MARK) : -1]:
            raise InputError(path, "checksum", "another sha256 than at its end", wanted, remedy)


def _digest(stream: IO[bytes], size: int) -> str:
    """Return the sha256 of the next ``size`` bytes."""
    digest = hashlib.sha256()
    while size > 0:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            break
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()
