"""Tables as CSV: atomic, one fixed spelling of numbers whatever the locale."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skysift.errors import InputError
from skysift.storage.guard import check_file
from skysift.storage.text import write_text

__all__ = ["read_table", "spell_table", "write_table"]


def spell_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None, digits: int = 8) -> str:
    r"""Return rows as CSV text.

    Parameters
    ----------
    rows : one mapping per row; an absent or None value is an empty cell
    columns : names in order; those of the rows, in order of appearance, when absent
    digits : significant digits of floats

    Raises
    ------
    ValueError : a row has a value under a name that is no column

    Examples
    --------
    >>> spell_table([{"name": "gce", "mean": 0.9}, {"name": "disk", "mean": 1 / 3}], digits=3)
    'name,mean\ngce,0.9\ndisk,0.333\n'
    """
    table = list(rows)
    names = list(columns) if columns is not None else list(dict.fromkeys(name for row in table for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _spell(value, digits) for name, value in row.items()} for row in table)
    return stream.getvalue()


def _spell(value: Any, digits: int) -> str:  # noqa: ANN401 - any cell
    plain = value.item() if hasattr(value, "item") else value
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return f"{plain:.{digits}g}" if isinstance(plain, float) else str(plain)


def write_table(
    path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None, digits: int = 8
) -> None:
    """Write rows as CSV (see `spell_table`), whole or not at all.

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError : no room on the disk
    """
    write_text(path, spell_table(rows, columns, digits))


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV file with a header into one mapping of texts per row.

    Raises
    ------
    InputError : no regular file, no header, or rows of another length
    """
    place = check_file(path)
    with place.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            rows = list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(place, "table", error, "CSV in UTF-8", "make the file again") from error
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            names = reader.fieldnames or []
            raise InputError(place, f"row {number + 1}", "other cells", f"{len(names)} cells", "make the file again")
    return rows
