"""Event lists in the format of gamma-astro-data-formats (GADF): read, checked, cut to the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.ctao.event_header import EventHeader, check_names, read_event_header, to_galactic
from skysift.instruments.ctao.event_list import UNKNOWN, EventList
from skysift.instruments.ctao.event_table import EventTable
from skysift.instruments.ctao.extension import covered_energies_tev
from skysift.storage.fits import read_table_unit

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Pointing

__all__ = ["GadfEvents", "import_events", "read_gadf"]

Array = NDArray[np.float64]
TIME_TOLERANCE = 0.01
POINTING_TOLERANCE_DEG = 0.1


@dataclass(frozen=True, eq=False)
class GadfEvents:
    """One event list as a file has it: TeV, Galactic deg, and what its header says.

    Parameters
    ----------
    header : pointing, live time, names of components
    energy, lon, lat : (n,), reconstructed
    true_energy, true_lon, true_lat : (n,), NaN where the file is silent
    component : (n,), MC_ID: number of the component that was simulated, -1 where the file is silent
    event_id : (n,), EVENT_ID
    time : (n,), s since 2000-01-01 12:00, NaN where the file is silent
    """

    header: EventHeader
    energy: Array
    lon: Array
    lat: Array
    true_energy: Array
    true_lon: Array
    true_lat: Array
    component: NDArray[np.int64]
    event_id: NDArray[np.int64]
    time: Array

    @property
    def place(self) -> Path:
        """The file."""
        return self.header.place


def read_gadf(header: EventHeader | str | Path) -> GadfEvents:
    """Read an event list.

    Parameters
    ----------
    header : of `skysift.instruments.ctao.event_header.read_event_header`, or the FITS file

    Raises
    ------
    InputError : no events, pointing or live time; NaN, text, angles that are none, unknown units, a damaged file
    """
    header = header if isinstance(header, EventHeader) else read_event_header(header)
    check_names(header)
    table = EventTable(header.place, read_table_unit(header.place, header.unit))
    energy = table.column("ENERGY", "TeV")
    if energy.min() <= 0:
        row = int(np.argmin(energy))
        raise table.refuse("ENERGY", f"row {row}: {energy[row]:g} TeV", "energies above 0", "remove the row")
    lon, lat = to_galactic(table.angles("RA"), table.angles("DEC"), header.frame)
    true = np.full((3, len(energy)), np.nan)
    if {"ENERGY_TRUE", "RA_TRUE", "DEC_TRUE"} <= set(table.names):
        true[0] = table.column("ENERGY_TRUE", "TeV", is_gap_allowed=True)
        ra, dec = (table.angles(name, is_gap_allowed=True) for name in ("RA_TRUE", "DEC_TRUE"))
        known = np.isfinite(ra) & np.isfinite(dec)
        true[1:, known] = to_galactic(ra[known], dec[known], header.frame)
    time = np.full(len(energy), np.nan)
    if "TIME" in table.names:
        time = table.times(header.reference_s)
    event_id = table.numbers("EVENT_ID", np.arange(len(energy)))
    component = table.numbers("MC_ID", np.full(len(energy), UNKNOWN))
    return GadfEvents(header, energy, lon, lat, true[0], true[1], true[2], component, event_id, time)


def import_events(
    lists: Sequence[GadfEvents], observation: EventObservation, name: str, irfs: Sequence[Irf] = ()
) -> EventList:
    """Return the events of all pointings that lie within the axes; the others are counted.

    Parameters
    ----------
    lists : one per pointing, in their order
    observation : axes and pointings
    name : of the data set
    irfs : response of each pointing, whose tables must reach the energies of the events

    Raises
    ------
    InputError : another pointing or live time than the configuration has, energies off the tables of the response, or
        no event within the axes
    """
    kept, outside = [], 0
    for number, (events, pointing) in enumerate(zip(lists, observation.pointings, strict=True)):
        _compare(events, pointing)
        inside = observation.reconstructed.find(events.energy, events.lon, events.lat) >= 0
        if irfs:
            _check_energies(events, inside, irfs[number])
        kept.append(inside)
        outside += int((~inside).sum())
    if not sum(int(inside.sum()) for inside in kept):
        found = f"{outside} events, all outside"
        raise InputError(lists[0].place, "events", found, "events within the axes", "look at observation.reconstructed")

    def join(column: str) -> Any:  # noqa: ANN401 - numbers of one kind
        return np.concatenate([getattr(events, column)[inside] for events, inside in zip(lists, kept, strict=True)])

    columns = ("energy", "lon", "lat", "true_energy", "true_lon", "true_lat", "event_id", "time")
    names = list(dict.fromkeys(label for events in lists for label in _names(events)))
    component = [_number_components(events, names)[inside] for events, inside in zip(lists, kept, strict=True)]
    return EventList(
        name,
        **{column: join(column) for column in columns},
        pointing=np.repeat(np.arange(len(lists)), [int(inside.sum()) for inside in kept]),
        component=np.concatenate(component),
        components=tuple(names),
        outside={"observed": outside},
    )


def _names(events: GadfEvents) -> list[str]:
    return [events.header.components[number] for number in sorted(events.header.components)]


def _number_components(events: GadfEvents, names: list[str]) -> NDArray[np.int64]:
    """Return the place of each event's component among the names; MC_ID as it stands where the header names none."""
    if not names:
        return events.component
    numbers = np.full(len(events.component), UNKNOWN)
    for own, label in events.header.components.items():
        numbers[events.component == own] = names.index(label)
    return numbers


def _compare(events: GadfEvents, pointing: Pointing) -> None:
    lon, lat = events.header.pointing_deg
    if pointing.offset_deg(lon, lat) > POINTING_TOLERANCE_DEG:
        found = f"l {lon:.3f}, b {lat:.3f} deg"
        wanted = f"l {pointing.lon_deg:g}, b {pointing.lat_deg:g} deg, as in observation.pointings"
        raise InputError(events.place, "RA_PNT, DEC_PNT", found, wanted, "correct the pointing, or the order of lists")
    if abs(events.header.live_time_s / pointing.live_time_s - 1) > TIME_TOLERANCE:
        found, wanted = f"{events.header.live_time_s:g} s", f"{pointing.live_time_s:g} s, as in observation.pointings"
        raise InputError(events.place, "LIVETIME", found, wanted, "correct the time of the pointing")


def _check_energies(events: GadfEvents, inside: NDArray[np.bool_], irf: Irf) -> None:
    """Refuse events within the axes whose energies the tables of area or background do not reach."""
    low, high = covered_energies_tev(irf)
    off = np.flatnonzero(inside & ((events.energy < low) | (events.energy >= high)))
    if len(off):
        raise InputError(
            events.place, "EVENTS, column ENERGY",
            f"{len(off)} events, the first in row {off[0]}: {events.energy[off[0]]:g} TeV",
            f"energies from {low:g} to {high:g} TeV, as the tables of {irf.name} reach",
            "narrow observation.reconstructed.energy, or write observation.extrapolate: nearest",
        )  # fmt: skip
