"""``skysift evaluate``: a run's model at given parameter values, for comparison with any other code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import Analysis, load
from skysift.config.slices import fit_slice
from skysift.errors import InputError, nearest
from skysift.storage.hdf5 import Dataset, check_writable, collect, write
from skysift.storage.tables import read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skysift.parameters import Parameters

__all__ = ["check_shares", "columns_of", "read_cell", "read_values", "run"]

BATCH = 64
DIGITS = 17
SHARE_TOLERANCE = 1e-6


def run(config: Path, observation: Path, data: Path, fit: str, table: Path, out: Path) -> None:
    """Write log prior, log likelihood and expected counts for each row of a table of parameter values.

    A parameter of several numbers takes the columns ``name[0]``, ``name[1]``, ...; a field that is left out is zero;
    marginalised hyper-parameters that are left out stand at the median of their prior. Expected counts of every pixel
    go to an HDF5 file of format ``expected`` beside the table.

    Parameters
    ----------
    config : ``results/<run>/config.yaml``, or any configuration
    observation : file of format ``observation``
    data : file of format ``counts``
    fit : name of a fit
    table : CSV with a header
    out : CSV; ``log_prior``, ``log_likelihood``, ``expected_total`` and ``<component>_counts`` beside the values

    Raises
    ------
    InputError : an unknown fit or column, a missing norm, a cell that is no number
    """
    expected = out.with_suffix(".h5")
    check_writable(out)
    check_writable(expected)
    analysis = load([config])
    if not isinstance(analysis, Analysis):
        raise InputError(config, "observation.instrument", "ctao", "counts maps", "evaluate a run on counts maps")
    if fit not in analysis.fits:
        raise InputError(config, "--fit", fit, "the name of a fit", nearest(fit, analysis.fits))
    import torch

    from skysift.instruments.fermi import read_counts, read_observation
    from skysift.models import build

    rows = read_table(table)
    model = build(fit_slice(analysis, fit), read_observation(observation), read_counts(data))
    known = [column for item in model.parameters for column in columns_of(item.name, item.shape)]
    known += list(model.hyper.names if model.hyper else ())
    _check_columns(table, rows, known)
    results, maps = [], []
    for number, row in enumerate(rows):
        hyper = (
            {}
            if model.hyper is None
            else {
                name: torch.tensor(read_cell(table, number, name, row[name]), dtype=torch.float64)
                for name in model.hyper.names
                if name in row
            }
        )
        member = model
        if hyper and model.hyper is not None:
            middle = model.hyper.from_cube(torch.full((model.hyper.cube_size,), 0.5, dtype=torch.float64))
            member = model.at(middle | hyper)
        values = {name: part[None] for name, part in read_values(table, number, row, model.parameters).items()}
        parts = member.component_counts(values)
        mu = member.expected(values)
        maps.append(mu[0].numpy())
        results.append(
            dict(row)
            | {
                "log_prior": float(model.parameters.log_prior(values)[0]),
                "log_likelihood": float(member.log_likelihood(values)[0]),
                "expected_total": float(mu.sum()),
            }
            | {f"{name}_counts": float(part.sum()) for name, part in parts.items()}
        )
    bands = model.counts.shape[0]
    provenance = collect(analysis.run, analysis.seed, config.read_bytes(), [observation, data, table])
    cube = Dataset(
        np.stack(maps).reshape(len(maps), bands, -1), "counts", "expected counts", ("row", "energy", "pixel")
    )
    write(expected, format="expected", datasets={"expected": cube}, attributes={"fit": fit}, provenance=provenance)
    write_table(out, results, digits=DIGITS)


def columns_of(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return the columns that hold one parameter: its name, with ``[k]`` for each number of a vector."""
    size = int(np.prod(shape)) if shape else 1
    return [name] if shape == () else [f"{name}[{k}]" for k in range(size)]


def read_cell(table: Path, row: int, name: str, text: object) -> float:
    """Return the number in a cell; ``row`` counts from 0."""
    try:
        return float(str(text))
    except ValueError as error:
        raise InputError(table, f"{name}, row {row + 1}", text, "a number", "correct the cell") from error


def check_shares(table: Path, row: int, name: str, values: Sequence[float]) -> None:
    """Refuse shares that are negative or do not sum to one; ``row`` counts from 0."""
    if min(values) < 0 or not abs(sum(values) - 1) < SHARE_TOLERANCE:
        found = f"{' + '.join(f'{value:g}' for value in values)} = {sum(values):g}"
        raise InputError(table, f"row {row + 1}, {name}", found, "numbers >= 0 that sum to 1", "correct the row")


def _check_columns(table: Path, rows: list[dict[str, str]], known: list[str]) -> None:
    """Refuse a table without rows, or with a column that is no number of a parameter."""
    if not rows:
        raise InputError(table, "rows", "none", "one or more rows of parameter values", "add a row")
    for column in rows[0]:
        if column not in known:
            raise InputError(table, "header", column, "a number of a parameter", nearest(column, known))


def read_values(table: Path, number: int, row: dict[str, str], parameters: Parameters) -> dict[str, Tensor]:
    """Return the values of one row, {name: (*shape)} as tensors."""
    import torch

    from skysift.parameters.priors import Dirichlet

    values = {}
    for item in parameters:
        columns = columns_of(item.name, item.shape)
        missing = [column for column in columns if column not in row]
        if missing and item.block != "field":
            raise InputError(table, "header", f"no column {missing[0]}", "a column for every norm", f"add {missing[0]}")
        cells = [0.0 if column in missing else read_cell(table, number, column, row[column]) for column in columns]
        if isinstance(item.prior, Dirichlet):
            check_shares(table, number, item.name, cells)
        values[item.name] = torch.tensor(cells, dtype=torch.float64).reshape(item.shape)
    return values
