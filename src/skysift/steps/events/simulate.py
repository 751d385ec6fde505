"""``skysift simulate``, events: draw one event list from the truth of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skysift.config import check_own, load_slice
from skysift.instruments.ctao.background_counts import integrate_background
from skysift.instruments.ctao.event_list import write_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.models.events.fields import make_field
from skysift.models.events.lights import list_shapes, make_light
from skysift.models.events.parameters import middle_of, short_values
from skysift.models.events.prediction import light_at
from skysift.steps.events.sources import Finder, open_responses
from skysift.storage.hdf5 import check_writable, collect
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    import numpy as np

    from skysift.config.events import EventComponent
    from skysift.config.events.slices import EventSimulateSlice
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.sky.light import Light

__all__ = ["draw_events", "run"]


def run(config: Path, observation: Path, data: str, out: Path) -> None:
    """Write one simulated event list.

    Parameters
    ----------
    config : slice ``simulate-<set>`` of the configuration
    observation : file of format ``event_observation``
    data : name of the data set, such as ``simulated-000``; its random streams are derived from it
    out : file of format ``events``, with the truth

    Raises
    ------
    InputError : a name that the set does not have, or a source that the field never sees
    """
    check_writable(out)
    settings = load_slice(config, "events/simulate")
    check_own(settings.name, data, config)
    looked_at = read_event_observation(observation)
    irfs, find = open_responses(looked_at, observation), Finder(config)
    events = draw_events(settings, looked_at, irfs, find, data)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, *find.used])
    write_events(out, events, provenance, {"responses": [response.sha256 for response in looked_at.responses]})


def draw_events(
    settings: EventSimulateSlice, looked_at: EventObservation, irfs: Sequence[Irf], find: Finder, data: str
) -> EventList:
    """Return the event list of one data set.

    Parameters
    ----------
    settings : of its set
    looked_at : axes, pointings and lights
    irfs : response of each pointing
    find : where files of spectra are
    data : its name, from which its random streams are derived
    """

    def streams(*names: str) -> np.random.Generator:
        return numpy_stream(settings.seed, "simulate", data, *names)

    truth: dict[str, Any] = middle_of(settings.components) | settings.events.parameters
    lights: dict[str, Light | None] = {}
    for name, component in settings.components.items():
        if component.instrument == "outlier":
            continue  # no sky and no instrument sends them
        lights[name] = None if component.sky is None else _light(name, component, truth, looked_at, find)
        if component.modulate and settings.events.modulate:
            field = make_field(component.modulate, looked_at.true.grid)
            truth[f"{name}_field"] = streams("field", name).standard_normal((field.shape[1],)).tolist()
            lights[name] = light_at(name, component, lights[name], truth, looked_at, find)
    pairs = zip(irfs, looked_at.pointings, strict=True)
    rates = [integrate_background(irf, looked_at.reconstructed, pointing) for irf, pointing in pairs]
    numbers = _numbers(settings)
    return simulate_events(data, looked_at, irfs, lights, rates, numbers, streams, truth)


def _light(
    name: str, component: EventComponent, truth: Mapping[str, Any], looked_at: EventObservation, find: Finder
) -> Light:
    """Return the light of a source in the sky, and the shapes that it consists of."""
    values = short_values(component, name, truth)
    if component.free or component.share:
        light = make_light(component, looked_at.true, looked_at.reconstructed.grid, find, values)
    else:
        light = looked_at.lights[name]
    if looked_at.true.is_discrete:
        return light  # whose bins hold what shapes have at their centres
    return replace(light, shapes=list_shapes(component, looked_at.true, find, values))


def _numbers(settings: EventSimulateSlice) -> Numbers:
    events = settings.events
    if isinstance(events.events, dict):
        return Numbers(events.events, is_poisson=events.poisson)
    if events.events == "physical":
        return Numbers(events.norms_of(settings.components), is_physical=True)
    total = float(events.events)
    values = {name: share * total for name, share in events.truth.items()}
    if not events.poisson:
        values = _round(values, round(total))
    return Numbers(values, is_poisson=events.poisson)


def _round(values: dict[str, float], total: int) -> dict[str, float]:
    """Return whole numbers with the same sum: the largest remainders are rounded up."""
    floors = {name: float(int(value)) for name, value in values.items()}
    rest = sorted(values, key=lambda name: values[name] - floors[name], reverse=True)
    for name in rest[: round(total - sum(floors.values()))]:
        floors[name] += 1.0
    return floors
