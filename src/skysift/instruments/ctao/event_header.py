"""What the header of an observed event list says: where the telescope looked, for how long, and how many events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.storage.fits import Unit, card, find_unit, scan_units

__all__ = ["REFERENCE_MJD", "EventHeader", "check_names", "read_event_header", "to_equatorial", "to_galactic"]

Array = NDArray[np.float64]
Frame = Literal["icrs", "fk5"]
#: 2000-01-01 12:00: whole days and the rest of the reference of times that are written.
REFERENCE_MJD = (51544, 0.5)
_REFERENCE = ("MJDREFI", "MJDREFF")
_EQUINOX = 2000.0


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
    reference_s : time that TIME counts from, s after `REFERENCE_MJD`; 0 where the file is silent
    frame : of right ascensions and declinations, ``icrs`` (also where the file is silent) or ``fk5``
    """

    place: Path
    unit: Unit
    pointing_deg: tuple[float, float]
    live_time_s: float
    zenith_deg: float | None
    components: Mapping[int, str]
    reference_s: float = 0.0
    frame: Frame = "icrs"

    @property
    def rows(self) -> int:
        """Number of events."""
        return int(self.unit.header["NAXIS2"])


def read_event_header(path: str | Path, name: str = "EVENTS") -> EventHeader:
    """Read the header of an event list, and no events.

    Parameters
    ----------
    path : FITS file
    name : of the table

    Raises
    ------
    InputError : no such table or two of them, no events, no pointing or live time, another frame, a damaged file
    """
    place = Path(path)
    units = scan_units(place, "events")
    unit = find_unit(units, name, place)
    same = [other.number for other in units if other.name == unit.name]
    if len(same) > 1:
        found = f"HDUs {', '.join(map(str, same))}"
        raise InputError(place, name, found, "one table of this name", "keep one list of events in a file")
    if not unit.is_table or not unit.header.get("NAXIS2"):
        raise InputError(place, name, "no rows", "one event or more", "name another event list")
    ra, dec, live_time = (_number(unit, place, known) for known in ("RA_PNT", "DEC_PNT", "LIVETIME"))
    for known, value, low, high in (("RA_PNT", ra, -180, 360), ("DEC_PNT", dec, -90, 90)):
        if not low <= value <= high:
            wanted = f"{low} to {high} deg"
            raise InputError(place, f"EVENTS, card {known}", f"{value:g} deg", wanted, "correct the card")
    if live_time <= 0:
        raise InputError(place, "LIVETIME", live_time, "a time above 0 s", "correct the card")
    frame = _frame(unit, place)
    lon, lat = to_galactic(np.array([ra]), np.array([dec]), frame)
    seen = (float(lon[0]), float(lat[0]))
    more = (_zenith(unit, place), _names(unit, place), _reference(unit, place), frame)
    return EventHeader(place, unit, seen, live_time, *more)


def check_names(header: EventHeader) -> None:
    """Refuse a list in which two columns have one name: nobody knows which is meant.

    Raises
    ------
    InputError : names the column
    """
    cards = [key for key in header.unit.header if key.startswith("TTYPE")]
    names = [str(_card(header.unit, header.place, key)).strip().upper() for key in cards]
    for name in names:
        if names.count(name) > 1:
            found = f"{names.count(name)} columns of this name"
            raise InputError(header.place, f"EVENTS, column {name}", found, "each name once", "rename or remove one")


def _card(unit: Unit, place: Path, name: str) -> Any:  # noqa: ANN401 - text, number or None
    """Return the value of a card, None when it is absent or blank."""
    from astropy.io.fits import VerifyError

    try:
        return card(unit.header, name)
    except VerifyError as error:
        raise InputError(place, f"EVENTS, card {name}", error, "a card that can be read", "correct the card") from error


def _number(unit: Unit, place: Path, name: str) -> float:
    value = _card(unit, place, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        remedy = "add it to the header of the list" if value is None else "correct the card"
        raise InputError(place, f"EVENTS, card {name}", value, "a number", remedy)
    return float(value)


def _zenith(unit: Unit, place: Path) -> float | None:
    if _card(unit, place, "ZEN_PNT") is not None:
        return _number(unit, place, "ZEN_PNT")
    return None if _card(unit, place, "ALT_PNT") is None else 90.0 - _number(unit, place, "ALT_PNT")


def _reference(unit: Unit, place: Path) -> float:
    pairs = zip(_REFERENCE, REFERENCE_MJD, strict=True)
    return 86400.0 * sum(
        _number(unit, place, name) - own for name, own in pairs if _card(unit, place, name) is not None
    )


def _names(unit: Unit, place: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for key in unit.header:
        if key.startswith("MID") and key[3:].isdigit():
            number, name = _number(unit, place, key), _card(unit, place, f"MMN{key[3:]}")
            if number != int(number):
                raise InputError(
                    place, f"EVENTS, card {key}", number, "a whole number, as in MC_ID", "correct the card"
                )
            found[int(number)] = str(key[3:] if name is None else name)
    return found


def _frame(unit: Unit, place: Path) -> Frame:
    """Return the frame of the list; the present name of the card and the one that GADF has must agree."""
    stated = {name: value for name in ("RADESYS", "RADECSYS") if (value := _card(unit, place, name)) is not None}
    for name, value in stated.items():
        if str(value).strip().upper() not in {"ICRS", "FK5"}:
            remedy = "transform right ascensions and declinations to ICRS"
            raise InputError(place, f"EVENTS, card {name}", value, "ICRS, or FK5 of equinox 2000", remedy)
    frames = {str(value).strip().upper() for value in stated.values()}
    if len(frames) > 1:
        found = " and ".join(str(value) for value in stated.values())
        raise InputError(place, "EVENTS, cards RADESYS and RADECSYS", found, "one frame", "remove the wrong card")
    if frames != {"FK5"}:
        return "icrs"
    if _card(unit, place, "EQUINOX") is not None and (equinox := _number(unit, place, "EQUINOX")) != _EQUINOX:
        remedy = "transform right ascensions and declinations to ICRS"
        raise InputError(place, "EVENTS, card EQUINOX", f"{equinox:g}", f"{_EQUINOX:g} with FK5", remedy)
    return "fk5"


def to_galactic(ra_deg: Array, dec_deg: Array, frame: Frame = "icrs") -> tuple[Array, Array]:
    """Return Galactic longitude and latitude of coordinates of ICRS, or of FK5 with equinox 2000, deg."""
    from astropy.coordinates import SkyCoord

    place = SkyCoord(ra_deg, dec_deg, unit="deg", frame=frame).galactic
    return np.asarray(place.l.deg, dtype=np.float64), np.asarray(place.b.deg, dtype=np.float64)


def to_equatorial(lon_deg: Array, lat_deg: Array) -> tuple[Array, Array]:
    """Return ICRS right ascension and declination of Galactic coordinates, deg."""
    from astropy.coordinates import SkyCoord

    place = SkyCoord(l=lon_deg, b=lat_deg, unit="deg", frame="galactic").icrs
    return np.asarray(place.ra.deg, dtype=np.float64), np.asarray(place.dec.deg, dtype=np.float64)
