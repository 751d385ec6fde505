"""Event lists in the format of gamma-astro-data-formats (GADF), read and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.ctao.event_list import UNKNOWN, EventList
from skysift.storage.atomic import replace_when_done
from skysift.storage.fits import Unit, card, find_unit, read_table_unit, scan_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.pointing import Pointing

__all__ = ["GadfEvents", "import_events", "read_gadf", "write_gadf"]

Array = NDArray[np.float64]
TIME_TOLERANCE = 0.01
POINTING_TOLERANCE_DEG = 0.1
_REFERENCE = {"MJDREFI": 51544, "MJDREFF": 0.5, "TIMEUNIT": "s", "TIMESYS": "TT", "TIMEREF": "LOCAL"}


@dataclass(frozen=True, eq=False)
class GadfEvents:
    """One event list as a file has it: TeV, Galactic deg, and where the telescope looked.

    Parameters
    ----------
    place : the file
    energy, lon, lat : (n,), reconstructed
    true_energy, true_lon, true_lat : (n,), NaN where the file is silent
    source : (n,), number of the component that was simulated, -1 where the file is silent
    pointing_deg : Galactic longitude and latitude
    live_time_s : LIVETIME
    """

    place: Path
    energy: Array
    lon: Array
    lat: Array
    true_energy: Array
    true_lon: Array
    true_lat: Array
    source: NDArray[np.int64]
    pointing_deg: tuple[float, float]
    live_time_s: float


def read_gadf(path: str | Path) -> GadfEvents:
    """Read an event list.

    Parameters
    ----------
    path : FITS file with an EVENTS table

    Raises
    ------
    InputError : no events, pointing or live time; NaN, unknown units, a damaged file
    """
    place = Path(path)
    unit = find_unit(scan_units(place, "events"), "EVENTS", place)
    rows = read_table_unit(place, unit)
    if not len(rows):
        raise InputError(place, "EVENTS", "no rows", "one event or more", "name another event list")
    energy = _column(rows, unit, place, "ENERGY", "TeV")
    if energy.min() <= 0:
        row = int(np.argmin(energy))
        raise InputError(
            place, "EVENTS, column ENERGY", f"row {row}: {energy[row]:g} TeV", "energies above 0", "remove the row"
        )
    lon, lat = _galactic(_column(rows, unit, place, "RA", "deg"), _column(rows, unit, place, "DEC", "deg"))
    silent = np.full(len(rows), np.nan)
    true_energy, true_lon, true_lat = silent, silent.copy(), silent.copy()
    known = {name.upper() for name in rows.names}
    if {"ENERGY_TRUE", "RA_TRUE", "DEC_TRUE"} <= known:
        true_energy = _column(rows, unit, place, "ENERGY_TRUE", "TeV", finite=False)
        ra, dec = (_column(rows, unit, place, name, "deg", finite=False) for name in ("RA_TRUE", "DEC_TRUE"))
        there = np.isfinite(ra) & np.isfinite(dec)
        true_lon[there], true_lat[there] = _galactic(ra[there], dec[there])
    source = np.asarray(rows["MC_ID"], dtype=np.int64) if "MC_ID" in known else np.full(len(rows), UNKNOWN)
    header = {name: _number(unit, place, name) for name in ("RA_PNT", "DEC_PNT", "LIVETIME")}
    if header["LIVETIME"] <= 0:
        raise InputError(place, "LIVETIME", header["LIVETIME"], "a time above 0 s", "correct the card")
    towards = _galactic(np.array([header["RA_PNT"]]), np.array([header["DEC_PNT"]]))
    pointing = (float(towards[0][0]), float(towards[1][0]))
    columns = (energy, lon, lat, true_energy, true_lon, true_lat)
    return GadfEvents(place, *columns, source, pointing, header["LIVETIME"])


def _column(rows: Any, unit: Unit, place: Path, name: str, wanted: str, *, finite: bool = True) -> Array:  # noqa: ANN401
    from astropy import units

    names = {column.upper(): column for column in rows.names}
    if name not in names:
        raise InputError(
            place, "EVENTS", f"no column {name}", "columns ENERGY, RA, DEC", "write the list as GADF has it"
        )
    values: Array = np.asarray(rows[names[name]], dtype=np.float64)
    stated = rows.columns[names[name]].unit
    try:
        values = values * float(units.Unit(stated or "").to(wanted))
    except (ValueError, TypeError, units.UnitsError) as error:
        found = f"unit {stated!r}"
        raise InputError(place, f"EVENTS, column {name}", found, f"a unit like {wanted}", "state the unit") from error
    if finite and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(
            place, f"EVENTS, column {name}", f"row {row}: {values[row]}", "finite numbers", "remove the row"
        )
    return values


def _number(unit: Unit, place: Path, name: str) -> float:
    value = card(unit.header, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(place, f"EVENTS, card {name}", value, "a number", "add it to the header of the list")
    return float(value)


def _galactic(ra_deg: Array, dec_deg: Array) -> tuple[Array, Array]:
    from astropy.coordinates import SkyCoord

    place = SkyCoord(ra_deg, dec_deg, unit="deg", frame="icrs").galactic
    return np.asarray(place.l.deg, dtype=np.float64), np.asarray(place.b.deg, dtype=np.float64)


def _equatorial(lon_deg: Array, lat_deg: Array) -> tuple[Array, Array]:
    from astropy.coordinates import SkyCoord

    place = SkyCoord(l=lon_deg, b=lat_deg, unit="deg", frame="galactic").icrs
    return np.asarray(place.ra.deg, dtype=np.float64), np.asarray(place.dec.deg, dtype=np.float64)


def import_events(lists: Sequence[GadfEvents], observation: EventObservation, name: str) -> EventList:
    """Return the events of all pointings that lie within the axes; the others are counted.

    Parameters
    ----------
    lists : one per pointing, in their order
    observation : axes and pointings
    name : of the data set

    Raises
    ------
    InputError : another pointing or live time than the configuration has, or no event within the axes
    """
    kept, outside = [], 0
    for events, pointing in zip(lists, observation.pointings, strict=True):
        _compare(events, pointing)
        inside = observation.reconstructed.find(events.energy, events.lon, events.lat) >= 0
        kept.append(inside)
        outside += int((~inside).sum())
    if not sum(int(inside.sum()) for inside in kept):
        found = f"{outside} events, all outside"
        raise InputError(lists[0].place, "events", found, "events within the axes", "look at observation.reconstructed")

    def join(column: str) -> Any:  # noqa: ANN401 - numbers of one kind
        return np.concatenate([getattr(events, column)[inside] for events, inside in zip(lists, kept, strict=True)])

    pointings = np.repeat(np.arange(len(lists)), [int(inside.sum()) for inside in kept])
    columns = {column: join(column) for column in ("energy", "lon", "lat", "true_energy", "true_lon", "true_lat")}
    return EventList(name, **columns, pointing=pointings, component=join("source"), outside={"observed": outside})


def _compare(events: GadfEvents, pointing: Pointing) -> None:
    apart = pointing.offset_deg(*events.pointing_deg)
    if apart > POINTING_TOLERANCE_DEG:
        found = f"l {events.pointing_deg[0]:.3f}, b {events.pointing_deg[1]:.3f} deg"
        wanted = f"l {pointing.lon_deg:g}, b {pointing.lat_deg:g} deg, as in observation.pointings"
        raise InputError(events.place, "RA_PNT, DEC_PNT", found, wanted, "correct the pointing, or the order of lists")
    if abs(events.live_time_s / pointing.live_time_s - 1) > TIME_TOLERANCE:
        found, wanted = f"{events.live_time_s:g} s", f"{pointing.live_time_s:g} s, as in observation.pointings"
        raise InputError(events.place, "LIVETIME", found, wanted, "correct the time of the pointing")


def write_gadf(path: Path, events: EventList, number: int, pointing: Pointing) -> None:
    """Write the events of one pointing, with true coordinates where they are known.

    Parameters
    ----------
    path : FITS file
    events : of all pointings
    number, pointing : the one to write
    """
    from astropy.io import fits

    own = events.pointing == number
    ra, dec = _equatorial(events.lon[own], events.lat[own])
    true = np.isfinite(events.true_lon[own])
    true_ra, true_dec = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    true_ra[true], true_dec[true] = _equatorial(events.true_lon[own][true], events.true_lat[own][true])
    centre = _equatorial(np.array([pointing.lon_deg]), np.array([pointing.lat_deg]))
    time = np.linspace(0.0, pointing.live_time_s, len(ra) + 2)[1:-1]
    columns = {
        "EVENT_ID": (np.flatnonzero(own), "K", None), "TIME": (time, "D", "s"), "RA": (ra, "D", "deg"),
        "DEC": (dec, "D", "deg"), "ENERGY": (events.energy[own], "D", "TeV"),
        "ENERGY_TRUE": (events.true_energy[own], "D", "TeV"), "RA_TRUE": (true_ra, "D", "deg"),
        "DEC_TRUE": (true_dec, "D", "deg"), "MC_ID": (events.component[own], "K", None),
    }  # fmt: skip
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, unit, array=array) for name, (array, form, unit) in columns.items()], name="EVENTS"
    )
    table.header.update(
        HDUCLASS="GADF", HDUDOC="https://gamma-astro-data-formats.readthedocs.io", HDUVERS="0.3", HDUCLAS1="EVENTS",
        OBS_ID=number, TSTART=0.0, TSTOP=pointing.live_time_s, ONTIME=pointing.live_time_s,
        LIVETIME=pointing.live_time_s, DEADC=1.0, RA_PNT=float(centre[0][0]), DEC_PNT=float(centre[1][0]),
        EQUINOX=2000.0, RADECSYS="ICRS", ORIGIN="skysift", TELESCOP="CTAO", INSTRUME="CTAO", CREATOR="skysift",
        OBJECT=events.name, OBS_MODE="POINTING", **_REFERENCE,
    )  # fmt: skip
    interval = fits.BinTableHDU.from_columns(
        [fits.Column("START", "D", "s", array=[0.0]), fits.Column("STOP", "D", "s", array=[pointing.live_time_s])],
        name="GTI",
    )
    interval.header.update(HDUCLASS="GADF", HDUCLAS1="GTI", **_REFERENCE)
    with replace_when_done(path) as part:
        fits.HDUList([fits.PrimaryHDU(), table, interval]).writeto(part, checksum=True, overwrite=True)
