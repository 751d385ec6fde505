"""Sources of catalogues as plain data in the layout of model files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from skysift.errors import InputError

__all__ = ["Columns", "Row", "component", "document", "numbers", "parameter", "part", "rows"]

Row = Mapping[str, Any]
_REMEDY = "fetch the catalogue again"


class Columns(Protocol):
    """A table as it was read: where from, columns and their units."""

    @property
    def place(self) -> str:
        """File and table."""

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Name to array; missing numbers are NaN, missing text is ""."""

    @property
    def units(self) -> Mapping[str, str]:
        """Name to unit."""


def rows(table: Columns) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    lists = {name: column.tolist() for name, column in table.columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def numbers(row: Row, names: tuple[str, ...], place: str, source: str) -> list[float]:
    """Return numbers of a row.

    Raises
    ------
    InputError : one is missing
    """
    for name in names:
        if not math.isfinite(row[name]):
            raise InputError(place, f"{source}, column {name}", "no value", "a number", _REMEDY)
    return [float(row[name]) for name in names]


def parameter(name: str, value: float, unit: str = "", error: float | None = None) -> dict[str, Any]:
    """Return a parameter; errors that are missing or zero are left out."""
    entry: dict[str, Any] = {"name": name, "value": value}
    if unit:
        entry["unit"] = unit
    if error is not None and math.isfinite(error) and error > 0:
        entry["error"] = float(error)
    return entry


def part(tag: str, *parameters: dict[str, Any], **settings: object) -> dict[str, Any]:
    """Return a spectrum or a shape."""
    return {"type": tag, **settings, "parameters": list(parameters)}


def component(name: str, spectral: dict[str, Any], spatial: dict[str, Any]) -> dict[str, Any]:
    """Return a source."""
    return {"name": name, "type": "SkyModel", "spectral": spectral, "spatial": spatial}


def document(components: list[dict[str, Any]], left_out: list[str], notes: list[str]) -> dict[str, Any]:
    """Return sources as a model file, with what was left out and repaired."""
    return {"components": components, "metadata": {"without_spectrum": left_out, "notes": notes}}
