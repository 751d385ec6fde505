"""``skysift marginalise``: the density of every source at the events of one chunk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import config_digest, load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.columns import Rows, marginalise
from skysift.models.events.marginals import Marginals, write_marginals
from skysift.steps.events.sources import open_responses, read_responses
from skysift.storage.hdf5 import check_writable, collect
from skysift.storage.provenance import digest_file

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["ROWS_PER_BLOCK", "run"]

#: Chunks begin at multiples of this, so that every matrix product has the same rows whatever the number of chunks.
ROWS_PER_BLOCK = 4096


def run(config: Path, observation: Path, response: Sequence[Path], data: Path, chunk: str, out: Path) -> None:
    """Write the marginals of one chunk of events.

    Parameters
    ----------
    config : slice ``marginalise`` of the configuration
    observation : file of format ``event_observation``
    response : files of format ``response``, one per pointing
    data : file of format ``events``
    chunk : ``0/8`` is the first of eight
    out : file of format ``marginals``

    Raises
    ------
    InputError : inputs that do not belong together, or events outside the axes
    """
    check_writable(out)
    settings = load_slice(config, "events/marginalise")
    number, count = _read_chunk(chunk)
    looked_at, events = read_event_observation(observation), read_events(data)
    _check_inside(events, looked_at, data)
    if len(response) != len(looked_at.pointings):
        wanted = f"{len(looked_at.pointings)}, one per pointing"
        raise InputError(config, "--response", f"{len(response)} files", wanted, "name the response of each pointing")
    irfs = open_responses(looked_at, observation)
    responses = read_responses(response, irfs, looked_at)
    pairs = list(zip(responses, looked_at.pointings, strict=True))
    background = {k: part.background_counts() * pointing.live_time_s for k, (part, pointing) in enumerate(pairs)}
    rows = Rows.of(events, looked_at, binned=settings.binned)
    start, stop = chunk_range(len(rows.counts), number, count)
    rows = rows.take(start, stop)
    seen = np.zeros(int(np.prod(looked_at.reconstructed.shape)))
    np.add.at(seen, rows.bins, rows.counts)
    columns = {
        name: marginalise(component, looked_at.lights.get(name), rows, looked_at, responses, background)
        for name, component in settings.sources.items()
    }
    marginals = Marginals(
        data=events.name,
        counts=rows.counts,
        pointing=rows.pointing,
        columns=columns,
        seen=seen.reshape(looked_at.reconstructed.shape),
        chunk=(number, count),
        digests={
            "events": digest_file(data),
            "responses": [part.digest for part in responses],
            "sources": {name: config_digest(component.source) for name, component in settings.sources.items()},
        },
        truth=events.truth,
        warnings=(*looked_at.warnings, *events.warnings),
    )
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, *response])
    write_marginals(out, marginals, provenance)


def _read_chunk(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise InputError(
            "command line", "--chunk", text, "a chunk of a number of chunks, from 0", "write for example 0/1"
        )
    return int(match[1]), int(match[2])


def chunk_range(rows: int, number: int, count: int) -> tuple[int, int]:
    """Return first row and row after the last one of a chunk: whole blocks of 4096 rows.

    Examples
    --------
    >>> [chunk_range(10000, k, 2) for k in range(2)]
    [(0, 8192), (8192, 10000)]
    """
    blocks = -(-rows // ROWS_PER_BLOCK)
    first, last = -(-blocks * number // count), -(-blocks * (number + 1) // count)
    return min(first * ROWS_PER_BLOCK, rows), min(last * ROWS_PER_BLOCK, rows)


def _check_inside(events: EventList, looked_at: EventObservation, place: Path) -> None:
    outside = np.flatnonzero(looked_at.reconstructed.find(events.energy, events.lon, events.lat) < 0)
    if len(outside):
        row = int(outside[0])
        found = f"row {row}: {events.energy[row]:g} TeV, l {events.lon[row]:g} deg, b {events.lat[row]:g} deg"
        raise InputError(
            place, "events", f"{len(outside)} outside the axes, the first is {found}", "events inside the axes",
            "make the events again with this observation",
        )  # fmt: skip
