"""What the header of an observed event list says: where the telescope looked, for how long, and how many events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.storage.fits import Unit, card, find_unit, scan_units

__all__ = ["REFERENCE_MJD", "EventHeader", "read_event_header", "to_equatorial", "to_galactic"]

Array = NDArray[np.float64]
#: 2000-01-01 12:00: whole days and the rest of the reference of times that are written.
REFERENCE_MJD = (51544, 0.5)
_REFERENCE = ("MJDREFI", "MJDREFF")


@dataclass(frozen=True)
class EventHeader:
    """The header of one GADF event list.

    Parameters
    ----------
    place : the file
    unit : its table of events
    pointing_deg : Galactic longitude and latitude
    live_time_s : LIVETIME
    zenith_deg : ZEN_PNT, or from ALT_PNT; None where the file is silent
    components : number that MC_ID has to name of the component, from the cards MIDnnnnn and MMNnnnnn
    """

    place: Path
    unit: Unit
    pointing_deg: tuple[float, float]
    live_time_s: float
    zenith_deg: float | None
    components: Mapping[int, str]

    @property
    def rows(self) -> int:
        """Number of events."""
        return int(self.unit.header["NAXIS2"])

    @property
    def reference_s(self) -> float:
        """Time that TIME counts from, s after `REFERENCE_MJD`; 0 where the file is silent."""
        days = [float(self.unit.header.get(name, own)) for name, own in zip(_REFERENCE, REFERENCE_MJD, strict=True)]
        return 86400.0 * sum(day - own for day, own in zip(days, REFERENCE_MJD, strict=True))


def read_event_header(path: str | Path, name: str = "EVENTS") -> EventHeader:
    """Read the header of an event list, and no events.

    Parameters
    ----------
    path : FITS file
    name : of the table

    Raises
    ------
    InputError : no such table, no events, no pointing or live time, a damaged file
    """
    place = Path(path)
    unit = find_unit(scan_units(place, "events"), name, place)
    if not unit.is_table or not unit.header.get("NAXIS2"):
        raise InputError(place, name, "no rows", "one event or more", "name another event list")
    ra, dec, live_time = (_number(unit, place, known) for known in ("RA_PNT", "DEC_PNT", "LIVETIME"))
    if live_time <= 0:
        raise InputError(place, "LIVETIME", live_time, "a time above 0 s", "correct the card")
    lon, lat = to_galactic(np.array([ra]), np.array([dec]))
    return EventHeader(place, unit, (float(lon[0]), float(lat[0])), live_time, _zenith(unit, place), _names(unit))


def _number(unit: Unit, place: Path, name: str) -> float:
    value = card(unit.header, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(place, f"EVENTS, card {name}", value, "a number", "add it to the header of the list")
    return float(value)


def _zenith(unit: Unit, place: Path) -> float | None:
    if card(unit.header, "ZEN_PNT") is not None:
        return _number(unit, place, "ZEN_PNT")
    return None if card(unit.header, "ALT_PNT") is None else 90.0 - _number(unit, place, "ALT_PNT")


def _names(unit: Unit) -> dict[int, str]:
    header = unit.header
    numbers = {key[3:]: header[key] for key in header if key.startswith("MID") and key[3:].isdigit()}
    return {int(number): str(header.get(f"MMN{key}", number)) for key, number in numbers.items()}


def to_galactic(ra_deg: Array, dec_deg: Array) -> tuple[Array, Array]:
    """Return Galactic longitude and latitude of ICRS coordinates, deg."""
    from astropy.coordinates import SkyCoord

    place = SkyCoord(ra_deg, dec_deg, unit="deg", frame="icrs").galactic
    return np.asarray(place.l.deg, dtype=np.float64), np.asarray(place.b.deg, dtype=np.float64)


def to_equatorial(lon_deg: Array, lat_deg: Array) -> tuple[Array, Array]:
    """Return ICRS right ascension and declination of Galactic coordinates, deg."""
    from astropy.coordinates import SkyCoord

    place = SkyCoord(l=lon_deg, b=lat_deg, unit="deg", frame="galactic").icrs
    return np.asarray(place.ra.deg, dtype=np.float64), np.asarray(place.dec.deg, dtype=np.float64)
