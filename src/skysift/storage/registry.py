"""The public files that analyses read: where they come from, what they must be, where they lie on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from skysift.errors import InputError, nearest
from skysift.storage.provenance import digest_file

__all__ = ["Entry", "describe_missing", "entries", "find", "find_folder", "groups", "is_intact", "locate", "target"]

_REGISTRY = Path(__file__).with_name("registry.json")


@dataclass(frozen=True)
class Entry:
    """One public file.

    Parameters
    ----------
    group : data set that it belongs to
    folder : where it lies below a data folder
    file : its name
    bytes, sha256 : what it must be
    addresses : where to fetch it, tried in order; ``archive#member`` names a file inside a tar archive,
        ``archive#archive#member`` inside a tar archive inside a zip archive
    page : where a person finds it
    licence, citation, note : of the group
    """

    group: str
    folder: str
    file: str
    bytes: int
    sha256: str
    addresses: tuple[str, ...]
    page: str
    licence: str
    citation: str
    note: str

    @property
    def name(self) -> str:
        """Unique name, ``group/file``."""
        return f"{self.group}/{self.file}"

    @property
    def place(self) -> str:
        """Path below a data folder or a mirror."""
        return f"{self.folder}/{self.file}"


@cache
def _load() -> dict[str, tuple[Entry, ...]]:
    registry = json.loads(_REGISTRY.read_text(encoding="utf-8"))
    return {
        group: tuple(
            Entry(
                group, about["folder"], file["file"], file["bytes"], file["sha256"], tuple(file.get("addresses", ())),
                about["page"], about["licence"], about["citation"], about["note"],
            )
            for file in about["files"]
        )
        for group, about in registry.items()
    }  # fmt: skip


def groups() -> dict[str, str]:
    """Return the data sets: name to title."""
    registry = json.loads(_REGISTRY.read_text(encoding="utf-8"))
    return {group: about["title"] for group, about in registry.items()}


def entries(*names: str) -> tuple[Entry, ...]:
    """Return the files of the data sets (or single files) ``names``, all files without names.

    Raises
    ------
    InputError : a name that is neither

    Examples
    --------
    >>> [entry.bytes for entry in entries("fermi/template_gce.npy")]
    [1572992]
    """
    loaded = _load()
    if not names:
        return tuple(entry for group in loaded.values() for entry in group)
    return tuple(dict.fromkeys(entry for name in names for entry in _select(name, loaded)))


def _select(name: str, loaded: dict[str, tuple[Entry, ...]]) -> tuple[Entry, ...]:
    if name in loaded:
        return loaded[name]
    found = tuple(entry for group in loaded.values() for entry in group if name in {entry.name, entry.file})
    if not found:
        remedy = "see `skysift data list`"
        raise InputError("registry of data sets", "name", name, nearest(name, loaded), remedy)
    return found


def _places() -> list[Path]:
    """Return the data folders in the order in which they are searched; not all exist."""
    import pooch

    # A checkout keeps its data beside it, whatever folder the command runs in.
    root = Path(__file__).resolve().parents[3]
    places = [Path(os.environ["SKYSIFT_DATA"])] if os.environ.get("SKYSIFT_DATA") else []
    return [*places, Path.cwd().parent / "shared" / "data", root.parent / "shared" / "data", pooch.os_cache("skysift")]


def target() -> Path:
    """Return the data folder that downloads go to: ``$SKYSIFT_DATA`` if set, else the user's cache."""
    import pooch

    given = os.environ.get("SKYSIFT_DATA")
    return Path(given) if given else Path(pooch.os_cache("skysift"))


def find(name: str | Entry) -> Path | None:
    """Return the file ``name`` where it lies on this machine, None when it does not; its checksum is not looked at.

    Searched in order: ``$SKYSIFT_DATA`` (with and without the folder of the data set), ``../shared/data`` beside the
    working directory and beside the checkout, the user's cache.

    Raises
    ------
    InputError : a name that the registry does not know
    """
    entry = name if isinstance(name, Entry) else entries(name)[0]
    candidates = [place / entry.place for place in _places()]
    if os.environ.get("SKYSIFT_DATA"):
        candidates.insert(1, Path(os.environ["SKYSIFT_DATA"]) / entry.file)
    return next((path for path in candidates if path.is_file()), None)


def locate(name: str | Entry) -> Path:
    """Return the file ``name`` where it lies on this machine (see `find`).

    Raises
    ------
    InputError : it is nowhere; the message says how to fetch it
    """
    entry = name if isinstance(name, Entry) else entries(name)[0]
    path = find(entry)
    if path is None:
        raise describe_missing(entry)
    return path


def describe_missing(entry: Entry) -> InputError:
    """Return the error that says how to get a file."""
    address = entry.addresses[0] if entry.addresses else f"no direct address; page {entry.page}"
    return InputError(
        entry.name, "file", "not on this machine", f"{entry.bytes} bytes, sha256 {entry.sha256}, from {address}",
        f"run `skysift data fetch {entry.group}`, or set SKYSIFT_DATA to a folder that holds {entry.place}",
    )  # fmt: skip


def find_folder(group: str) -> Path:
    """Return the folder that holds all files of a data set.

    Raises
    ------
    InputError : no folder does; the message says how to fetch the first missing file
    """
    paths = [locate(entry) for entry in entries(group)]
    folders = {path.parent for path in paths}
    if len(folders) > 1:
        listing = ", ".join(sorted(str(folder) for folder in folders))
        remedy = "copy them into one, or set SKYSIFT_DATA"
        raise InputError(group, "files", f"spread over {listing}", "one folder", remedy)
    return paths[0].parent


def is_intact(entry: Entry, path: Path) -> bool:
    """Tell whether a file has the registered size and checksum."""
    return path.stat().st_size == entry.bytes and digest_file(path) == entry.sha256
