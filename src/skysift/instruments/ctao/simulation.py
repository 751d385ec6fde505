"""Simulated event lists: how many events of each component, and where they are seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.ctao.drawing import SHARES, Draw, Source, draw_background, draw_shares, draw_source, find_cells
from skysift.instruments.ctao.event_list import EventList

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.sky.light import Light

__all__ = ["Numbers", "simulate_events"]

#: Named random streams: numpy generators by further names.
Streams = Callable[..., np.random.Generator]
#: Events that are drawn at once; each has random numbers of its own, so that a list does not depend on this.
BLOCK = 65536
#: Events that are tried for each one inside the axes.
MOST_TRIES = 1_000_000


@dataclass(frozen=True)
class Numbers:
    """How many events of each component: detected ones (exact or Poisson means), or norms of physical fluxes."""

    values: Mapping[str, float]
    is_physical: bool = False
    is_poisson: bool = False


def simulate_events(
    name: str,
    observation: EventObservation,
    irfs: Sequence[Irf],
    lights: Mapping[str, Light | None],
    background_rates: Sequence[NDArray[np.float64]],
    numbers: Numbers,
    streams: Streams,
    parameters: Mapping[str, float],
) -> EventList:
    """Return one simulated event list.

    Parameters
    ----------
    name : of the data set
    observation : axes and pointings
    irfs : response of each pointing
    lights : component to its light; None for the background of the instrument
    background_rates : of each pointing, (K, J) in s-1
    numbers : how many events
    streams : random streams by name
    parameters : true values of free parameters, kept with the events

    Raises
    ------
    InputError : a component whose events are never seen within the axes
    """
    makers = {
        part: _Background(observation, irfs, background_rates) if light is None else _Sky(observation, irfs, light)
        for part, light in lights.items()
        if numbers.values.get(part, 0.0) > 0
    }
    drawn: dict[str, tuple[Draw, NDArray[np.int64]]] = {}
    outside: dict[str, int] = {}
    for part, maker in makers.items():
        value = numbers.values[part]
        if numbers.is_physical:
            drawn[part], outside[part] = maker.draw_physical(value, part, streams)
            continue
        count = int(streams(part, "number").poisson(value)) if numbers.is_poisson else round(value)
        drawn[part], outside[part] = maker.draw_detected(count, part, streams)
    return _assemble(name, tuple(lights), drawn, outside, numbers, parameters, streams)


def _assemble(
    name: str,
    components: tuple[str, ...],
    drawn: Mapping[str, tuple[Draw, NDArray[np.int64]]],
    outside: Mapping[str, int],
    numbers: Numbers,
    parameters: Mapping[str, float],
    streams: Streams,
) -> EventList:
    if not sum(len(pointing) for _, pointing in drawn.values()):
        raise InputError(name, "simulate.events", "no event", "one event or more", "raise the numbers or the live time")
    whole = Draw.join([draw for draw, _ in drawn.values()])
    pointing = np.concatenate([where for _, where in drawn.values()])
    sizes = [len(where) for _, where in drawn.values()]
    component = np.repeat([components.index(part) for part in drawn], sizes)
    # in no order of components: a cut of the list is a fair sample
    order = streams("order").permutation(len(pointing))
    counts = dict.fromkeys(components, 0.0) | {part: float(size) for part, size in zip(drawn, sizes, strict=True)}
    truth: dict[str, Mapping[str, float]] = {"counts": counts, "parameters": dict(parameters)}
    if numbers.is_physical:
        truth["norms"] = dict(numbers.values)
    else:
        total = sum(numbers.values.values())
        truth["fractions"] = {part: numbers.values.get(part, 0.0) / total for part in components}
    columns: dict[str, Any] = {label: column[order] for label, column in zip(Draw._fields, whole, strict=True)}
    return EventList(
        name,
        **columns,
        pointing=pointing[order],
        component=component[order].astype(np.int64),
        components=components,
        outside=dict(outside),
        truth=truth,
    )


class _Sky:
    """Draws events of one source in the sky."""

    def __init__(self, observation: EventObservation, irfs: Sequence[Irf], light: Light) -> None:
        self.observation, self.irfs = observation, irfs
        pairs = zip(irfs, observation.pointings, strict=True)
        self.sources = [Source.of(light, irf, observation.true, pointing) for irf, pointing in pairs]
        times = [pointing.live_time_s for pointing in observation.pointings]
        self.expected = np.array([source.total * time for source, time in zip(self.sources, times, strict=True)])

    def _draw(self, start: int, count: int, part: str, streams: Streams) -> tuple[Draw, NDArray[np.int64]]:
        """Return events ``start`` and following, inside the axes or not, and their pointings."""
        shares = draw_shares(streams(part, "events"), start, count, SHARES)
        pointing = choose_pointings(self.expected, start, count, part, streams)
        columns = np.empty((len(Draw._fields), count))
        for number in np.unique(pointing):
            rows = np.flatnonzero(pointing == number)
            place = self.observation.pointings[number]
            columns[:, rows] = draw_source(self.sources[number], self.irfs[number], place, shares[:, rows])
        return Draw(*columns), pointing

    def draw_detected(self, count: int, part: str, streams: Streams) -> tuple[tuple[Draw, NDArray[np.int64]], int]:
        """Return exactly ``count`` events inside the axes, and how many fell outside on the way."""
        self._check(part)
        parts: list[tuple[Draw, NDArray[np.int64]]] = []
        start = found = outside = 0
        while found < count:
            tries = min(BLOCK, 2 * (count - found) + 64)
            drawn, pointing = self._draw(start, tries, part, streams)
            inside = np.flatnonzero(drawn.inside(self.observation.reconstructed))[: count - found]
            parts.append((drawn.take(inside), pointing[inside]))
            found += len(inside)
            tries = tries if found < count else int(inside[-1]) + 1
            outside += int(np.isfinite(drawn.true_energy[:tries]).sum()) - len(inside)
            start += tries
            if start > MOST_TRIES * max(found, 1):
                self._refuse(part)
        return _join(parts), outside

    def draw_physical(self, norm: float, part: str, streams: Streams) -> tuple[tuple[Draw, NDArray[np.int64]], int]:
        """Return what the flux times ``norm`` sends into the axes, and how many events fell outside."""
        self._check(part)
        total = int(streams(part, "number").poisson(norm * self.expected.sum()))
        parts, outside = [], 0
        for start in range(0, total, BLOCK):
            drawn, pointing = self._draw(start, min(BLOCK, total - start), part, streams)
            inside = drawn.inside(self.observation.reconstructed)
            parts.append((drawn.take(inside), pointing[inside]))
            outside += int(np.isfinite(drawn.true_energy).sum() - inside.sum())
        return _join(parts), outside

    def _check(self, part: str) -> None:
        if not self.expected.sum() > 0:
            self._refuse(part)

    def _refuse(self, part: str) -> None:
        found = "no event of it falls inside the reconstructed axes"
        raise InputError("simulate", part, found, "a source that the field sees", "move the field, or leave it out")


class _Background:
    """Draws events of the residual background."""

    def __init__(
        self, observation: EventObservation, irfs: Sequence[Irf], rates: Sequence[NDArray[np.float64]]
    ) -> None:
        self.observation, self.irfs, self.rates = observation, irfs, rates
        times = [pointing.live_time_s for pointing in observation.pointings]
        self.expected = np.array([rate.sum() * time for rate, time in zip(rates, times, strict=True)])

    def draw_detected(self, count: int, part: str, streams: Streams) -> tuple[tuple[Draw, NDArray[np.int64]], int]:
        """Return exactly ``count`` events; background outside the axes is never drawn."""
        if not self.expected.sum() > 0:
            wanted = "a response with background"
            raise InputError("simulate", part, "no background in the field", wanted, "leave it out")
        return _join(
            [self._draw(start, min(BLOCK, count - start), part, streams) for start in range(0, count, BLOCK)]
        ), 0

    def _draw(self, start: int, count: int, part: str, streams: Streams) -> tuple[Draw, NDArray[np.int64]]:
        places = draw_shares(streams(part, "places"), start, count, 1)[0]
        pointing = choose_pointings(self.expected, start, count, part, streams)
        columns, axes = np.empty((len(Draw._fields), count)), self.observation.reconstructed
        rounds: dict[int, NDArray[np.float64]] = {}
        for number in np.unique(pointing):
            rows = np.flatnonzero(pointing == number)

            def again(time: int, rows: NDArray[np.int64] = rows) -> NDArray[np.float64]:
                if time not in rounds:
                    rounds[time] = draw_shares(streams(part, "events", str(time)), start, count, 4)
                return rounds[time][:, rows]

            place, rates = self.observation.pointings[number], self.rates[number]
            columns[:, rows] = draw_background(self.irfs[number], axes, place, rates, places[rows], again)
        return Draw(*columns), pointing

    def draw_physical(self, norm: float, part: str, streams: Streams) -> tuple[tuple[Draw, NDArray[np.int64]], int]:
        """Return what ``norm`` times the declared background sends into the axes."""
        count = int(streams(part, "number").poisson(norm * self.expected.sum()))
        return self.draw_detected(count, part, streams)


def choose_pointings(
    expected: NDArray[np.float64], start: int, count: int, part: str, streams: Streams
) -> NDArray[np.int64]:
    """Return the pointing of events ``start`` and following, (count,), by what each expects, (pointing,)."""
    return find_cells(np.cumsum(expected), draw_shares(streams(part, "pointings"), start, count, 1)[0])


def _join(parts: list[tuple[Draw, NDArray[np.int64]]]) -> tuple[Draw, NDArray[np.int64]]:
    if not parts:
        return Draw(*(np.zeros(0) for _ in Draw._fields)), np.zeros(0, np.int64)
    return Draw.join([draw for draw, _ in parts]), np.concatenate([pointing for _, pointing in parts])
