"""``skysift marginalise``: the density of every source at the events of one chunk."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.config import config_digest, load_slice
from skysift.config.code import code_digest
from skysift.errors import InputError
from skysift.instruments.ctao.digest import digest_light, digest_observation
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.columns import Column, Rows, kind_of, marginalise, marginalise_together
from skysift.models.events.marginals import Marginals, read_marginals, write_marginals
from skysift.models.events.possible import check_possible
from skysift.steps.events.sources import open_responses, read_responses
from skysift.storage.hdf5 import check_writable, collect
from skysift.storage.provenance import digest_bytes, digest_file

if TYPE_CHECKING:
    from skysift.config.events.slices import MarginaliseSlice
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["ROWS_PER_BLOCK", "marginalise_events", "run"]

#: Chunks begin at multiples of this, so that every matrix product has the same rows whatever the number of chunks.
ROWS_PER_BLOCK = 4096


def run(config: Path, observation: Path, response: Sequence[Path], data: Path, chunk: str, out: Path) -> None:
    """Write the marginals of one chunk of events.

    Where the file is already there, columns of sources that did not change since are taken over.

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
    part = _read_chunk(chunk)
    looked_at, events = read_event_observation(observation), read_events(data)
    if len(response) != len(looked_at.pointings):
        wanted = f"{len(looked_at.pointings)}, one per pointing"
        raise InputError(config, "--response", f"{len(response)} files", wanted, "name the response of each pointing")
    responses = read_responses(response, open_responses(looked_at, observation), looked_at)
    marginals = marginalise_events(settings, looked_at, data, events, responses, part, out)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, *response])
    write_marginals(out, marginals, provenance)


def marginalise_events(
    settings: MarginaliseSlice,
    looked_at: EventObservation,
    data: Path,
    events: EventList,
    responses: Sequence[AnyResponse],
    chunk: tuple[int, int] = (0, 1),
    earlier: Path | None = None,
) -> Marginals:
    """Return the marginals of one chunk.

    Parameters
    ----------
    settings : sources, and whether events are counted in bins first
    looked_at : axes, pointings and lights
    data, events : the file of the events and what is in it
    responses : of each pointing
    chunk : its number and the number of all chunks
    earlier : file of which columns are taken over, if it is there

    Raises
    ------
    InputError : events outside the axes, or that no source allows
    """
    _check_inside(events, looked_at, data)
    pairs = enumerate(zip(responses, looked_at.pointings, strict=True))
    background = {k: response.background_counts() * pointing.live_time_s for k, (response, pointing) in pairs}
    rows = Rows.of(events, looked_at, binned=settings.binned)
    start, stop = chunk_range(len(rows.counts), *chunk)
    rows = rows.take(start, stop)
    seen = np.zeros(int(np.prod(looked_at.reconstructed.shape)))
    np.add.at(seen, rows.bins, rows.counts)
    digests = _digest_inputs(settings, looked_at, data, responses)
    columns = {} if earlier is None else _find_known(earlier, chunk, rows, digests)
    found = len(columns)
    known = {
        name: looked_at.lights[name]
        for name, component in settings.sources.items()
        if name not in columns and component.sky is not None and kind_of(component) == "fixed"
    }
    columns |= marginalise_together(known, rows, looked_at, responses)
    for name, component in settings.sources.items():
        if name not in columns:
            light = looked_at.lights.get(name)
            columns[name] = marginalise(component, light, rows, looked_at, responses, background)
    check_possible(columns, rows, start, events, looked_at, responses, data)
    print(f"{len(columns) - found} columns computed, {found} taken over", file=sys.stderr)
    return Marginals(
        data=events.name,
        counts=rows.counts,
        pointing=rows.pointing,
        columns={name: columns[name] for name in settings.sources},
        seen=seen.reshape(looked_at.reconstructed.shape),
        chunk=chunk,
        digests=digests,
        truth=events.truth,
        warnings=(*looked_at.warnings, *events.warnings),
    )


def _digest_inputs(
    settings: MarginaliseSlice, looked_at: EventObservation, data: Path, responses: Sequence[AnyResponse]
) -> dict[str, Any]:
    """Return what tells whether marginals of different chunks, or of an earlier run, belong together."""
    sources = {
        name: digest_bytes(f"{config_digest(component.source)} {digest_light(looked_at.lights.get(name))}".encode())
        for name, component in settings.sources.items()
    }
    return {
        "code": code_digest("events/marginalise"),
        "events": digest_file(data),
        "observation": digest_observation(looked_at),
        "responses": [response.digest for response in responses],
        "binned": settings.binned,
        "sources": sources,
    }


def _find_known(out: Path, chunk: tuple[int, int], rows: Rows, digests: Mapping[str, Any]) -> dict[str, Column]:
    """Return the columns of an earlier result that the same code made of the same events, responses and source."""
    if not out.is_file():
        return {}
    try:
        old = read_marginals(out)
    except InputError:
        return {}
    is_same = all(old.digests.get(name) == own for name, own in digests.items() if name != "sources")
    if old.chunk != chunk or len(old.counts) != len(rows.counts) or not is_same:
        return {}
    sources = old.digests["sources"]
    return {name: old.columns[name] for name, own in digests["sources"].items() if sources.get(name) == own}


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
