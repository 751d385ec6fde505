"""Columns of an observed event list: kinds, units and ranges checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError

__all__ = ["EventTable"]

Array = NDArray[np.float64]
#: Lowest and highest angle, deg; right ascensions in single precision or in radian may be off by a rounding.
_RANGES = {"RA": (-180.0001, 360.0001), "DEC": (-90.0, 90.0)}
_LARGEST = 2.0**53
#: Of 2000-01-01 12:00.
_JULIAN_DATE = 2451545.0


@dataclass(frozen=True)
class EventTable:
    """Columns of one event list.

    Parameters
    ----------
    place : the file
    rows : its table of events
    """

    place: Path
    rows: Any

    @property
    def names(self) -> dict[str, str]:
        """Names in capitals to names as they stand."""
        return {name.upper(): name for name in self.rows.names}

    def refuse(self, name: str, found: object, wanted: str, remedy: str) -> InputError:
        """Return the error that names file and column."""
        return InputError(self.place, f"EVENTS, column {name}", found, wanted, remedy)

    def numbers(self, name: str, default: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return whole numbers, or the default without such a column.

        Raises
        ------
        InputError : text, several values per event, or a value that is not a whole number
        """
        if name not in self.names:
            return default
        values = self._read(name)
        if values.dtype.kind == "f":
            broken = np.flatnonzero(~np.isfinite(values) | (values != np.trunc(values)) | (np.abs(values) > _LARGEST))
        else:
            broken = np.flatnonzero(values > np.iinfo(np.int64).max) if values.dtype.kind == "u" else np.zeros(0, int)
        if broken.size:
            found = f"row {broken[0]}: {values[broken[0]]}"
            raise self.refuse(name, found, "whole numbers of 64 bits", "correct the row, or leave the column out")
        return values.astype(np.int64)

    def column(self, name: str, wanted: str, *, is_gap_allowed: bool = False) -> Array:
        """Return a column in the wanted unit.

        Raises
        ------
        InputError : no such column, text, several values per event, another unit, values that are not finite
        """
        from astropy import units

        if name not in self.names:
            known = "columns ENERGY, RA, DEC"
            raise InputError(self.place, "EVENTS", f"no column {name}", known, "write the list as GADF has it")
        values: Array = self._read(name).astype(np.float64)
        stated = self.rows.columns[self.names[name]].unit
        try:
            values = values * float(units.Unit(stated or "").to(wanted))
        except (ValueError, TypeError, units.UnitsError) as error:
            raise self.refuse(name, f"unit {stated!r}", f"a unit like {wanted}", "state the unit") from error
        if not is_gap_allowed and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise self.refuse(name, f"row {row}: {values[row]}", "finite numbers", "remove the row")
        return values

    def angles(self, name: str, *, is_gap_allowed: bool = False) -> Array:
        """Return right ascensions or declinations, deg.

        Raises
        ------
        InputError : those of `column`, an angle that is none
        """
        values = self.column(name, "deg", is_gap_allowed=is_gap_allowed)
        low, high = _RANGES[name.partition("_")[0]]
        off = np.flatnonzero((values < low) | (values > high))
        if off.size:
            found, wanted = f"row {off[0]}: {values[off[0]]:g} deg", f"{low:.0f} to {high:.0f} deg"
            raise self.refuse(name, found, wanted, "correct the row, or the unit of the column")
        return values

    def times(self, reference_s: float) -> Array:
        """Return TIME in s after 2000-01-01 12:00 (TT): s since a reference, or Julian dates in two parts.

        Raises
        ------
        InputError : those of `column`, two parts that are no days
        """
        values = np.asarray(self.rows[self.names["TIME"]])
        if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind != "f":
            return self.column("TIME", "s") + reference_s
        stated, scale = (getattr(self.rows.columns[self.names["TIME"]], name) for name in ("unit", "coord_type"))
        if str(stated).strip() != "d" or str(scale or "TT").strip() != "TT" or not np.isfinite(values).all():
            found = f"2 values per event, unit {stated!r}, scale {scale!r}"
            raise self.refuse(
                "TIME", found, "s, or Julian dates of TT in two finite parts", "write seconds, as GADF has"
            )
        days: Array = (values[:, 0].astype(np.float64) - _JULIAN_DATE) + values[:, 1]
        return 86400.0 * days

    def _read(self, name: str) -> NDArray[Any]:
        """Return a column as it stands: one number per event."""
        wanted, remedy = "one number per event", "write the column as GADF has it"
        try:
            values = np.asarray(self.rows[self.names[name]])
        except (ValueError, TypeError, OSError) as error:
            raise self.refuse(name, error, wanted, remedy) from error
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            kind = {"U": "text", "S": "text", "O": "arrays", "b": "yes or no", "c": "complex numbers"}
            several = f"{int(np.prod(values.shape[1:]))} values per event"
            found = several if values.ndim != 1 else kind.get(values.dtype.kind, str(values.dtype))
            raise self.refuse(name, found, wanted, remedy)
        return values
