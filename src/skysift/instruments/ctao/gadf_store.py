"""Event lists written as a data store (GADF): lists, good time intervals, responses, index files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError
from skysift.instruments.ctao.event_header import REFERENCE_MJD, to_equatorial
from skysift.instruments.ctao.irf import TABLES
from skysift.instruments.ctao.store import HDU_INDEX, OBS_INDEX, read_store
from skysift.storage.fits import card, scan_units
from skysift.storage.fits_writing import write_fits

if TYPE_CHECKING:
    from astropy.io import fits

    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.pointing import Pointing

__all__ = ["check_store", "name_list", "write_gadf", "write_index"]

_REFERENCE = {
    "MJDREFI": REFERENCE_MJD[0], "MJDREFF": REFERENCE_MJD[1], "TIMEUNIT": "s", "TIMESYS": "TT", "TIMEREF": "LOCAL",
}  # fmt: skip
_GADF = {"HDUCLASS": "GADF", "HDUDOC": "https://gamma-astro-data-formats.readthedocs.io", "HDUVERS": "0.3"}
#: Site that headers name, as the format wants one: CTAO South, unless the response is for the northern array.
_SOUTH = {"GEOLON": -70.316344, "GEOLAT": -24.683428, "ALTITUDE": 2150.0}
_NORTH = {"GEOLON": -17.892005, "GEOLAT": 28.762164, "ALTITUDE": 2147.0}
#: What HDUCLAS4 of a response table begins with, by its HDU_TYPE.
_CLASSES = {"aeff": "AEFF", "psf": "PSF", "edisp": "EDISP", "bkg": "BKG"}
Columns = Mapping[str, tuple[Any, str, str | None]]


def name_list(name: str, number: int) -> str:
    """Return the name of the file of one pointing."""
    return f"{name}_{number:03d}.fits"


def check_store(folder: Path, name: str, pointings: int) -> None:
    """Refuse a folder that is the data store of other event lists.

    Parameters
    ----------
    folder : where a store is wanted
    name, pointings : data set, and number of its lists
    """
    if (folder / HDU_INDEX).is_file():
        own = [name_list(name, number) for number in range(pointings)]
        others = {entry.tables["events"].place.name for entry in read_store(folder)} - set(own)
        if others:
            raise InputError(folder, HDU_INDEX, ", ".join(sorted(others)), ", ".join(own), "choose an empty folder")


def write_gadf(path: Path, events: EventList, number: int, pointing: Pointing, response: str = "") -> None:
    """Write the events of one pointing, with true coordinates where they are known.

    Components are told by MC_ID; the cards MIDnnnnn and MMNnnnnn give their names.

    Parameters
    ----------
    path : FITS file
    events : of all pointings
    number, pointing : the one to write
    response : its name
    """
    own = events.pointing == number
    ra, dec = to_equatorial(events.lon[own], events.lat[own])
    true = np.isfinite(events.true_lon[own])
    true_ra, true_dec = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    true_ra[true], true_dec[true] = to_equatorial(events.true_lon[own][true], events.true_lat[own][true])
    # times that nobody knows are spread over the interval
    even = np.linspace(0.0, pointing.live_time_s, len(ra) + 2)[1:-1]
    time = np.where(np.isfinite(events.time[own]), events.time[own], even)
    table = _make_table("EVENTS", {
        "EVENT_ID": (events.event_id[own], "K", None), "TIME": (time, "D", "s"), "RA": (ra, "D", "deg"),
        "DEC": (dec, "D", "deg"), "ENERGY": (events.energy[own], "D", "TeV"),
        "ENERGY_TRUE": (events.true_energy[own], "D", "TeV"), "RA_TRUE": (true_ra, "D", "deg"),
        "DEC_TRUE": (true_dec, "D", "deg"), "MC_ID": (events.component[own], "K", None),
    })  # fmt: skip
    table.header.update(
        **_GADF, HDUCLAS1="EVENTS", OBS_ID=number, OBJECT=events.name, OBS_MODE="POINTING", **_direction(pointing),
        **_span(pointing, time), EQUINOX=2000.0, RADECSYS="ICRS", ORIGIN="skysift", TELESCOP="CTAO", INSTRUME="CTAO",
        CREATOR="skysift", **(_NORTH if "North" in response else _SOUTH), **_REFERENCE,
    )  # fmt: skip
    for place, label in enumerate(events.components):
        table.header[f"MID{place:05d}"], table.header[f"MMN{place:05d}"] = place, label
    span = _span(pointing, time)
    interval = _make_table("GTI", {"START": ([span["TSTART"]], "D", "s"), "STOP": ([span["TSTOP"]], "D", "s")})
    interval.header.update(**_GADF, HDUCLAS1="GTI", **_REFERENCE)
    write_fits(path, [table, interval])


def _make_table(name: str, columns: Columns) -> fits.BinTableHDU:
    from astropy.io import fits

    made = [fits.Column(label, form, unit, array=array) for label, (array, form, unit) in columns.items()]
    return fits.BinTableHDU.from_columns(made, name=name)


def _direction(pointing: Pointing) -> dict[str, float]:
    ra, dec = to_equatorial(np.array([pointing.lon_deg]), np.array([pointing.lat_deg]))
    return {"RA_PNT": float(ra[0]), "DEC_PNT": float(dec[0])}


def _span(pointing: Pointing, time: Any = ()) -> dict[str, float]:  # noqa: ANN401 - an array
    """Return start, stop and live time: as long as the live time, around all events."""
    known, live = np.asarray(time)[np.isfinite(time)], pointing.live_time_s
    is_relative = not len(known) or (known.min() >= 0 and known.max() <= live)
    start = 0.0 if is_relative else float(known.min())
    stop = max(start + live, float(known.max(initial=start)))
    return {"TSTART": start, "TSTOP": stop, "ONTIME": stop - start, "LIVETIME": live, "DEADC": live / (stop - start)}


def write_index(folder: Path, events: EventList, pointings: Sequence[Pointing], responses: Sequence[Path]) -> None:
    """Write the index files of a folder of lists, so that any tool finds them and their responses.

    Parameters
    ----------
    folder : with the lists of `write_gadf`
    events : of all pointings
    pointings : in their order
    responses : file of each pointing's response, in the folder
    """
    rows = []
    for number, response in enumerate(responses):
        name = name_list(events.name, number)
        rows += [(number, "events", "events", name, "EVENTS"), (number, "gti", "gti", name, "GTI")]
        rows += [(number, *row) for row in _list_tables(response)]
    columns = list(zip(*rows, strict=True))
    hdus = _make_table("HDU_INDEX", {
        "OBS_ID": (columns[0], "K", None), "HDU_TYPE": (columns[1], "16A", None),
        "HDU_CLASS": (columns[2], "16A", None), "FILE_DIR": ([""] * len(rows), "8A", None),
        "FILE_NAME": (columns[3], "160A", None), "HDU_NAME": (columns[4], "40A", None),
    })  # fmt: skip
    hdus.header.update(**_GADF, HDUCLAS1="INDEX", HDUCLAS2="HDU")
    write_fits(folder / HDU_INDEX, [hdus])
    write_fits(folder / OBS_INDEX, [_make_observations(events, pointings)])


def _list_tables(response: Path) -> list[tuple[str, str, str, str]]:
    """Return type, class, file and name of each response table."""
    units = [(unit, str(card(unit.header, "HDUCLAS4") or "").upper()) for unit in scan_units(response, "response")]
    return [
        (name, kind.lower(), response.name, unit.name)
        for unit, kind in units
        for name in TABLES
        if unit.is_table and kind.startswith(_CLASSES[name])
    ]


def _make_observations(events: EventList, pointings: Sequence[Pointing]) -> fits.BinTableHDU:
    spans = [_span(pointing, events.time[events.pointing == k]) for k, pointing in enumerate(pointings)]
    places = [_direction(pointing) for pointing in pointings]
    count = len(pointings)
    units = {"TSTART": "s", "TSTOP": "s", "ONTIME": "s", "LIVETIME": "s", "DEADC": None}
    table = _make_table("OBS_INDEX", {
        "OBS_ID": (np.arange(count), "K", None), "OBJECT": ([events.name] * count, "40A", None),
        **{name: ([place[name] for place in places], "D", "deg") for name in ("RA_PNT", "DEC_PNT")},
        "GLON_PNT": ([pointing.lon_deg for pointing in pointings], "D", "deg"),
        "GLAT_PNT": ([pointing.lat_deg for pointing in pointings], "D", "deg"),
        **{name: ([span[name] for span in spans], "D", unit) for name, unit in units.items()},
        "EVENT_COUNT": (np.bincount(events.pointing, minlength=count), "K", None),
        "TELESCOP": (["CTAO"] * count, "8A", None), "INSTRUME": (["CTAO"] * count, "8A", None),
    })  # fmt: skip
    table.header.update(**_GADF, HDUCLAS1="INDEX", HDUCLAS2="OBS", **_REFERENCE)
    return table
