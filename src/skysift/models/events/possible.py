"""Events that no source of a run allows: named before anybody fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.models.events.rows import Column, Rows

__all__ = ["check_possible"]


def check_possible(
    columns: Mapping[str, Column],
    rows: Rows,
    start: int,
    events: EventList,
    observation: EventObservation,
    responses: Sequence[AnyResponse],
    place: Path,
) -> None:
    """Refuse events whose density is zero under every source.

    Parameters
    ----------
    columns : of all sources
    rows : where densities were wanted
    start : number of the first row among all rows of the list
    events : the list that the rows are of
    observation : axes and pointings
    responses : of each pointing
    place : file of the events

    Raises
    ------
    InputError : names the first such event, and says where the response ends if it lies beyond
    """
    possible = np.zeros(len(rows.counts), dtype=bool)
    for column in columns.values():
        possible |= _find_lit(column)
    wrong = np.flatnonzero(~possible)
    if not len(wrong):
        return
    row = _find_event(int(wrong[0]), rows, start, events, observation)
    response, pointing = responses[events.pointing[row]], observation.pointings[events.pointing[row]]
    offset = float(pointing.offset_deg(events.lon[row], events.lat[row]))
    low, high = response.irf.background_model.energy.edges[[0, -1]]
    is_beyond = offset > response.irf.offset_max_deg or not low <= events.energy[row] <= high
    ends = f"; its tables end at {response.irf.offset_max_deg:g} deg, {low:.3g} and {high:.3g} TeV" if is_beyond else ""
    found = (
        f"{rows.counts[wrong].sum():.0f} that no source allows, the first is row {row}: {events.energy[row]:.4g} TeV, "
        f"l {events.lon[row]:.4f}, b {events.lat[row]:.4f} deg, {offset:.3f} deg from the pointing{ends}"
    )
    remedy = "make observation.reconstructed smaller, or add a component {instrument: outlier}"
    raise InputError(place, "events", found, "events that some source allows", remedy)


def _find_lit(column: Column) -> NDArray[np.bool_]:
    """Return in which rows a source can be seen at all, (n,)."""
    if column.kind in ("map", "field"):
        return np.asarray(np.diff(column.density.indptr) > 0)  # type: ignore[union-attr]  # these are sparse
    density = np.asarray(column.density)
    return np.asarray(density > 0 if density.ndim == 1 else (density > 0).any(axis=1))


def _find_event(wrong: int, rows: Rows, start: int, events: EventList, observation: EventObservation) -> int:
    """Return the row of the first event in a row of densities: its own, or the first in its bin."""
    if rows.energy is not None:
        return start + wrong
    bins = observation.reconstructed.find(events.energy, events.lon, events.lat)
    return int(np.flatnonzero((bins == rows.bins[wrong]) & (events.pointing == rows.pointing[wrong]))[0])
