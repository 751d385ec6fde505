"""Lists of events, and how they are kept in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.storage.hdf5 import Dataset, Field, read, write

if TYPE_CHECKING:
    from skysift.storage.hdf5 import Provenance

__all__ = ["UNKNOWN", "EventList", "read_events", "write_events"]

UNKNOWN = -1
Array = NDArray[np.float64]
_COLUMNS = {
    "energy": ("TeV", "reconstructed energy"),
    "lon": ("deg", "reconstructed Galactic longitude"),
    "lat": ("deg", "reconstructed Galactic latitude"),
    "true_energy": ("TeV", "true energy, NaN for background and where unknown"),
    "true_lon": ("deg", "true Galactic longitude, NaN for background and where unknown"),
    "true_lat": ("deg", "true Galactic latitude, NaN for background and where unknown"),
    "time": ("s", "time since 2000-01-01 12:00 (TT), NaN where unknown"),
}
_NUMBERS = {
    "pointing": "number of the pointing",
    "component": "number of the component, -1 where unknown",
    "event_id": "number of the event, as its list has it",
}


@dataclass(frozen=True, eq=False)
class EventList:
    """Events of all pointings of one data set, those within the reconstructed axes alone.

    Parameters
    ----------
    name : of the data set
    energy, lon, lat : (n,), reconstructed; TeV, deg, deg
    true_energy, true_lon, true_lat : (n,), NaN where unknown
    pointing : (n,), number of the pointing
    component : (n,), number of the component that sent it, -1 where unknown
    components : names of the components
    outside : events that fell outside the axes, by component (or ``observed``)
    truth : what they were drawn from: ``counts``, ``fractions``, ``norms``, ``parameters``, each by name
    warnings : what a reader of the results must know
    event_id : (n,), as the list has it; by default numbered from 0
    time : (n,), s; by default NaN, unknown
    """

    name: str
    energy: Array
    lon: Array
    lat: Array
    true_energy: Array
    true_lon: Array
    true_lat: Array
    pointing: NDArray[np.int64]
    component: NDArray[np.int64]
    components: tuple[str, ...] = ()
    outside: Mapping[str, int] = field(default_factory=dict)
    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    event_id: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    time: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Fill in what nobody stated."""
        if len(self.event_id) != len(self.energy):
            object.__setattr__(self, "event_id", np.arange(len(self.energy)))
        if len(self.time) != len(self.energy):
            object.__setattr__(self, "time", np.full(len(self.energy), np.nan))

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.energy)

    def rows(self, start: int, stop: int) -> EventList:
        """Return the events of some rows."""
        cut = slice(start, stop)
        columns = {name: getattr(self, name)[cut] for name in (*_COLUMNS, *_NUMBERS)}
        kept = {name: getattr(self, name) for name in ("components", "outside", "truth", "warnings")}
        return EventList(self.name, **columns, **kept)


def write_events(path: Path, events: EventList, provenance: Provenance, attributes: Mapping[str, Any]) -> None:
    """Write events as a file of format ``events``; ``attributes`` say to which observation they belong."""
    datasets = {name: Dataset(getattr(events, name), unit, text, ("event",)) for name, (unit, text) in _COLUMNS.items()}
    datasets |= {name: Dataset(getattr(events, name), "", text, ("event",)) for name, text in _NUMBERS.items()}
    own = {
        "data": events.name, "components": list(events.components), "outside": dict(events.outside),
        "truth": {name: dict(part) for name, part in events.truth.items()}, "warnings": list(events.warnings),
    }  # fmt: skip
    write(path, format="events", datasets=datasets, attributes={**own, **attributes}, provenance=provenance)


def read_events(path: Path) -> EventList:
    """Read a file of format ``events``.

    Raises
    ------
    InputError : not such a file, or damaged
    """
    wanted: dict[str, Field] = {name: Field(unit, "f", 1) for name, (unit, _) in _COLUMNS.items()}
    wanted |= {name: Field("", "i", 1) for name in _NUMBERS}
    file = read(path, format="events", wanted=wanted)
    own = file.attributes
    return EventList(
        name=str(own["data"]),
        **{name: file[name] for name in wanted},
        components=tuple(own["components"]),
        outside=own["outside"],
        truth=own["truth"],
        warnings=list(own["warnings"]),
    )
