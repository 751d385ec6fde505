"""Posteriors as ArviZ NetCDF, written and read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skysift.storage.posterior_schema import CheckRow, Posterior, Stage, Variable
from skysift.storage.provenance import Provenance
from skysift.storage.reader import read
from skysift.storage.schema import Dataset, File
from skysift.storage.writer import write

__all__ = ["CheckRow", "Posterior", "Stage", "Variable", "read_posterior", "write_posterior"]

_FORMAT, _VERSION = "posterior", 1
_ATTRIBUTES = ("log_z", "log_z_error", "log_z_method", "converged", "cost", "warnings")
_DRAWS = ("chain", "draw")
_GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "posterior": ("variables", _DRAWS),
    "sample_stats": ("sample_stats", _DRAWS),
    "prior": ("prior", _DRAWS),
    "observed_data": ("observed_data", ()),
    "weighted": ("weighted", ("sample",)),
    "arrays": ("arrays", ()),
}


def write_posterior(path: str | Path, posterior: Posterior) -> None:
    """Write a posterior as NetCDF that ``arviz.from_netcdf`` opens; atomic, checksummed and reproducible.

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError : no room on the disk
    ValueError : axes that do not fit together
    """
    datasets: dict[str, Dataset] = {}
    for group, (member, leading) in _GROUPS.items():
        _add_group(datasets, group, getattr(posterior, member), leading, posterior.coordinates)
    _add_stages(datasets, posterior)
    known = {name: getattr(posterior, name) for name in _ATTRIBUTES}
    if clash := known.keys() & posterior.attributes.keys():
        raise ValueError(f"attributes with a place of their own: {sorted(clash)}")
    given = posterior.provenance
    provenance = given if isinstance(given, Provenance) else Provenance(**given)
    attributes = {**posterior.attributes, **known}
    write(path, format=_FORMAT, version=_VERSION, datasets=datasets, attributes=attributes, provenance=provenance)


def _add_group(
    datasets: dict[str, Dataset],
    group: str,
    variables: Mapping[str, Variable],
    leading: tuple[str, ...],
    coordinates: Mapping[str, np.ndarray],
) -> None:
    """Add a group: first the coordinates that its variables use, then the variables."""
    arrays = {name: _dataset(name, given, leading) for name, given in variables.items()}
    sizes: dict[str, int] = {}
    for name, data in arrays.items():
        for axis, size in zip(data.axes, data.array.shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise ValueError(f"{group}/{name}: axis {axis} has {size} entries, elsewhere {sizes[axis]}")
    for axis in [*sizes]:
        if axis in coordinates and axis not in arrays:
            values = np.asarray(coordinates[axis])
            if values.shape != (sizes[axis],):
                raise ValueError(f"coordinate {axis} has shape {values.shape}, its axis {sizes[axis]} entries")
            datasets[f"{group}/{axis}"] = Dataset(values, axes=(axis,), attributes={"coordinate": True})
    datasets.update({f"{group}/{name}": data for name, data in arrays.items()})


def _dataset(name: str, given: Variable | np.ndarray, leading: tuple[str, ...]) -> Dataset:
    variable = given if isinstance(given, Variable) else Variable(given)
    array = np.asarray(variable.array)
    own = array.ndim - len(leading)
    if own < 0:
        raise ValueError(f"{name} has {array.ndim} axes; the first {len(leading)} are {leading}")
    dims = variable.dims or tuple(f"{name}_dim_{number}" for number in range(own))
    if len(dims) != own:
        raise ValueError(f"{name} has {own} axes of its own and {len(dims)} names for them: {dims}")
    attributes: dict[str, Any] = {"units": variable.unit, "long_name": variable.label}
    if variable.truth is not None:
        attributes["truth"] = np.asarray(variable.truth).tolist()
    if variable.prior_summary is not None:
        attributes["prior"] = dict(variable.prior_summary)
    if array.dtype == bool:
        # NetCDF has no booleans; xarray turns this mark back into them.
        array, attributes["dtype"] = array.astype(np.int8), "bool"
    return Dataset(array, variable.unit, variable.label, (*leading, *dims), attributes)


def _add_stages(datasets: dict[str, Dataset], posterior: Posterior) -> None:
    """Add the tables of stages and checks and the traces of each stage."""
    stages = posterior.stages
    if stages:
        columns: dict[str, Any] = {
            "engine": _text(stage.engine for stage in stages),
            "log_z": np.array([_number(stage.log_z) for stage in stages]),
            "log_z_error": np.array([_number(stage.log_z_error) for stage in stages]),
            "log_z_method": _text(stage.log_z_method for stage in stages),
        }
        datasets.update({f"stages/{name}": Dataset(values, axes=("stage",)) for name, values in columns.items()})
    costs = [(number, name, value) for number, stage in enumerate(stages) for name, value in stage.cost.items()]
    _add_table(datasets, "stage_cost", ("stage", "name", "value"), costs)
    rows = [(-1, check) for check in posterior.checks]
    rows += [(number, check) for number, stage in enumerate(stages) for check in stage.checks]
    table = [(at, row.name, _number(row.value), str(row.threshold), row.colour, row.advice) for at, row in rows]
    _add_table(datasets, "checks", ("stage", "name", "value", "threshold", "colour", "advice"), table)
    for number, stage in enumerate(stages):
        for name, trace in stage.traces.items():
            array = np.asarray(trace)
            axes = tuple(f"{number}_{name}_dim_{axis}" for axis in range(array.ndim))
            marks = {"stage": number, "trace": name}
            datasets[f"traces/{number}_{name}"] = Dataset(array, axes=axes, attributes=marks)


def _add_table(datasets: dict[str, Dataset], group: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        values = _text(column) if isinstance(column[0], str) else np.array(column)
        datasets[f"{group}/{name}"] = Dataset(values, axes=("row",))


def _text(items: Iterable[Any]) -> np.ndarray:
    return np.array([str(item) for item in items], dtype=object)


def _number(value: Any) -> float:  # noqa: ANN401 - number, verdict or None
    return math.nan if value is None else float(value)


def read_posterior(path: str | Path) -> Posterior:
    """Read a posterior written by `write_posterior`.

    Raises
    ------
    InputError : another file, a cut or damaged one, or a hostile one
    """
    file = read(path, format=_FORMAT, version=_VERSION, wanted={"posterior/*": None})
    groups: dict[str, Any] = {
        member: {name: _variable(data, len(leading)) for name, data in _members(file, group).items()}
        for group, (member, leading) in _GROUPS.items()
    }
    known = {name: file.attributes[name] for name in _ATTRIBUTES}
    checks = _read_checks(file)
    return Posterior(
        **groups,
        **{**known, "warnings": tuple(known["warnings"])},
        coordinates=_read_coordinates(file),
        checks=tuple(row for stage, row in checks if stage < 0),
        stages=_read_stages(file, checks),
        attributes={name: value for name, value in file.attributes.items() if name not in _ATTRIBUTES},
        provenance=file.provenance,
    )


def _members(file: File, group: str) -> dict[str, Dataset]:
    """Return the variables of a group, without its coordinates."""
    head = f"{group}/"
    return {
        name.removeprefix(head): data
        for name, data in file.datasets.items()
        if name.startswith(head) and "coordinate" not in data.attributes
    }


def _variable(data: Dataset, leading: int) -> Variable:
    array = data.array.astype(bool) if data.attributes.get("dtype") == "bool" else data.array
    truth = data.attributes.get("truth")
    return Variable(
        array,
        data.unit,
        data.description,
        data.axes[leading:],
        None if truth is None else np.asarray(truth),
        data.attributes.get("prior"),
    )


def _read_coordinates(file: File) -> dict[str, np.ndarray]:
    marked = {name: data for name, data in file.datasets.items() if "coordinate" in data.attributes}
    return {name.rsplit("/", 1)[-1]: data.array for name, data in marked.items()}


def _rows(file: File, group: str) -> list[dict[str, Any]]:
    columns = {name: array.tolist() for name, array in file.group(group).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _read_checks(file: File) -> list[tuple[int, CheckRow]]:
    return [
        (row["stage"], CheckRow(row["name"], row["value"], row["threshold"], row["colour"], row["advice"]))
        for row in _rows(file, "checks")
    ]


def _read_stages(file: File, checks: list[tuple[int, CheckRow]]) -> tuple[Stage, ...]:
    costs, traces = _rows(file, "stage_cost"), _members(file, "traces").values()
    return tuple(
        Stage(
            row["engine"],
            None if math.isnan(row["log_z"]) else row["log_z"],
            None if math.isnan(row["log_z_error"]) else row["log_z_error"],
            row["log_z_method"],
            {cost["name"]: cost["value"] for cost in costs if cost["stage"] == number},
            tuple(check for at, check in checks if at == number),
            {data.attributes["trace"]: data.array for data in traces if data.attributes["stage"] == number},
        )
        for number, row in enumerate(_rows(file, "stages"))
    )
