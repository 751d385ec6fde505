"""What can be known of an observation before any work: its pointings, their numbers of events, their responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skysift.errors import InputError
from skysift.instruments.ctao.event_header import EventHeader, read_event_header
from skysift.instruments.ctao.pointing import Pointing
from skysift.instruments.ctao.response_source import ANALYTIC, Parts, find_response_files, name_stored
from skysift.instruments.ctao.store import StoredObservation, read_store
from skysift.instruments.ctao.zenith import zenith_weights
from skysift.storage.provenance import digest_file

if TYPE_CHECKING:
    from skysift.config.events import EventObservation
    from skysift.instruments.ctao.files import Finder

__all__ = ["PLAN_VERSION", "PlannedPointing", "plan_pointings", "plan_responses"]

#: Rises with every change of what a response is made of.
PLAN_VERSION = 2


@dataclass(frozen=True)
class PlannedPointing:
    """One pointing.

    Parameters
    ----------
    pointing : where and for how long
    response : names of responses and their weights
    events : header of its observed list; None where events are simulated
    """

    pointing: Pointing
    response: Parts
    events: EventHeader | None = None

    @property
    def rows(self) -> int:
        """Number of observed events, those outside the axes included."""
        return 0 if self.events is None else self.events.rows


def plan_pointings(observation: EventObservation, find: Finder) -> list[PlannedPointing]:
    """Return the pointings that a configuration states, or those of its event lists, whose headers are read.

    Parameters
    ----------
    observation : section of the configuration
    find : finds event lists and the index of a store

    Raises
    ------
    InputError : a list that is absent or damaged, has no events, pointing or live time, or no zenith angle where the
        response depends on it
    """
    events = observation.events
    headers: list[EventHeader] = []
    stored: list[StoredObservation | None] = []
    if events.store is None:
        headers = [read_event_header(find(name, "events")) for name in events.files]
        stored = [None] * len(headers)
    else:
        found = read_store(events.store, events.observations)
        tables = [entry.table("events") for entry in found]
        headers = [read_event_header(find(str(table.place), "events"), table.hdu) for table in tables]
        stored = [*found]
    if observation.pointings:
        stated = observation.pointings
        seen = [Pointing(part.lon_deg, part.lat_deg, part.time_s) for part in stated]
        parts = [_choose(observation, part.irf, part.zenith_deg, None) for part in stated]
        own: Sequence[EventHeader | None] = headers or [None] * len(seen)
    else:
        seen = [Pointing(*header.pointing_deg, header.live_time_s) for header in headers]
        pairs = zip(headers, stored, strict=True)
        parts = [_choose(observation, None, header.zenith_deg, entry, header) for header, entry in pairs]
        own = headers
    return [PlannedPointing(*row) for row in zip(seen, parts, own, strict=True)]


def _choose(
    observation: EventObservation,
    own: str | None,
    zenith_deg: float | None,
    stored: StoredObservation | None,
    header: EventHeader | None = None,
) -> Parts:
    """Return the response of one pointing: its own, that of all, or that of the store."""
    if own is not None or isinstance(observation.irf, str):
        return ((own or str(observation.irf), 1.0),)
    if isinstance(observation.irf, list):
        if zenith_deg is None:
            place = "configuration" if header is None else header.place
            raise InputError(place, "ZEN_PNT", "none", "the zenith angle", "add the card, or take one response file")
        weights = zenith_weights(zenith_deg, [part.zenith_deg for part in observation.irf])
        return tuple((part.file, weight) for part, weight in zip(observation.irf, weights, strict=True))
    if stored is None:
        raise InputError("configuration", "observation.irf", "none", "a response", "write irf: <file>")
    return ((name_stored(stored), 1.0),)


def plan_responses(observation: EventObservation, planned: Sequence[PlannedPointing], find: Finder) -> list[str]:
    """Return 16 hexadecimal digits for each pointing that name its response: equal digits, equal response.

    Parameters
    ----------
    observation : section of the configuration
    planned : its pointings
    find : finds response files

    Raises
    ------
    InputError : the file of a response is nowhere
    """
    names = dict.fromkeys(name for part in planned for name, weight in part.response if weight > 0)
    digests = {name: [digest_file(path) for path in find_response_files(name, find)] or ANALYTIC for name in names}

    def made_of(part: PlannedPointing) -> Any:  # noqa: ANN401 - plain values
        place = [part.pointing.lon_deg, part.pointing.lat_deg]
        return [place, [[digests[name], weight] for name, weight in part.response if weight > 0]]

    # margins are as wide as the widest point-spread function that any pointing has
    everyone = [made_of(part) for part in planned]
    settings = observation.model_dump(mode="json", exclude={"irf", "pointings", "events", "background"})
    content = {"version": PLAN_VERSION, "pointings": everyone, "settings": settings}
    return [
        hashlib.sha256(json.dumps({"own": own, **content}, sort_keys=True).encode()).hexdigest()[:16]
        for own in everyone
    ]
