"""``skysift prepare``, events: axes, pointings, and the light of every source on the grid of true coordinates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skysift.config import load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.curves import ResponseCurves, make_curves
from skysift.instruments.ctao.discrete import Window
from skysift.instruments.ctao.event_observation import EventObservation, ResponseFile, write_event_observation
from skysift.instruments.ctao.extension import covered_energies_tev, extend_energies
from skysift.instruments.ctao.plan import plan_pointings
from skysift.instruments.ctao.pointing import Axes, make_true_axes
from skysift.instruments.ctao.response_source import name_response, open_response
from skysift.models.events.lights import make_light, make_share
from skysift.steps.events.sources import Finder, reconstructed_axes
from skysift.storage.hdf5 import check_writable, collect

if TYPE_CHECKING:
    from skysift.config.events import EventComponent
    from skysift.config.events import EventObservation as Settings
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Pointing
    from skysift.sky.light import Light

__all__ = ["run"]

LIVE_TIME_TOLERANCE = 0.01
#: So many of the responses are drawn in the report.
SHOWN_RESPONSES = 3


def run(config: Path, out: Path) -> None:
    """Write the observation.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    out : file of format ``event_observation``

    Raises
    ------
    InputError : a file that is absent, damaged or unfit for use
    """
    check_writable(out)
    slice_ = load_slice(config, "events/observation")
    settings, find = slice_.observation, Finder(config)
    planned = plan_pointings(settings, find)
    names = [name_response(part.response) for part in planned]
    parts = {name: tuple(part.response) for name, part in zip(names, planned, strict=True)}
    stated = {name: open_response(part, settings.psf_empty, find) for name, part in parts.items()}
    pointings = tuple(part.pointing for part in planned)
    seen, is_extended = reconstructed_axes(settings), settings.extrapolate == "nearest"
    responses = {name: extend_energies(irf, seen.energy) if is_extended else irf for name, irf in stated.items()}
    if settings.background == "instrument" and any(part.instrument == "background" for part in slice_.sources.values()):
        for pointing, name in zip(pointings, names, strict=True):
            responses[name].background_at(1.0, pointing.lon_deg, pointing.lat_deg, pointing)  # whose frame it knows
    true = _true_axes(settings, list(responses.values()), seen, pointings)
    observation = EventObservation(
        reconstructed=seen,
        true=true,
        pointings=pointings,
        responses=tuple(ResponseFile(name, responses[name].sha256, parts[name]) for name in names),
        lights=_lights(slice_.sources, true, seen, find),
        psf_empty=settings.psf_empty,
        window=None if settings.window is None else Window(*settings.window.limits),
        is_smeared=settings.background == "smeared",
        is_extended=is_extended,
        curves=_curves(responses, seen, pointings),
        warnings=(
            *_warn_discrete(settings),
            *_warn_extended(stated, responses),
            *_compare_times(pointings, names, responses),
        ),
    )
    write_event_observation(out, observation, collect(slice_.run, slice_.seed, config.read_bytes(), find.used))
    for warning in observation.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _true_axes(settings: Settings, responses: list[Irf], seen: Axes, pointings: Sequence[Pointing]) -> Axes:
    """Return the widest axes that any of the responses asks for; discrete ones are the reconstructed axes."""
    if seen.is_discrete:
        return seen
    margin: float | Literal["auto"] = "auto" if settings.true.margin_deg is None else settings.true.margin_deg
    refine: int | Literal["auto"] = settings.true.refine or "auto"
    asked = [make_true_axes(irf, seen, pointings, margin, refine) for irf in responses]
    energy = max((axes.energy for axes in asked), key=lambda axis: float(axis.edges_tev[-1] / axis.edges_tev[0]))
    return Axes(energy, max((axes.grid for axes in asked), key=lambda grid: grid.size))


def _lights(sources: dict[str, EventComponent], true: Axes, seen: Axes, find: Finder) -> dict[str, Light]:
    """Return the light of each source in the sky; those that move with their parameters are made when needed."""
    lights = {}
    for name, component in sources.items():
        if component.sky is None or component.moves:
            continue
        if component.free or component.share:
            lights[name] = make_share(component, true, seen.grid, find, {})
        else:
            lights[name] = make_light(component, true, seen.grid, find)
        if not lights[name].shines_on(true.grid):
            found, wanted = f"{component.sky} sends no light into the field", "a source that the field sees"
            raise InputError(find.place, f"components.{name}", found, wanted, "move the field, or leave it out")
    return lights


def _curves(responses: dict[str, Irf], seen: Axes, pointings: Sequence[Pointing]) -> dict[str, ResponseCurves]:
    """Return what the first few responses look like within the field."""
    reach = max(float(pointing.offsets_deg(seen.grid).max()) for pointing in pointings)
    low, high = seen.energy.edges_tev[[0, -1]]
    shown = list(responses.items())[:SHOWN_RESPONSES]
    return {name: make_curves(irf, reach, float(low), float(high)) for name, irf in shown}


def _warn_discrete(settings: Settings) -> list[str]:
    """Say what the discrete normalisation is not good for."""
    if settings.normalise == "integrated":
        return []
    return [
        "normalise: discrete takes bins for points, for comparison with GammaBayes alone: densities and ln Z are in "
        "its own measure, compact sources and the edge of the field are off"
    ]


def _warn_extended(stated: dict[str, Irf], used: dict[str, Irf]) -> list[str]:
    """Say which responses are used beyond their energies."""
    return [
        f"the response {name} reaches from {low:g} to {high:g} TeV: beyond, the values at its ends are taken "
        "(extrapolate: nearest)"
        for name, irf in stated.items()
        if irf is not used[name]
        for low, high in [covered_energies_tev(irf)]
    ]


def _compare_times(pointings: Sequence[Pointing], names: list[str], responses: dict[str, Irf]) -> list[str]:
    """Say where a response was made for another live time than the pointing has."""
    warnings = []
    for number, (pointing, name) in enumerate(zip(pointings, names, strict=True)):
        stated = responses[name].live_time_s
        if stated is not None and abs(pointing.live_time_s / stated - 1) > LIVE_TIME_TOLERANCE:
            warnings.append(
                f"pointing {number} lasts {pointing.live_time_s / 3600:g} h, its response {name} was made for "
                f"{stated / 3600:g} h: cuts depend on the time"
            )
    return warnings
