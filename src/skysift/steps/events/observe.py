"""``skysift observe``, events: the observed event lists of all pointings, cut to the axes."""

from __future__ import annotations

import sys
from pathlib import Path

from skysift.config import OBSERVED, load_slice
from skysift.instruments.ctao.event_list import write_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.gadf import import_events, read_gadf
from skysift.instruments.ctao.plan import plan_pointings
from skysift.steps.events.sources import Finder, open_responses
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]


def run(config: Path, observation: Path, out: Path) -> None:
    """Write the observed events.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    observation : file of format ``event_observation``
    out : file of format ``events``

    Raises
    ------
    InputError : a list that is absent or damaged, belongs to another pointing, or holds energies off the tables of the
        response
    """
    check_writable(out)
    settings = load_slice(config, "events/observation")
    looked_at, find = read_event_observation(observation), Finder(config)
    headers = [part.events for part in plan_pointings(settings.observation, find) if part.events is not None]
    lists = [read_gadf(header) for header in headers]
    events = import_events(lists, looked_at, OBSERVED, open_responses(looked_at, observation))
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, *find.used])
    write_events(out, events, provenance, {"responses": [response.sha256 for response in looked_at.responses]})
    print(f"{len(events)} events within the axes, {events.outside['observed']} outside", file=sys.stderr)
