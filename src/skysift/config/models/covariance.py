"""Covariance of all parameters of a model file, as a table of fixed width beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from pathlib import Path

from skysift.config.models.declarations import ModelFile
from skysift.errors import InputError

__all__ = ["check_covariance", "covariance_text", "read_covariance"]

Matrix = tuple[tuple[float, ...], ...]
_MAX_BYTES = 200_000_000


def read_covariance(path: Path, models: ModelFile) -> Matrix:
    """Return the covariance of all parameters of a model file in order of declaration, in their units.

    Raises
    ------
    InputError : no such file, another shape, other parameters, or a matrix that is not one of covariances
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(path, "(file)", "too large", f"at most {_MAX_BYTES} bytes", "check the path")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, "(file)", str(error), "the covariance named in the model file", "check the path, or remove the entry"
        ) from error
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.strip()]
    if not rows or rows[0][0] != "Parameters":
        raise InputError(path, "header", rows[0][:1] if rows else "nothing", "a column 'Parameters'", "write it anew")
    names = [row[0] for row in rows[1:]]
    wanted = list(models.parameters())
    _check_rows(path, rows, names, wanted)
    matrix = tuple(
        tuple(_number(path, name, cell) for cell in row[1:]) for name, row in zip(names, rows[1:], strict=True)
    )
    check_covariance(matrix, names, str(path))
    return matrix


def _check_rows(path: Path, rows: Sequence[Sequence[str]], names: list[str], wanted: list[str]) -> None:
    remedy = "write the models and their covariance anew, together"
    width = {len(row) - 1 for row in rows}
    if width != {len(wanted)} or len(names) != len(wanted):
        found = f"{len(names)} rows of {', '.join(map(str, sorted(width)))} numbers"
        raise InputError(path, "shape", found, f"{len(wanted)} rows and columns, one for each parameter", remedy)
    for row, (name, one) in enumerate(zip(names, wanted, strict=True)):
        if name != one:
            raise InputError(path, f"row {row}", name, f"{one}, the order of the model file", remedy)


def _number(path: Path, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(path, name, text, "finite numbers", "repeat the fit")
    return value


def check_covariance(matrix: Matrix, names: Sequence[str], place: str) -> None:
    """Refuse a matrix that is not symmetric or has a negative eigenvalue; rows of frozen parameters are zero.

    Raises
    ------
    InputError : which parameter is wrong
    """
    scale = [math.sqrt(max(row[number], 0.0)) for number, row in enumerate(matrix)]
    for number, row in enumerate(matrix):
        for other, value in enumerate(row[:number]):
            bound = 1e-8 * scale[number] * scale[other]
            if abs(value - matrix[other][number]) > bound:
                found = f"{value!r} and {matrix[other][number]!r}"
                raise InputError(
                    place, f"{names[number]}, {names[other]}", found, "a symmetric matrix", "repeat the fit"
                )
        if row[number] < 0 or (row[number] == 0 and any(row)):
            raise InputError(place, names[number], row[number], "a variance > 0, or a row of zeros", "repeat the fit")
    used = [number for number, size in enumerate(scale) if size > 0]
    factor: list[list[float]] = []
    for place_of_row, number in enumerate(used):
        line: list[float] = []
        for place_of_column, other in enumerate(used[:place_of_row]):
            value = matrix[number][other] / (scale[number] * scale[other])
            inner = sum(map(mul, line, factor[place_of_column]))
            pivot = factor[place_of_column][place_of_column]
            line.append((value - inner) / pivot if pivot > 1e-7 else 0.0)
        rest = 1.0 - sum(map(mul, line, line))
        if rest < -1e-6:
            raise InputError(
                place, names[number], f"a remaining share of its variance of {rest:.2g}",
                "a matrix without negative eigenvalue", "repeat the fit",
            )  # fmt: skip
        factor.append([*line, math.sqrt(max(rest, 0.0))])


def covariance_text(models: ModelFile) -> str:
    """Return the table of a covariance with 17 digits."""
    names = list(models.parameters())
    matrix = models.covariance or ()
    cells = [["Parameters", *(str(number) for number in range(len(names)))]]
    cells += [[name, *(repr(value) for value in row)] for name, row in zip(names, matrix, strict=True)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(names) + 1)]
    return "".join(
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |\n" for row in cells
    )
