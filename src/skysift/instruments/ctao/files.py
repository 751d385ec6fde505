"""Where the files that an analysis names are: by path, or by their name in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skysift.errors import InputError
from skysift.storage import registry

__all__ = ["Finder", "find_missing"]

#: Files that stand for a kind of source when the configuration names none.
_OWN_FILES = {"catalogue": "ctao/hgps_catalog_v1.fits.gz", "diffuse": "ctao/gll_iem_v06_gc.fits.gz"}


def find_missing(named: Mapping[str, str], place: str | Path) -> list[InputError]:
    """Return an error for each file that is nowhere; registered ones need not be fetched.

    Parameters
    ----------
    named : key of the configuration to name
    place : the configuration, for messages
    """
    return [
        _describe(place, key, name)
        for key, name in named.items()
        if not Path(name).is_file() and ("/" in name or _registered(name) is None)
    ]


def _registered(name: str) -> registry.Entry | None:
    known = {entry.file: entry for entry in registry.entries("ctao")}
    return known.get(name.rpartition("/")[2])


def _describe(place: str | Path, field: str, name: str) -> InputError:
    return InputError(
        place, field, name, "an existing file, or the name of a registered one",
        f"correct the path, seen from {Path.cwd()}; `skysift data list` shows the registered files",
    )  # fmt: skip


class Finder:
    """Finds files, and remembers which were used.

    Parameters
    ----------
    place : the configuration, for messages
    """

    def __init__(self, place: str | Path) -> None:
        self.place = place
        self.used: list[Path] = []

    def __call__(self, name: str | None, role: str) -> Path:
        """Return where a file lies; without a name that of its role.

        Raises
        ------
        InputError : it is nowhere, with what to do
        """
        wanted = _OWN_FILES[role] if name is None else name
        path = Path(wanted)
        if not path.is_file():
            entry = _registered(wanted if name is None or "/" not in name else "")
            if entry is None:
                raise _describe(self.place, role, wanted)
            path = registry.locate(entry)
        if path not in self.used:
            self.used.append(path)
        return path
