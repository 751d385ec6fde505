"""From the words of an event configuration to files, axes and pointings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.irf import read_irf
from skysift.instruments.ctao.pointing import Axes, Pointing
from skysift.instruments.ctao.response_file import read_response
from skysift.storage import registry

if TYPE_CHECKING:
    from skysift.config.events import EventObservation as Settings
    from skysift.config.events.observation import Angles
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.response import Response

__all__ = ["ANALYTIC", "Finder", "open_responses", "pointings_of", "read_response_file", "read_responses",
           "reconstructed_axes"]  # fmt: skip

ANALYTIC = "analytic"
#: Files that stand for a kind of source when the configuration names none.
OWN_FILES = {"catalogue": "ctao/hgps_catalog_v1.fits.gz", "diffuse": "ctao/gll_iem_v06_gc.fits.gz"}


class Finder:
    """Finds files by path, or by their name in the registry, and remembers which were used."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.used: list[Path] = []

    def __call__(self, name: str | None, role: str) -> Path:
        """Return where a file lies; without a name that of its role.

        Raises
        ------
        InputError : it is nowhere, with what to do
        """
        wanted = OWN_FILES[role] if name is None else name
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


def read_response_file(name: str, psf_empty: str, find: Finder) -> Irf:
    """Return the response of this name: the analytic one, or that of a file."""
    if name == ANALYTIC:
        return analytic_irf()
    return read_irf(find(name, "irf"), "one_degree" if psf_empty == "one_degree" else "nearest")


def open_responses(observation: EventObservation, place: Path) -> list[Irf]:
    """Return the response of each pointing, the same object where it is the same file.

    Raises
    ------
    InputError : a file that is absent, or is not the one that the observation was prepared with
    """
    find, opened = Finder(place), {}
    for response in observation.responses:
        if response.name not in opened:
            irf = read_response_file(response.name, observation.psf_empty, find)
            if irf.sha256 != response.sha256:
                raise InputError(
                    place, "irf", f"{response.name}, sha256 {irf.sha256[:12]}", f"sha256 {response.sha256[:12]}",
                    "the file changed since `skysift prepare`: run that again",
                )  # fmt: skip
            opened[response.name] = irf
    return [opened[response.name] for response in observation.responses]


def read_responses(paths: Sequence[Path], irfs: Sequence[Irf], observation: EventObservation) -> list[Response]:
    """Return the stored response of each pointing.

    Raises
    ------
    InputError : a file that is damaged, or was made from another response, other axes or another pointing
    """
    responses = []
    for path, irf, pointing in zip(paths, irfs, observation.pointings, strict=True):
        response = read_response(path, irf, pointing)
        own = replace(response, true=observation.true, reconstructed=observation.reconstructed)
        if own.digest != response.digest:
            raise InputError(
                path, "axes", "those of another observation", "those of this one", "run `skysift response` again"
            )
        responses.append(own)
    return responses


def pointings_of(settings: Settings) -> tuple[Pointing, ...]:
    """Return the pointings of a configuration."""
    return tuple(Pointing(pointing.lon_deg, pointing.lat_deg, pointing.time_s) for pointing in settings.pointings)


def reconstructed_axes(settings: Settings) -> Axes:
    """Return the reconstructed axes of a configuration: its points are the centres of bins."""
    axes = settings.reconstructed
    energy = EnergyAxis.from_points(*axes.energy.range_tev, axes.energy.points)
    return Axes(energy, LonLatGrid(_edges(axes.lon), _edges(axes.lat)))


def _edges(angles: Angles) -> NDArray[np.float64]:
    low, high = angles.range_deg
    count = round((high - low) / angles.step_deg)
    return np.asarray(low + (np.arange(count + 2) - 0.5) * angles.step_deg, dtype=np.float64)
