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
from skysift.instruments.ctao.discrete_file import read_discrete_response
from skysift.instruments.ctao.extension import extend_energies
from skysift.instruments.ctao.files import Finder
from skysift.instruments.ctao.pointing import Axes
from skysift.instruments.ctao.response_file import read_response
from skysift.instruments.ctao.response_source import open_response

if TYPE_CHECKING:
    from skysift.config.events import EventObservation as Settings
    from skysift.config.events.observation import Angles
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf

__all__ = ["Finder", "open_responses", "read_responses", "reconstructed_axes"]


def open_responses(observation: EventObservation, place: Path) -> list[Irf]:
    """Return the response of each pointing, the same object where it is the same file.

    Raises
    ------
    InputError : a file that is absent, or is not the one that the observation was prepared with
    """
    find, opened = Finder(place), {}
    for response in observation.responses:
        if response.name not in opened:
            irf = open_response(response.parts, observation.psf_empty, find)
            if observation.is_extended:
                irf = extend_energies(irf, observation.reconstructed.energy)
            if irf.sha256 != response.sha256:
                raise InputError(
                    place, "irf", f"{response.name}, sha256 {irf.sha256[:12]}", f"sha256 {response.sha256[:12]}",
                    "the file changed since `skysift prepare`: run that again",
                )  # fmt: skip
            opened[response.name] = irf
    return [opened[response.name] for response in observation.responses]


def read_responses(paths: Sequence[Path], irfs: Sequence[Irf], observation: EventObservation) -> list[AnyResponse]:
    """Return the stored response of each pointing.

    Raises
    ------
    InputError : a file that is damaged, or was made from another response, other axes or another pointing
    """
    responses: list[AnyResponse] = []
    for path, irf, pointing in zip(paths, irfs, observation.pointings, strict=True):
        response: AnyResponse
        own: AnyResponse
        if observation.window is None:
            response = read_response(path, irf, pointing)
            own = replace(response, true=observation.true, reconstructed=observation.reconstructed)
        else:
            response = read_discrete_response(path, irf, pointing)
            own = replace(response, reconstructed=observation.reconstructed, window=observation.window)
        if own.digest != response.digest:
            raise InputError(
                path, "axes", "those of another observation", "those of this one", "run `skysift response` again"
            )
        responses.append(own)
    return responses


def reconstructed_axes(settings: Settings) -> Axes:
    """Return the reconstructed axes of a configuration: its points are the centres of bins."""
    axes = settings.reconstructed
    energy = EnergyAxis.from_points(*axes.energy.range_tev, axes.energy.points)
    return Axes(energy, LonLatGrid(_edges(axes.lon), _edges(axes.lat)), settings.normalise == "discrete")


def _edges(angles: Angles) -> NDArray[np.float64]:
    low, high = angles.range_deg
    count = round((high - low) / angles.step_deg)
    return np.asarray(low + (np.arange(count + 2) - 0.5) * angles.step_deg, dtype=np.float64)
