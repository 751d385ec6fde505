"""The numbers that the page shows: answers with intervals, statistical and systematic errors apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.steps.gather import SIDEBANDS, FitRecord, Quantity, find_prior, find_truth
from skysift.steps.replicates import find_peak
from skysift.steps.report_verdicts import judge_record, spell_number

if TYPE_CHECKING:
    from skysift.config import AnyReportSlice

__all__ = ["Cell", "answer_rows", "norm_rows", "spell_interval"]

Cell = dict[str, Any]


def spell_interval(draws: np.ndarray, digits: int = 2) -> str:
    """Write median and 68 % interval as ``0.90 +0.08 –0.07``, with two digits of the errors.

    Examples
    --------
    >>> spell_interval(np.linspace(0.0, 1.0, 1001))
    '0.50 +0.34 –0.34'
    """
    low, median, high = np.quantile(draws, [0.16, 0.5, 0.84])
    errors = np.array([high - median, median - low])
    smallest = errors[errors > 0].min() if np.any(errors > 0) else abs(median) or 1.0
    places = digits - 1 - int(np.floor(np.log10(smallest)))
    if not -4 < places < 7:
        return f"{median:.3g} +{errors[0]:.2g} –{errors[1]:.2g}"
    shown = max(places, 0)
    middle, up, down = (round(float(v), places) for v in (median, *errors))
    return f"{middle:.{shown}f} +{up:.{shown}f} –{down:.{shown}f}"


def answer_rows(settings: AnyReportSlice, records: Sequence[FitRecord], parameter: str) -> list[Cell]:
    """Return one row per fit of one data set for the parameter of interest.

    Statistical and systematic errors stand apart: the systematic one is what the variant with sidebands adds.
    """
    by_fit = {record.fit: record for record in records}
    rows = []
    for record in records:
        if record.has_systematic:
            continue
        verdict = judge_record(record)
        row: Cell = {"fit": record.fit, "colour": verdict.colour, "state": verdict.word}
        if not record.problem and parameter in record.quantities:
            widened = by_fit.get(record.fit + SIDEBANDS)
            row |= _answer(settings, record, parameter, widened)
        rows.append(row)
    return rows


def _answer(settings: AnyReportSlice, record: FitRecord, parameter: str, widened: FitRecord | None) -> Cell:
    quantity = record.quantities[parameter]
    flat, sd = quantity.flat, float(quantity.flat.std())
    prior = find_prior(settings, record.fit, parameter)
    truth = quantity.truth if quantity.truth is not None else find_truth(settings, record.fit, record.data, parameter)
    wide = widened.quantities.get(parameter) if widened is not None else None
    total = wide or quantity
    low, high = np.quantile(total.flat, [0.025, 0.975])
    row: Cell = {
        "value": spell_interval(flat),
        "unit": quantity.unit,
        "stat": spell_number(sd, 2),
        "sys": _spell_systematic(widened, quantity, wide),
        "total": spell_interval(total.flat) if wide else "",
        "interval": f"{spell_number(float(low))} … {spell_number(float(high))}",
        "limit": spell_number(float(np.quantile(total.flat, 0.95))) if _touches_zero(total.flat) else "",
        "peak": spell_number(find_peak(record, parameter, prior)),
        "contraction": spell_number(sd / prior.sd, 2) if prior else "–",
        "truth": spell_number(truth),
        "fraction": _spell_fraction(record, parameter),
    }
    return row


def _spell_systematic(widened: FitRecord | None, quantity: Quantity, wide: Quantity | None) -> str:
    """Return the sd of the systematic: as stored, else what the widened posterior has beyond the statistical one."""
    if widened is None:
        return "not measured"
    if wide is None:
        return "missing"
    stored = widened.attributes.get("sigma_systematic")
    if stored is None:
        stored = float(np.sqrt(max(wide.flat.var() - quantity.flat.var(), 0.0)))
    return spell_number(float(stored), 2)


def _touches_zero(draws: np.ndarray) -> bool:
    """Tell whether the 95 % interval of a quantity reaches zero, or as near as makes no difference."""
    low = float(np.quantile(draws, 0.025))
    return low < 0.25 * float(draws.std())


def _spell_fraction(record: FitRecord, parameter: str) -> str:
    fraction = record.quantities.get(parameter.removesuffix("_norm") + "_fraction")
    return f"{spell_interval(100 * fraction.flat)} %" if fraction is not None else "–"


def norm_rows(settings: AnyReportSlice, records: Sequence[FitRecord], parameters: Sequence[str]) -> list[Cell]:
    """Return one row per parameter with a cell per fit: interval, and sd over prior sd where there is a prior."""
    rows = []
    for name in parameters:
        owners = [record for record in records if name in record.quantities]
        first = owners[0].quantities[name]
        truth = first.truth if first.truth is not None else find_truth(settings, owners[0].fit, owners[0].data, name)
        cells = [_norm_cell(settings, record, name) for record in records]
        rows.append({"name": name, "unit": first.unit, "truth": spell_number(truth), "cells": cells})
    return rows


def _norm_cell(settings: AnyReportSlice, record: FitRecord, name: str) -> Mapping[str, str]:
    if name not in record.quantities:
        return {"value": "–", "contraction": ""}
    flat, prior = record.quantities[name].flat, find_prior(settings, record.fit, name)
    contraction = spell_number(float(flat.std()) / prior.sd, 2) if prior else ""
    return {"value": spell_interval(flat), "contraction": contraction}
