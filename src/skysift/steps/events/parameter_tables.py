"""Tables of parameter values of an event model: fractions by name of the component, whatever the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from skysift.errors import InputError, nearest
from skysift.steps.evaluate import check_shares, columns_of, read_cell, read_values

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.models.mixture import MixtureModel

__all__ = ["read_points"]

Row = Mapping[str, str]


def read_points(table: Path, rows: Sequence[Row], model: MixtureModel) -> list[dict[str, Tensor]]:
    """Return the values (1, *shape) of all parameters at each row of a table.

    Parameters
    ----------
    table : file of the rows, for messages
    rows : column to cell; fractions as ``<component>_fraction``, or by the numbers of their parameters
    model : whose parameters they are

    Raises
    ------
    InputError : no rows, a column too many or too few, a cell that is no number, fractions that do not sum to one
    """
    shares = _check_header(table, rows, model)
    points = []
    for number, row in enumerate(rows):
        own = {name: cell for name, cell in row.items() if name not in shares}
        if shares:
            own |= _split(table, number, row, shares, model)
        points.append({name: part[None] for name, part in read_values(table, number, own, model.parameters).items()})
    return points


def _check_header(table: Path, rows: Sequence[Row], model: MixtureModel) -> list[str]:
    """Return the columns of fractions by component, none where the table has the parameters' own numbers."""
    columns = {item.name: columns_of(item.name, item.shape) for item in model.parameters}
    own = [name for item in model.shares.parameters for name in columns[item.name]]
    fractions = [] if model.is_extended or not own else [f"{name}_fraction" for name in model.names]
    further = [name for item in model.further if item.block != "field" for name in columns[item.name]]
    fields = [name for item in model.further if item.block == "field" for name in columns[item.name]]
    wanted = ", ".join([*(fractions or own), *further])
    if not rows:
        raise InputError(table, "rows", "none", f"one or more rows of {wanted}", "add a row")
    by_name = any(name in rows[0] for name in fractions) or not any(name in rows[0] for name in own)
    shares = fractions if by_name else []
    needed = [*(shares or own), *further]
    for name in rows[0]:
        if name not in needed and name not in fields:
            raise InputError(table, "header", name, f"the columns {wanted}", nearest(name, needed))
    missing = [name for name in needed if name not in rows[0]]
    if missing:
        found = f"no column {', '.join(missing)}"
        raise InputError(table, "header", found, f"the columns {wanted}", f"add {missing[0]}")
    return shares


def _split(table: Path, number: int, row: Row, shares: Sequence[str], model: MixtureModel) -> dict[str, str]:
    """Return the cells of the parameters that fractions stand for, branch by branch of their tree."""
    values = [read_cell(table, number, name, row[name]) for name in shares]
    check_shares(table, number, "fractions", values)
    parts = model.shares.split(torch.tensor(values, dtype=torch.float64))
    names = {name: columns_of(name, tuple(part.shape)) for name, part in parts.items()}
    return {
        column: repr(float(value))
        for name, part in parts.items()
        for column, value in zip(names[name], part, strict=True)
    }
