"""Response tables of a FITS file: found by their class, checked, in float64 and in the units used here."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError
from skysift.instruments.ctao.tables import Array, Axis
from skysift.storage.fits import Unit, card, read_table_unit

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["ResponseTable", "find_table"]

_FETCH = "fetch the file again, or name another one"
#: Energies beyond these are those of another unit.
_LOWEST_TEV, _HIGHEST_TEV = 1e-7, 1e7
_AXIS_UNITS = {"ENERG": "TeV", "THETA": "deg", "RAD": "deg", "DETX": "deg", "DETY": "deg", "MIGRA": ""}


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """One response table of a file, still as columns.

    Parameters
    ----------
    place : the file
    kind : HDUCLAS4, as AEFF_2D
    name : EXTNAME, or its number
    header : its header
    rows : its one row
    """

    place: Path
    kind: str
    name: str
    header: fits.Header
    rows: fits.FITS_rec

    def refuse(self, field: str, found: object, wanted: str, remedy: str = _FETCH) -> InputError:
        """Return the error that names file, table and column."""
        return InputError(self.place, f"HDU {self.name} ({self.kind}), {field}", found, wanted, remedy)

    def has(self, column: str) -> bool:
        """Tell whether there is such a column."""
        return column in self.rows.columns.names

    def axis(self, name: str) -> Axis:
        """Return the axis of ``name``_LO and ``name``_HI: ENERG in TeV and logarithmic, angles in deg.

        Equal columns are nodes and not edges.

        Raises
        ------
        InputError : a column or its unit is missing, edges do not rise, bins do not touch
        """
        unit = _AXIS_UNITS[name]
        low, high = (np.ravel(self._convert(f"{name}_{end}", unit)) for end in ("LO", "HI"))
        if low.shape != high.shape or low.size == 0:
            raise self.refuse(f"{name}_LO and {name}_HI", f"{low.size} and {high.size} values", "as many of each")
        self._check_rise(name, low, high, unit)
        logarithmic = name == "ENERG"
        if np.array_equal(low, high):
            if low.size == 1:
                raise self.refuse(f"{name}_LO and {name}_HI", f"one node at {low[0]:g} {unit}", "a bin with a width")
            return Axis.from_nodes(name, low, logarithmic)
        self._check_bins(name, low, high)
        return Axis(name, np.append(low, high[-1]), logarithmic)

    def _check_bins(self, name: str, low: Array, high: Array) -> None:
        is_apart = np.append(np.abs(low[1:] - high[:-1]) > 1e-4 * (high[1:] - low[1:]), False)
        wrong = np.flatnonzero(is_apart | (high <= low))
        if wrong.size:
            bins = ", ".join(f"{low[at]:g} to {high[at]:g}" for at in range(wrong[0], min(wrong[0] + 2, low.size)))
            raise self.refuse(f"{name}_LO and {name}_HI", f"bins {bins}", "bins that touch and have a width")

    def _check_rise(self, name: str, low: Array, high: Array, unit: str) -> None:
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
            raise self.refuse(f"{name}_LO and {name}_HI", "values that are not finite", f"edges, {unit or 'no unit'}")
        falls = np.flatnonzero((np.diff(low) <= 0) | (np.diff(high) <= 0))
        if falls.size:
            at = int(falls[0])
            found = f"{low[at]:g} followed by {low[at + 1]:g} at bin {at + 1}"
            raise self.refuse(f"{name}_LO", found, f"edges that rise, {unit or 'no unit'}")
        if name == "ENERG" and low[0] <= 0:
            raise self.refuse(f"{name}_LO", f"{low[0]:g} TeV", "energies above 0 TeV")
        if name == "ENERG" and (low[0] < _LOWEST_TEV or high[-1] > _HIGHEST_TEV):
            found, wanted = f"{low[0]:g} to {high[-1]:g} TeV", f"energies from {_LOWEST_TEV:g} to {_HIGHEST_TEV:g} TeV"
            raise self.refuse(f"{name}_LO and {name}_HI", found, wanted, "look at the unit of the columns")

    def values(self, column: str, axes: Sequence[Axis], unit: str | None, *, is_gap_allowed: bool = False) -> Array:
        """Return a column as an array over ``axes``, slowest first, as it stands in the file.

        Parameters
        ----------
        unit : to convert to; "" for a number, None when the unit does not matter
        is_gap_allowed : whether values that are not finite may stay

        Raises
        ------
        InputError : no such column or unit, sizes that are not those of the axes, values negative or not finite
        """
        array = self._convert(column, unit)
        shape = tuple(axis.size for axis in axes)
        if array.shape != shape:
            wanted = " x ".join(f"{axis.size} {axis.name}" for axis in axes)
            raise self.refuse(column, f"array {array.shape}", f"{shape} ({wanted}, slowest first)")
        self._check_sign(column, array, is_gap_allowed)
        return array

    def ordered(self, column: str, orders: Sequence[Sequence[Axis]], unit: str) -> tuple[Array, int]:
        """Return a column whose order of axes the file does not state, and which of ``orders`` it has.

        Raises
        ------
        InputError : as `values`, or more than one order fits
        """
        array = self._convert(column, unit)
        fits_ = [number for number, axes in enumerate(orders) if array.shape == tuple(axis.size for axis in axes)]
        wanted = " or ".join("(" + ", ".join(f"{axis.size} {axis.name}" for axis in axes) + ")" for axes in orders)
        if not fits_:
            raise self.refuse(column, f"array {array.shape}", f"{wanted}, slowest first")
        if len(fits_) > 1:
            remedy = "write the table again with another number of energies"
            raise self.refuse(column, f"array {array.shape}: {wanted}?", "an order that the sizes tell", remedy)
        self._check_sign(column, array, is_gap_allowed=False)
        return array, fits_[0]

    def _check_sign(self, column: str, array: Array, is_gap_allowed: bool) -> None:
        bad = (array < 0) | (np.isinf(array) if is_gap_allowed else ~np.isfinite(array))
        if np.any(bad):
            at = tuple(int(index) for index in np.argwhere(bad)[0])
            raise self.refuse(column, f"{array[at]:g} at {at}, {int(bad.sum())} such values", "finite values >= 0")

    def _convert(self, column: str, unit: str | None) -> Array:
        """Return the only row of a column, native float64, in ``unit``."""
        if not self.has(column):
            raise self.refuse(column, f"columns {', '.join(self.rows.columns.names)}", f"a column {column}")
        if len(self.rows) != 1:
            raise self.refuse("rows", len(self.rows), "1 row")
        raw = np.asarray(self.rows[column][0])
        if raw.dtype.kind not in "iuf":
            raise self.refuse(column, f"type {raw.dtype}", "numbers")
        array = np.atleast_1d(raw).astype(np.float64)
        return array if unit is None else array * self._factor(column, unit)

    def _factor(self, column: str, unit: str) -> float:
        """Return what turns the unit of a column into ``unit``."""
        from astropy import units

        stated = (self.rows.columns[column].unit or "").strip()
        if not unit:
            if stated not in {"", "1"} and not _is_number(stated):
                raise self.refuse(column, f"unit {stated}", "no unit")
            return 1.0
        if not stated:
            raise self.refuse(column, "no unit (TUNIT)", f"a unit of {unit}", "add the TUNIT card of this column")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", units.UnitsWarning)
                return float(units.Unit(stated).to(units.Unit(unit)))
        except (ValueError, TypeError, units.UnitConversionError) as error:
            raise self.refuse(column, f"unit {stated!r}", f"a unit of {unit}", "correct the TUNIT card") from error

    def text(self, name: str) -> str:
        """Return a card as upper-case text, "" when it is absent or blank."""
        value = card(self.header, name)
        return "" if value is None else str(value).strip().upper()


def _is_number(stated: str) -> bool:
    from astropy import units

    try:
        return bool(units.Unit(stated) == units.dimensionless_unscaled)
    except (ValueError, TypeError):
        return False


def find_table(place: Path, found: list[Unit], kinds: Sequence[str], content: str) -> ResponseTable:
    """Return the one table of a file whose HDUCLAS4 is among ``kinds``.

    Parameters
    ----------
    place : the file
    found : its units, of `skysift.storage.fits.scan_units`
    kinds : HDUCLAS4, as PSF_3GAUSS
    content : what it holds, as "point-spread function"

    Raises
    ------
    InputError : none or several such tables, one for point-like analyses, or a broken one
    """
    matching = [unit for unit in found if _class_of(unit) in kinds]
    wanted = f"one table with HDUCLAS4 = {' or '.join(kinds)} ({content})"
    if len(matching) != 1:
        known = ", ".join(f"{unit.number} {unit.name or '(no name)'} {_class_of(unit)}".strip() for unit in found)
        count = f"{len(matching)} such tables" if matching else "no such table"
        raise InputError(place, f"HDUCLAS4 = {'/'.join(kinds)}", f"{count} among HDUs {known}", wanted, _FETCH)
    unit = matching[0]
    name, rows = unit.name or str(unit.number), read_table_unit(place, unit)
    table = ResponseTable(place, _class_of(unit), name, unit.header, rows)
    if rows.dtype.itemsize != unit.header["NAXIS1"]:
        sizes = f"columns of {rows.dtype.itemsize} bytes in rows of {unit.header['NAXIS1']} bytes"
        raise table.refuse("TFORM", sizes, "columns that fill a row")
    if table.text("HDUCLAS3") == "POINT-LIKE":
        remedy = "use a response without a cut on the direction"
        raise table.refuse("HDUCLAS3", "POINT-LIKE", "FULL-ENCLOSURE", remedy)
    return table


def _class_of(unit: Unit) -> str:
    value: Any = card(unit.header, "HDUCLAS4")
    return "" if value is None or not unit.is_table else str(value).strip().upper()
