"""Fits of one model and the same data, held against the most trustworthy engine among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skysift.storage.posterior import CheckRow

if TYPE_CHECKING:
    from skysift.config import AnyReportSlice
    from skysift.steps.gather import FitRecord

__all__ = ["check_agreement"]

#: Engines that others are held against, best first.
REFERENCES = ("hmc", "nuts", "nested", "grid")
MOST_SHIFT, RATIOS = 0.5, (0.8, 1.2)
COMPARED = ("_norm", "_fraction")
ADVICE = "the two posteriors differ: believe the reference, and raise this fit's effort"


def check_agreement(settings: AnyReportSlice, records: Sequence[FitRecord]) -> list[FitRecord]:
    """Return the records, each with a check against the reference of its model and data, where there is one.

    A mean more than 0.5 sd of the reference away, or a sd outside 0.8 to 1.2 of its, is amber: a guide cannot see its
    own errors, and the two differ only by engine.
    """
    return [_check(settings, record, records) for record in records]


def _check(settings: AnyReportSlice, record: FitRecord, records: Sequence[FitRecord]) -> FitRecord:
    if not _takes_part(record):
        return record
    rivals = [other for other in records if _is_rival(settings, record, other)]
    ranked = sorted(rivals, key=lambda other: REFERENCES.index(other.stages[-1].engine))
    own = record.stages[-1].engine
    if not ranked or (own in REFERENCES and REFERENCES.index(own) <= REFERENCES.index(ranked[0].stages[-1].engine)):
        return record
    found = list(_compare(record, ranked[0]))
    return replace(record, checks=(*record.checks, *(("", check) for check in found)))


def _takes_part(record: FitRecord) -> bool:
    is_posterior = not (record.problem or record.is_tempered or record.is_point)
    return is_posterior and not record.has_systematic and bool(record.stages)


def _is_rival(settings: AnyReportSlice, record: FitRecord, other: FitRecord) -> bool:
    is_same = other.data == record.data and settings.models[other.base] == settings.models[record.base]
    is_better = _takes_part(other) and other.stages[-1].engine in REFERENCES and other.converged is not False
    return is_same and is_better and other is not record


def _compare(record: FitRecord, reference: FitRecord) -> Iterable[CheckRow]:
    """Yield the largest shift and the sd ratio farthest from one, over the numbers that both have."""
    shifts, ratios = {}, {}
    for name, quantity in record.quantities.items():
        if name.split("[")[0].endswith(COMPARED) and name in reference.quantities:
            theirs = reference.quantities[name].flat
            sd = float(theirs.std(ddof=1))
            if sd > 0:
                shifts[name] = (float(quantity.flat.mean()) - float(theirs.mean())) / sd
                ratios[name] = float(quantity.flat.std(ddof=1)) / sd
    if not shifts:
        return
    far = max(shifts, key=lambda name: abs(shifts[name]))
    odd = max(ratios, key=lambda name: max(ratios[name], 1 / max(ratios[name], 1e-9)))
    low, high = RATIOS
    for what, name, value, wanted, is_good in (
        ("shift", far, shifts[far], f"within {MOST_SHIFT:g} sd", abs(shifts[far]) <= MOST_SHIFT),
        ("sd ratio", odd, ratios[odd], f"{low:g} to {high:g}", low <= ratios[odd] <= high),
    ):
        label = f"{what} of {name} from {reference.fit} ({reference.stages[-1].engine})"
        yield CheckRow(label, value, wanted, "green" if is_good else "amber", "" if is_good else ADVICE)
