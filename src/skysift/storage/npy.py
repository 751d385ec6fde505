"""NumPy files from anywhere: plain numbers only, the promised size checked before memory is taken."""

from __future__ import annotations

import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np

from skysift.errors import InputError
from skysift.storage.guard import check_file, check_size

__all__ = ["read_npy"]

_FETCH = "fetch or make the file again"


def read_npy(path: str | Path, field: str = "array") -> np.ndarray:
    """Read a NumPy file of booleans, integers or floats; it can never run code.

    Parameters
    ----------
    path : a ``.npy`` file
    field : what the array is for, named in errors

    Returns
    -------
    The array as stored, any shape

    Raises
    ------
    InputError : not such a file, cut, objects or text inside, or a shape that the file cannot hold
    """
    place = check_file(path, field)
    with place.open("rb") as stream:
        shape, dtype = _read_npy_header(stream, place, field)
        if dtype.kind not in "biuf":
            raise InputError(
                place, field, f"type {dtype}", "booleans, integers or floats", "save plain numbers with numpy.save"
            )
        promised = dtype.itemsize * math.prod(int(size) for size in shape)
        check_size(place, field, promised, place.stat().st_size - stream.tell())
        stream.seek(0)
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _read_npy_header(stream: Any, place: Path, field: str) -> tuple[tuple[int, ...], np.dtype[Any]]:  # noqa: ANN401
    """Return shape and type without touching the data."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, EOFError, RecursionError, MemoryError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(place, field, found, "a NumPy array file (.npy)", _FETCH) from error
    if any(size < 0 for size in shape):
        raise InputError(place, field, f"shape {shape}", "sizes >= 0", _FETCH)
    return shape, dtype
