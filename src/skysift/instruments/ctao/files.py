"""Where the files that an analysis names are: by path, or by their name in the registry."""

from __future__ import annotations

from pathlib import Path

from skysift.errors import InputError
from skysift.storage import registry

__all__ = ["Finder"]

#: Files that stand for a kind of source when the configuration names none.
_OWN_FILES = {"catalogue": "ctao/hgps_catalog_v1.fits.gz", "diffuse": "ctao/gll_iem_v06_gc.fits.gz"}


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
            known = {entry.file: entry for entry in registry.entries("ctao")}
            short = wanted.rpartition("/")[2]
            if short not in known or (name is not None and "/" in name):
                raise InputError(
                    self.place, role, wanted, "an existing file, or the name of a registered one",
                    "correct the path; `skysift data list` shows the registered files",
                )  # fmt: skip
            path = registry.locate(known[short])
        if path not in self.used:
            self.used.append(path)
        return path
