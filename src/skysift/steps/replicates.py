"""Calibration over replicates: each fit of each simulated set against its truth, with the bare prior beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.diagnostics.replicates import peak_without_prior, summarise_replicates
from skysift.errors import SkysiftError
from skysift.steps.gather import FitRecord, find_prior, find_truth, set_of
from skysift.storage.hdf5 import open_reader

if TYPE_CHECKING:
    from skysift.config import AnyReportSlice
    from skysift.diagnostics.priors import PriorDensity

__all__ = ["CALIBRATION_COLUMNS", "calibrate", "find_peak", "read_scores"]

CALIBRATION_COLUMNS = (
    "fit", "set", "parameter", "unit", "n", "n_missing", "n_not_converged", "truth", "mean", "scatter", "mean_sd",
    "bias", "bias_error", "mean_absolute_error", "coverage_68", "coverage_95", "peak", "peak_bias", "sd_over_prior_sd",
    "mean_log_z", "ratio_rmse", "ratio_coverage_68", "cpu_s", "note",
)  # fmt: skip
Row = dict[str, Any]


def find_peak(record: FitRecord, parameter: str, prior: PriorDensity | None) -> float:
    """Return where the marginal likelihood without the parameter's prior peaks; nan without a prior to divide by.

    A fit that ends in `grid` knows the marginal likelihood itself; otherwise it is the density of the draws over the
    prior, which ends where the prior ends.
    """
    draws = record.quantities[parameter].flat
    if prior is None or draws.size < 2:
        return float("nan")
    if _is_marginal_of(record, parameter):
        return float(record.arrays["marginal_grid"][int(np.argmax(record.arrays["marginal_log_likelihood"]))])
    spread = np.quantile(draws, [0.0005, 0.9995])
    margin = 0.25 * (spread[1] - spread[0])
    low = max(spread[0] - margin, prior.support[0])
    high = min(spread[1] + margin, prior.support[1])
    if not high > low:
        return float("nan")
    grid = np.linspace(low, high, 401)
    return peak_without_prior(draws, prior.log_density(grid), grid)


def _is_marginal_of(record: FitRecord, parameter: str) -> bool:
    """Tell whether the stored marginal likelihood is that of ``parameter``: by name, else by its own draws."""
    if "marginal_grid" not in record.arrays:
        return False
    for name in ("marginal_of", "systematic_of"):
        if name in record.attributes:
            return bool(record.attributes[name] == parameter)
    own = record.arrays.get(f"flat_{parameter}")
    if own is None:
        return False
    grid, log_likelihood = record.arrays["marginal_grid"], record.arrays["marginal_log_likelihood"]
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    mean = float(weight @ grid)
    sd = float(np.sqrt(weight @ (grid - mean) ** 2))
    return bool(abs(own.mean() - mean) < 0.2 * sd and 0.8 < own.std() / sd < 1.25)


def read_scores(run_dir: Path, fit: str, data: str) -> Mapping[str, Any]:
    """Return the attributes of a predictive file; empty where there is none to read."""
    path = run_dir / "predictive" / fit / f"{data}.h5"
    if not path.exists():
        return {}
    try:
        with open_reader(path, format="predictive") as reader:
            return dict(reader.attributes)
    except SkysiftError:
        return {}


def calibrate(run_dir: Path, settings: AnyReportSlice, records: Iterable[FitRecord]) -> list[Row]:
    """Return one row per simulated set, quantity with a truth, and fit; the bare prior comes first.

    Parameters
    ----------
    run_dir : ``results/<run>``
    settings : slice ``report``
    records : of `gather_fits`

    Returns
    -------
    rows with `CALIBRATION_COLUMNS`; empty where nothing was simulated
    """
    groups: dict[tuple[str, str], list[FitRecord]] = {}
    for record in records:
        if set_of(record.data) in settings.truth:
            groups.setdefault((set_of(record.data), record.fit), []).append(record)
    rows: list[Row] = []
    for (name, fit), members in groups.items():
        shared = _shared_numbers(run_dir, members)
        head = {"set": name, "fit": fit}
        rows += [head | _summarise(settings, members, parameter) | shared for parameter in _truths(settings, members)]
    return _with_priors(settings, rows)


def _truth(settings: AnyReportSlice, record: FitRecord, parameter: str) -> float | None:
    stored = record.quantities[parameter].truth
    return stored if stored is not None else find_truth(settings, record.fit, record.data, parameter)


def _truths(settings: AnyReportSlice, members: list[FitRecord]) -> list[str]:
    """Name the norms and fractions that have a truth in every replicate that is there."""
    there = [record for record in members if not record.problem]
    if not there:
        return []
    return [
        name
        for name in there[0].quantities
        if all(name in record.quantities and _truth(settings, record, name) is not None for record in there)
    ]


def _summarise(settings: AnyReportSlice, members: list[FitRecord], parameter: str) -> Row:
    there = [record for record in members if not record.problem]
    prior = find_prior(settings, members[0].fit, parameter)
    draws = [record.quantities[parameter].flat for record in there]
    truths = np.array([_truth(settings, record, parameter) for record in there], dtype=np.float64)
    # Truths of derived quantities differ a little between replicates: shift them onto their mean.
    shifted = [d + (truths.mean() - t) for d, t in zip(draws, truths, strict=True)]
    peaks = np.array([find_peak(record, parameter, prior) for record in there])
    found = summarise_replicates(float(truths.mean()), shifted, peaks, prior.sd if prior else float("nan"))
    errors = np.array([d.mean() for d in shifted]) - truths.mean()
    return found.row() | {
        "parameter": parameter,
        "unit": there[0].quantities[parameter].unit,
        "mean_absolute_error": float(np.mean(np.abs(errors))),
        "peak_bias": found.peak - found.truth,
        "n_missing": len(members) - len(there),
        "n_not_converged": sum(record.converged is False for record in there),
        "note": next((record.note for record in there if record.is_tempered or record.is_point), ""),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _shared_numbers(run_dir: Path, members: list[FitRecord]) -> Row:
    """Return what belongs to a fit as a whole, not to one of its quantities."""
    there = [record for record in members if not record.problem]
    scores = [read_scores(run_dir, record.base, record.data) for record in there]
    ratios: list[Mapping[str, float]] = [next(iter(score.get("ratio", {}).values()), {}) for score in scores]
    return {
        "mean_log_z": _mean(record.log_z for record in there),
        "ratio_rmse": _mean(ratio.get("rmse") for ratio in ratios),
        "ratio_coverage_68": _mean(ratio.get("coverage_68") for ratio in ratios),
        "cpu_s": _mean(record.cost.get("cpu_s") for record in there),
    }


def _with_priors(settings: AnyReportSlice, rows: list[Row]) -> list[Row]:
    """Put a row ``prior`` before the fits of each set and parameter whose prior is the same in all of them."""
    made: list[Row] = []
    done: set[tuple[str, str, PriorDensity]] = set()
    for row in sorted(rows, key=lambda r: (list(settings.truth).index(r["set"]), r["parameter"])):
        prior = find_prior(settings, row["fit"], row["parameter"])
        if prior is not None and (row["set"], row["parameter"], prior) not in done:
            done.add((row["set"], row["parameter"], prior))
            made.append(_prior_row(row, prior))
        made.append(row)
    return made


def _prior_row(row: Row, prior: PriorDensity) -> Row:
    (low68, high68), (low95, high95) = prior.interval(0.68), prior.interval(0.95)
    return {
        "fit": "prior",
        "set": row["set"],
        "parameter": row["parameter"],
        "unit": row["unit"],
        "n": 0,
        "truth": row["truth"],
        "mean": prior.mean,
        "scatter": 0.0,
        "mean_sd": prior.sd,
        "bias": prior.mean - row["truth"],
        "mean_absolute_error": abs(prior.mean - row["truth"]),
        "coverage_68": float(low68 <= row["truth"] <= high68),
        "coverage_95": float(low95 <= row["truth"] <= high95),
        "sd_over_prior_sd": 1.0,
        "note": "the bare prior: what a fit that learns nothing would score",
    }
