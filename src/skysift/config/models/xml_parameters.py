"""Parameters of ctools and Fermi XML: values times scales, with limits and errors, both ways."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from skysift.config.models.declarations import ParameterDeclaration
from skysift.config.models.tags import ParameterKind
from skysift.config.models.units import UnitError, describe_kind, read_unit
from skysift.config.models.xml_kinds import XmlParameter
from skysift.config.models.xml_tree import XmlElement
from skysift.errors import InputError

__all__ = ["XmlEntries", "change_value", "read_xml_parameter", "repair_number", "write_xml_parameter"]

_BROKEN = re.compile(r"([+-]?[0-9]+\.?[0-9]*)([+-][0-9]+)", re.ASCII)
_UNITS = {"inverse": "MeV-1"}


@dataclass
class XmlEntries:
    """An XML file while it is read, with what had to be repaired.

    Parameters
    ----------
    name : of the file
    folder : in which further files are looked for first
    is_strict : whether repairs are refused
    warnings : repairs so far
    source : that is being read
    """

    name: str
    folder: Path
    is_strict: bool = False
    warnings: list[str] = field(default_factory=list)
    source: str = ""

    def place(self, element: XmlElement) -> str:
        """Return the file and the line of an element."""
        return f"{self.name} line {element.line}"

    def field(self, text: str) -> str:
        """Return what is printed for an entry of the source."""
        return f"source {self.source!r}: {text}" if self.source else text

    def refuse(self, element: XmlElement, what: str, found: object, wanted: str, remedy: str) -> NoReturn:
        """Raise an `InputError` about an element."""
        raise InputError(self.place(element), self.field(what), found, wanted, remedy)

    def warn(self, element: XmlElement, what: str, text: str) -> None:
        """Keep a warning, or refuse the file where it is read strictly."""
        if self.is_strict:
            self.refuse(element, what, text, "a file that needs no repair", "correct it")
        self.warnings.append(f"{self.place(element)}, {self.field(what)}: {text}")

    def number(self, element: XmlElement, name: str, default: float | None = None) -> float:
        """Return a number of an element."""
        text = element.attributes.get(name)
        what = f"{element.attributes.get('name', element.tag)}, {name}"
        if text is None:
            if default is None:
                self.refuse(element, what, "nothing", "a number", f'add {name}="..."')
            return default
        repaired = repair_number(text)
        try:
            value = float(repaired)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(element, what, repr(text), "a finite number", "write for example 1e-9")
        if repaired != text:
            self.warn(element, what, f"{text!r} is read as {repaired}")
        return value


def repair_number(text: str) -> str:
    """Return a number that lost the e of its exponent with it, any other text as it is.

    Examples
    --------
    >>> repair_number("1-09")
    '1e-09'
    """
    match = _BROKEN.fullmatch(text.strip())
    return text if match is None else f"{match[1]}e{match[2]}"


def read_xml_parameter(
    entries: XmlEntries, element: XmlElement, row: XmlParameter, kind: ParameterKind
) -> ParameterDeclaration:
    """Return the parameter that an element becomes, in the units of the file (MeV, cm, s, deg).

    Raises
    ------
    InputError : no number, a unit of another kind, a cutoff at zero
    """
    unit, natural = row.unit, kind.unit
    scale = entries.number(element, "scale", 1.0)
    if "unit" in element.attributes and "scale" not in element.attributes:
        scale = _scale_of_unit(entries, element, unit)
    value = entries.number(element, "value") * scale
    low, high = (
        entries.number(element, name) * scale if name in element.attributes else None for name in ("min", "max")
    )
    if scale < 0:
        low, high = high, low
    error = abs(entries.number(element, "error", 0.0) * scale) or None
    free = element.attributes.get("free", "0").strip().lower()
    if free not in ("0", "1", "true", "false"):
        entries.refuse(element, f"{row.names[0]}, free", repr(free), "0 or 1", 'write free="0" or free="1"')
    parameter = ParameterDeclaration(
        kind.name, value, unit, error, low, high, row.is_frozen or free in ("0", "false"), natural_unit=natural
    )
    if (low is not None and value < low) or (high is not None and value > high):
        entries.warn(element, row.names[0], f"{value:g} is outside of its limits {low}, {high}; they are left out")
        parameter = replace(parameter, low=None, high=None)
    if row.change == "inverse" and value == 0:
        entries.refuse(element, row.names[0], 0, "an energy above 0", "take a power law without cutoff")
    return _changed(parameter, row.change)


def _scale_of_unit(entries: XmlEntries, element: XmlElement, wanted: str) -> float:
    text, name = element.attributes["unit"], element.attributes.get("name", "")
    try:
        found = read_unit(text)
    except UnitError as error:
        entries.refuse(element, f"{name}, unit", f"{text!r}: {error}", f"a unit such as {wanted}", "give a scale")
    expected = read_unit(wanted)
    if found.powers != expected.powers:
        wanted_kind = describe_kind(expected.powers)
        entries.refuse(element, f"{name}, unit", repr(text), f"a unit of {wanted_kind}", "give a scale instead")
    entries.warn(element, f"{name}, unit", f"a unit ({text}) in place of a scale is honoured")
    return found.factor / expected.factor


def change_value(value: float, change: str) -> float:
    """Return what a value of XML becomes; the same function turns it back.

    Examples
    --------
    >>> change_value(-2.5, "negative")
    2.5
    """
    if change == "same":
        return value
    return -value if change == "negative" else 1.0 / value


def _changed(parameter: ParameterDeclaration, change: str) -> ParameterDeclaration:
    """Return a parameter after the change that its row asks for."""
    if change == "same":
        return parameter
    low, high = parameter.high, parameter.low
    if change == "inverse":
        # A cutoff energy of zero is no limit to its inverse.
        low, high = (one if one is None or one > 0 else None for one in (low, high))
        error = parameter.error and parameter.error / parameter.value**2
        unit = _UNITS[change]
    else:
        error, unit = parameter.error, parameter.unit
    return replace(
        parameter,
        value=change_value(parameter.value, change),
        low=None if low is None else change_value(low, change),
        high=None if high is None else change_value(high, change),
        error=error,
        unit=unit,
    )


def write_xml_parameter(
    element: XmlElement, old: ParameterDeclaration | None, new: ParameterDeclaration, row: XmlParameter
) -> XmlElement:
    """Return an element with the value, limits, error and freedom of a parameter; its scale stays.

    Parameters
    ----------
    element : as read
    old : what it was read as, so that what has not changed stays as it is written
    new : the parameter now
    row : of the table
    """
    unit = _UNITS[row.change] if row.change == "inverse" else row.unit
    factor = read_unit(new.unit).factor / read_unit(unit).factor if new.unit != unit else 1.0
    attributes = dict(element.attributes)
    if "scale" in attributes:
        attributes["scale"] = repair_number(attributes["scale"])
    scale = float(attributes.get("scale", 1.0))
    if old is None or old.value != new.value or old.unit != new.unit:
        attributes["value"] = repr(change_value(new.value * factor, row.change) / scale)
    if old is None or old.is_frozen != new.is_frozen:
        attributes["free"] = "0" if new.is_frozen or row.is_frozen else "1"
    if new.error is not None and (old is None or old.error != new.error):
        size = new.error * factor
        # The error of an inverse is that of the value over its square.
        size = size / (new.value * factor) ** 2 if row.change == "inverse" else size
        attributes["error"] = repr(abs(size / scale))
    if old is None or (old.low, old.high) != (new.low, new.high):
        attributes = _write_limits(attributes, new, row, factor, scale)
    return replace(element, attributes=attributes)


def _write_limits(
    attributes: Mapping[str, str], new: ParameterDeclaration, row: XmlParameter, factor: float, scale: float
) -> dict[str, str]:
    ends = [
        None if limit is None or (row.change == "inverse" and limit == 0) else
        change_value(limit * factor, row.change) / scale
        for limit in (new.low, new.high)
    ]  # fmt: skip
    if (row.change != "same") != (scale < 0):
        ends.reverse()
    written = {name: text for name, text in attributes.items() if name not in ("min", "max")}
    return written | {name: repr(end) for name, end in zip(("min", "max"), ends, strict=True) if end is not None}
