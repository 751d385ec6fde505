"""Entries of a model file as plain data: typed look-ups whose faults say where, what was found and what was wanted."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from skysift.config.models.units import UnitError, describe_kind, read_unit
from skysift.config.problems import show
from skysift.config.reader import Document, dotted
from skysift.errors import InputError, nearest

__all__ = ["Entries"]

KeyPath = tuple[str | int, ...]


@dataclass
class Entries:
    """A document while it is read, with what had to be repaired.

    Parameters
    ----------
    document : plain data and where each key stands
    folder : of the file, in which further files are looked for first
    is_strict : whether repairs are refused
    warnings : repairs so far
    """

    document: Document
    folder: Path = field(default_factory=Path)
    is_strict: bool = False
    warnings: list[str] = field(default_factory=list)
    source: str = ""

    def refuse(self, path: KeyPath, found: object, wanted: str, remedy: str) -> NoReturn:
        """Raise an `InputError` about the entry at a path."""
        raise InputError(self.document.place(path), self.name(path), found, wanted, remedy)

    def warn(self, path: KeyPath, text: str, remedy: str = "write it as the message says") -> None:
        """Keep a warning, or refuse the file where it is read strictly."""
        if self.is_strict:
            self.refuse(path, text, "a file that needs no repair", remedy)
        self.warnings.append(f"{self.document.place(path)}, {self.name(path)}: {text}")

    def name(self, path: KeyPath) -> str:
        """Return the entry as it is printed, with the source that it belongs to."""
        return f"{dotted(path)} (source {self.source!r})" if self.source else dotted(path)

    def mapping(self, value: object, path: KeyPath) -> Mapping[str, Any]:
        """Return a mapping."""
        if not isinstance(value, dict):
            self.refuse(path, show(value), "a mapping (key: value)", "see the layout of Gammapy's model files")
        return value

    def items(self, value: object, path: KeyPath) -> list[Any]:
        """Return a list."""
        if not isinstance(value, list):
            self.refuse(path, show(value), "a list", "begin each entry with '- '")
        return value

    def text(self, value: object, path: KeyPath, wanted: str = "text") -> str:
        """Return text."""
        if not isinstance(value, str) or not value:
            self.refuse(path, show(value), wanted, "write a name, in quotes if it looks like a number")
        return value

    def flag(self, value: object, path: KeyPath) -> bool:
        """Return true or false."""
        if not isinstance(value, bool):
            self.refuse(path, show(value), "true or false", "write true or false")
        return value

    def number(self, value: object, path: KeyPath) -> float:
        """Return a number, which may be NaN where that means that there is none."""
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(path, show(value), "a number", "write for example 1.5e-12")
        return float(value)

    def finite(self, value: object, path: KeyPath) -> float:
        """Return a finite number."""
        number = self.number(value, path)
        if not math.isfinite(number):
            self.refuse(path, number, "a finite number", "write for example 1.5e-12")
        return number

    def limit(self, value: object, path: KeyPath) -> float | None:
        """Return a limit; NaN, an infinity or nothing is none."""
        number = math.nan if value is None else self.number(value, path)
        return number if math.isfinite(number) else None

    def names(self, value: object, path: KeyPath) -> tuple[str, ...] | None:
        """Return a name or list of names, None for none."""
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        return tuple(self.text(name, (*path, number)) for number, name in enumerate(listed))

    def only(self, data: Mapping[str, Any], known: Iterable[str], path: KeyPath) -> None:
        """Refuse keys that mean nothing."""
        names = list(known)
        for key in data:
            if key not in names:
                self.refuse((*path, key), f"unknown key {key!r}", "a known key", nearest(key, names))

    def unit(self, value: object, wanted: str, path: KeyPath) -> str:
        """Return a unit of the same kind as the one wanted, as it is written."""
        text = "" if value is None else value
        if not isinstance(text, str):
            self.refuse(path, show(value), f"a unit such as {wanted or 'an empty text'}", "write it as text")
        try:
            found = read_unit(text)
        except UnitError as error:
            self.refuse(path, f"{text!r}: {error}", f"a unit such as {wanted}", "write units as in 'cm-2 s-1 TeV-1'")
        powers = read_unit(wanted).powers
        if found.powers != powers:
            message = f"{text!r}, the unit of {describe_kind(found.powers)}"
            self.refuse(path, message, f"a unit of {describe_kind(powers)}, such as {wanted!r}", "correct the unit")
        return text

    def table(self, value: object, wanted: str, path: KeyPath) -> tuple[float, ...]:
        """Return numbers of ``{data: [...], unit: ...}`` in the unit wanted."""
        data = self.mapping(value, path)
        unit = self.unit(data.get("unit"), wanted, (*path, "unit"))
        factor = 1.0 if unit == wanted else read_unit(unit).factor / read_unit(wanted).factor
        numbers = _flat(self.items(data.get("data"), (*path, "data")))
        return tuple(self.finite(number, (*path, "data")) * factor for number in numbers)

    def rising(self, numbers: tuple[float, ...], path: KeyPath, least: int = 2) -> tuple[float, ...]:
        """Return positive numbers that rise."""
        if len(numbers) < least:
            self.refuse(path, f"{len(numbers)} values", f"at least {least}", "give more nodes")
        for row, (low, high) in enumerate(pairwise(numbers), 1):
            if not low < high:
                self.refuse(path, f"{high} after {low} (row {row})", "values that rise", "sort the table")
        if numbers[0] <= 0:
            self.refuse(path, numbers[0], "values above 0", "cut the table where it begins")
        return numbers

    def find(self, value: object, path: KeyPath) -> str:
        """Return a file named in this one: beside it if it is there, else with environment variables filled in."""
        name = self.text(value, path, "the name of a file")
        beside = self.folder / name
        return str(beside) if beside.exists() else os.path.expandvars(name)


def _flat(values: list[Any]) -> list[Any]:
    flat = []
    for value in values:
        flat.extend(_flat(value) if isinstance(value, list) else [value])
    return flat
