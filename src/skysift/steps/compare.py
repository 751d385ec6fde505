"""``skysift compare``: fits of the same data beside each other, the first as the reference."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from skysift.diagnostics.chains import bulk_ess
from skysift.errors import InputError
from skysift.steps.gather import FitRecord, Quantity, read_record
from skysift.storage.tables import write_table

__all__ = ["COLUMNS", "compare_fits", "run"]

COLUMNS = (
    "parameter", "unit", "fit", "mean", "sd", "shift_sd", "shift_error_sd", "sd_ratio", "log_z", "log_z_error",
    "log_z_difference", "log_z_difference_error", "cpu_s", "converged", "note",
)  # fmt: skip
EVIDENCE, COST = "ln Z", "cost"
Row = dict[str, Any]


def run(posteriors: Sequence[Path], out: Path | None = None) -> None:
    """Print how fits of the same data differ, and write it as a table.

    Parameters
    ----------
    posteriors : two files made by `fit` or more; the first is the reference
    out : CSV with the same numbers

    Raises
    ------
    InputError : fewer than two files, files of different data, or nothing in common
    """
    if len(posteriors) < 2:
        found = f"{len(posteriors)} file"
        raise InputError(
            "command line", "posteriors", found, "two or more", "name the reference first, then the others"
        )
    records = [read_record(path, name, "") for path, name in zip(posteriors, _name(posteriors), strict=True)]
    _verify(posteriors, records)
    rows = list(compare_fits(records))
    if out is not None:
        write_table(out, rows, COLUMNS)
    _show(rows, records[0].fit)


def compare_fits(records: Sequence[FitRecord]) -> Iterator[Row]:
    r"""Yield one row for each number and fit, one evidence and one cost per fit.

    For means m, standard deviations s and effective sample sizes n, and those of the reference with index 0,

    .. math:: \mathrm{shift} = (m - m_0) / s_0, \qquad
              \mathrm{error}^2 = \frac{1}{n_0} + \frac{(s / s_0)^2}{n}
    """
    first = records[0]
    for name, reference in first.quantities.items():
        if any(name in record.quantities for record in records[1:]):
            for record in records:
                if name in record.quantities:
                    row = _shift(record.quantities[name], reference)
                    yield {"parameter": name, "fit": record.fit, **row, **_label(record)}
    for record in records:
        label = _label(record)
        row = {"parameter": EVIDENCE, "fit": record.fit, **label}
        row["note"] = "; ".join(part for part in (record.log_z_method, label["note"]) if part)
        row |= {"log_z": record.log_z, "log_z_error": record.log_z_error}
        if record.log_z is not None and first.log_z is not None:
            row["log_z_difference"] = record.log_z - first.log_z
            if record.log_z_error is not None and first.log_z_error is not None:
                row["log_z_difference_error"] = math.hypot(record.log_z_error, first.log_z_error)
        yield row
    for record in records:
        yield {
            "parameter": COST, "fit": record.fit, "cpu_s": record.cost.get("cpu_s"), **_label(record),
        }  # fmt: skip


def _label(record: FitRecord) -> Row:
    return {"converged": record.converged, "note": record.note}


def _shift(quantity: Quantity, reference: Quantity) -> Row:
    mean, sd = float(quantity.flat.mean()), _width(quantity)
    row: Row = {"unit": quantity.unit, "mean": mean, "sd": sd}
    scale = _width(reference)
    if not scale:
        return row
    row["shift_sd"] = (mean - float(reference.flat.mean())) / scale
    if not sd:
        return row
    error = math.sqrt(1 / bulk_ess(reference.draws) + (sd / scale) ** 2 / bulk_ess(quantity.draws))
    return row | {"shift_error_sd": error if math.isfinite(error) else None, "sd_ratio": sd / scale}


def _width(quantity: Quantity) -> float | None:
    """Return the sd; None for one draw, which has none."""
    return float(quantity.flat.std(ddof=1)) if quantity.flat.size > 1 else None


def _name(paths: Sequence[Path]) -> list[str]:
    """Name each fit by its folder, as `fits/<fit>/<data>.nc` says, or by its whole path where that says too little."""
    short = [path.absolute().parent.name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def _verify(paths: Sequence[Path], records: Sequence[FitRecord]) -> None:
    for path, record in zip(paths, records, strict=True):
        if record.problem:
            found, remedy = "no posterior that can be read", "name the right file, or make it again"
            raise InputError(path, "posterior", found, "a posterior made by skysift fit", remedy)
    wanted = _data_of(records[0])
    for path, record in zip(paths[1:], records[1:], strict=True):
        if _data_of(record) != wanted:
            found, remedy = _spell(_data_of(record)), "compare fits of one data set of one run"
            raise InputError(path, "data", found, f"the data of {paths[0]}: {_spell(wanted)}", remedy)
        if not set(record.quantities) & set(records[0].quantities):
            found = ", ".join(record.quantities)
            raise InputError(path, "posterior", found, f"a number that {paths[0]} has, too", "compare other fits")


def _data_of(record: FitRecord) -> tuple[str, str]:
    """Return name and sha256 of the data that a fit has seen."""
    name = str(record.attributes.get("data", ""))
    return name, str(record.provenance.get("inputs", {}).get(f"{name}.h5", ""))


def _spell(data: tuple[str, str]) -> str:
    return f"{data[0]} (sha256 {data[1][:12] or 'unknown'})"


def _show(rows: Sequence[Row], reference: str) -> None:
    """Print a line for each number and fit; what follows from a norm alone is in the table on disk only."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    table.add_column("fit", overflow="fold")
    for heading in ("mean ± sd", f"shift / sd of {reference}", "sd ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    named = {row["parameter"] for row in rows}
    notes = {row["fit"]: row["note"] for row in rows if row["parameter"] == COST and row["note"]}
    shown = [row for row in rows if not _follows_from_norm(row["parameter"], named)]
    for row, before in zip(shown, [None, *shown], strict=False):
        is_first = before is None or before["parameter"] != row["parameter"]
        if is_first and before is not None:
            table.add_section()
        fit = f"{row['fit']} *" if row["fit"] in notes else row["fit"]
        table.add_row(row["parameter"] if is_first else "", fit, *_spell_row(row, reference))
    Console().print(table)
    for fit, note in notes.items():
        print(f"* {fit}: {note}")


def _follows_from_norm(name: str, named: Collection[str]) -> bool:
    return any(
        name.removesuffix(end) != name and f"{name.removesuffix(end)}_norm" in named
        for end in ("_counts", "_fraction", "_intensity")
    )


def _spell_row(row: Row, reference: str) -> tuple[str, ...]:
    if row["parameter"] == COST:
        return ("" if row["cpu_s"] is None else f"{row['cpu_s']:.1f} CPU s",)
    if row["parameter"] == EVIDENCE:
        if row["log_z"] is None:
            return ("none",)
        value = f"{row['log_z']:.2f}{_spell_error(row['log_z_error'])}"
        if row["fit"] == reference or "log_z_difference" not in row:
            return (value,)
        return (value, f"{row['log_z_difference']:+.2f}{_spell_error(row.get('log_z_difference_error'))} nats")
    value = f"{row['mean']:.4g}" + ("" if row["sd"] is None else f" ± {row['sd']:.2g}")
    if row["fit"] == reference or "shift_sd" not in row:
        return (value,)
    ratio = f"{row['sd_ratio']:.2f}" if "sd_ratio" in row else ""
    return (value, f"{row['shift_sd']:+.2f}{_spell_error(row.get('shift_error_sd'))}", ratio)


def _spell_error(error: float | None) -> str:
    """Write an error; nothing where none is known, which is not the same as zero."""
    return "" if error is None else f" ± {error:.2f}"
