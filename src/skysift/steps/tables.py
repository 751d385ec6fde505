"""``skysift tables``: posteriors, evidences, costs and calibration of a run as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.config import kind_of, load_slice
from skysift.diagnostics.chains import bulk_ess, split_r_hat
from skysift.steps.gather import FitRecord, find_prior, find_truth, gather_fits
from skysift.steps.ranks import RANK_COLUMNS, gather_ranks, rank_rows
from skysift.steps.replicates import CALIBRATION_COLUMNS, calibrate, find_peak
from skysift.storage.tables import write_table

if TYPE_CHECKING:
    from skysift.config import AnyReportSlice

__all__ = ["cost_rows", "evidence_rows", "posterior_rows", "run"]

LEVELS = {"q2.5": 0.025, "q16": 0.16, "q50": 0.5, "q84": 0.84, "q97.5": 0.975}
POSTERIOR_COLUMNS = (
    "fit", "data", "parameter", "unit", "mean", "sd", *LEVELS, "r_hat", "ess_bulk", "truth", "prior_sd",
    "sd_over_prior_sd", "peak_without_prior", "note",
)  # fmt: skip
EVIDENCE_COLUMNS = ("fit", "data", "diffuse_templates", "log_z", "error", "method", "converged", "note")
COST_FIRST = ("fit", "data", "stage", "cpu_s", "wall_s", "gradients")
Row = dict[str, Any]


def run(config: Path, run_dir: Path, out_dir: Path) -> None:
    """Write ``posterior.csv``, ``evidence.csv``, ``cost.csv``, ``calibration.csv`` and, with trials, ``ranks.csv``.

    Parameters
    ----------
    config : slice ``report`` of the configuration
    run_dir : ``results/<run>``
    out_dir : where the tables go; missing fits are left out of them
    """
    settings: AnyReportSlice
    match kind_of(config):
        case "events":
            settings = load_slice(config, "events/report")
        case "cubes":
            settings = load_slice(config, "cubes/report")
        case _:
            settings = load_slice(config, "report")
    records = gather_fits(run_dir, settings)
    rows = cost_rows(records)
    further = sorted({name for row in rows for name in row} - set(COST_FIRST))
    write_table(out_dir / "posterior.csv", posterior_rows(settings, records), POSTERIOR_COLUMNS)
    write_table(out_dir / "evidence.csv", evidence_rows(settings, records), EVIDENCE_COLUMNS)
    write_table(out_dir / "cost.csv", rows, (*COST_FIRST, *further))
    write_table(out_dir / "calibration.csv", calibrate(run_dir, settings, records), CALIBRATION_COLUMNS)
    if settings.calibrated:
        write_table(out_dir / "ranks.csv", rank_rows(gather_ranks(run_dir, settings)), RANK_COLUMNS)


def posterior_rows(settings: AnyReportSlice, records: Iterable[FitRecord]) -> list[Row]:
    """Return one row per fit, data set and single number."""
    return [
        _posterior_row(settings, record, name) for record in records if not record.problem for name in record.quantities
    ]


def _posterior_row(settings: AnyReportSlice, record: FitRecord, name: str) -> Row:
    quantity = record.quantities[name]
    flat = quantity.flat
    prior = find_prior(settings, record.fit, name)
    truth = quantity.truth if quantity.truth is not None else find_truth(settings, record.fit, record.data, name)
    sd = float(flat.std(ddof=1)) if flat.size > 1 else float("nan")
    return {
        "fit": record.fit,
        "data": record.data,
        "parameter": name,
        "unit": quantity.unit,
        "mean": float(flat.mean()),
        "sd": sd,
        **dict(zip(LEVELS, np.quantile(flat, list(LEVELS.values())).tolist(), strict=True)),
        "r_hat": split_r_hat(quantity.draws),
        "ess_bulk": bulk_ess(quantity.draws),
        "truth": truth,
        "prior_sd": prior.sd if prior else None,
        "sd_over_prior_sd": sd / prior.sd if prior else None,
        "peak_without_prior": find_peak(record, name, prior) if prior else None,
        "note": record.note,
    }


def evidence_rows(settings: AnyReportSlice, records: Iterable[FitRecord]) -> list[Row]:
    """Return one row per fit and data set, also of those that are missing."""
    return [
        {
            "fit": record.fit,
            "data": record.data,
            "diffuse_templates": " ".join(_modulated_first(settings, record.base)),
            "log_z": record.log_z,
            "error": record.log_z_error,
            "method": record.log_z_method,
            "converged": record.converged,
            "note": record.problem.splitlines()[0] if record.problem else record.note,
        }
        for record in records
    ]


def _modulated_first(settings: AnyReportSlice, fit: str) -> list[str]:
    """Name the modulated templates of a fit, or all of them when none is."""
    components = settings.models[fit].values()
    return [c.template for c in components if c.modulate] or [c.template for c in components]


def cost_rows(records: Iterable[FitRecord]) -> list[Row]:
    """Return one row per fit, data set and stage, and their sum as stage ``total``; no fit counts twice."""
    rows: list[Row] = []
    for record in records:
        if record.problem or record.has_systematic:
            continue
        head = {"fit": record.fit, "data": record.data}
        rows += [{**head, "stage": stage.engine, **stage.cost} for stage in record.stages if stage.cost]
        if record.cost:
            rows.append({**head, "stage": "total", **record.cost})
    return rows
