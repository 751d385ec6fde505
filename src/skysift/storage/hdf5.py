"""HDF5 files of skysift: what to import for writing and reading them."""

from __future__ import annotations

from skysift.storage.atomic import check_writable
from skysift.storage.provenance import Provenance, collect
from skysift.storage.reader import Reader, find_format, open_reader, read
from skysift.storage.schema import Dataset, Field, File
from skysift.storage.writer import write

__all__ = [
    "Dataset", "Field", "File", "Provenance", "Reader", "check_writable", "collect", "find_format", "open_reader",
    "read", "write",
]  # fmt: skip
