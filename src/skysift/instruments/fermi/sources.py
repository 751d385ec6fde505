"""Where maps come from: files, with the shipped data set's names, or the synthetic sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError, nearest
from skysift.instruments.fermi import dataset
from skysift.instruments.fermi.checks import check_total
from skysift.instruments.fermi.maps import MapFile, SkyMap, read_map
from skysift.sky.synthetic import MASKS, TEMPLATES, SyntheticSky
from skysift.storage.registry import locate

__all__ = ["FileSource", "MapSource", "SyntheticSource", "fermi_source"]


class MapSource(Protocol):
    """Hands out full-sky maps by name, each read or computed only when asked for."""

    @property
    def energy_edges_gev(self) -> NDArray[np.float64]:
        """Energy edges (E + 1,), GeV."""
        ...

    def read(self, role: dataset.Role, name: str) -> SkyMap:
        """Return a map.

        Raises
        ------
        InputError : no such map, or a damaged file
        """
        ...

    def paths_read(self) -> list[Path]:
        """Return the files read so far."""
        ...


@dataclass(frozen=True)
class FileSource:
    """Maps from files: the user's, and those of the shipped data set where no user's file stands in their place.

    Parameters
    ----------
    energy_edges_gev : (E + 1,) GeV
    files : (role, name) to the user's file; counts and exposure are named like their role
    shipped : (role, name) to the member of the shipped data set, whose full-map sum is checked
    place : what to name in messages about absent maps
    """

    energy_edges_gev: NDArray[np.float64]
    files: Mapping[tuple[dataset.Role, str], MapFile]
    shipped: Mapping[tuple[dataset.Role, str], dataset.Member] = field(default_factory=dict)
    place: str = "observation"
    _read: list[Path] = field(default_factory=list, repr=False, compare=False)

    def read(self, role: dataset.Role, name: str) -> SkyMap:
        """Return the map in its file, RING, Galactic."""
        key = (role, name)
        if key in self.files:
            entry = read_map(name, role, self.files[key])
        elif key in self.shipped:
            member = self.shipped[key]
            path = locate(f"{dataset.GROUP}/{member.file}")
            entry = read_map(name, role, MapFile(path, ordering="ring", coordsys="galactic"))
            check_total(entry, member)
        else:
            raise _unknown(
                self.place, role, name, [known for kind, known in (*self.files, *self.shipped) if kind == role]
            )
        self._read.append(Path(entry.place))
        return entry

    def paths_read(self) -> list[Path]:
        """Return the files read so far, each once."""
        return list(dict.fromkeys(self._read))


@dataclass(frozen=True)
class SyntheticSource:
    """Maps of the synthetic sky, and user maps beside them.

    Parameters
    ----------
    sky : the synthetic sky
    user : templates and masks from files, which go before maps of the same name
    """

    sky: SyntheticSky
    user: FileSource

    @property
    def energy_edges_gev(self) -> NDArray[np.float64]:
        """Energy edges (E + 1,), GeV."""
        return self.user.energy_edges_gev

    def read(self, role: dataset.Role, name: str) -> SkyMap:
        """Return a map, computed or from the user's file."""
        if (role, name) in self.user.files:
            return self.user.read(role, name)
        if role == "counts":
            raise InputError(
                self.user.place, "observation.data", "synthetic, which has no observed counts", "counts to fit",
                "add simulate to the configuration, or choose data: fermi or data: files",
            )  # fmt: skip
        known: tuple[str, ...] = {"template": TEMPLATES, "mask": MASKS, "exposure": ("exposure",)}.get(role, ())
        if name not in known:
            raise _unknown("synthetic sky", role, name, [*known, *(key[1] for key in self.user.files)])
        if role == "exposure":
            values = self.sky.exposure_cm2_s()
        else:
            values = self.sky.template(name) if role == "template" else np.atleast_2d(self.sky.mask(name)).astype(float)
        return SkyMap(name, role, "synthetic sky", name, values)

    def paths_read(self) -> list[Path]:
        """Return the user's files read so far."""
        return self.user.paths_read()


def fermi_source(files: Mapping[tuple[dataset.Role, str], MapFile], place: str) -> FileSource:
    """Return the shipped data set, with the user's ``files`` in addition or in place of its own."""
    shipped = {(member.role, member.name): member for member in dataset.DATASET}
    return FileSource(np.array(dataset.ENERGY_EDGES_GEV), files, shipped, place)


def _unknown(place: str, role: str, name: str, known: list[str]) -> InputError:
    return InputError(
        place, f"{role} '{name}'", "not there", f"a {role} of the observation; {nearest(name, known)}",
        "correct the name, or add the file under observation.templates or observation.files",
    )  # fmt: skip
