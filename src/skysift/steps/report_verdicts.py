"""In words: did each fit converge, and if not, why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from skysift.steps.gather import MAXIMUM, NOT_A_POSTERIOR, FitRecord
from skysift.storage.posterior import CheckRow

__all__ = ["FitVerdict", "judge_fits", "judge_record", "spell_check", "spell_number"]

ORDER = ("red", "amber", "grey", "green")


@dataclass(frozen=True)
class FitVerdict:
    """State of one fit over its data sets: ``colour`` green, amber, grey or red, a word, and the reasons."""

    fit: str
    colour: str
    word: str
    reasons: tuple[str, ...]


def spell_number(value: float | None, digits: int = 3) -> str:
    """Write a number with few digits; a dash for none.

    Examples
    --------
    >>> spell_number(0.123456), spell_number(None), spell_number(67583.4, 4), spell_number(float("inf"))
    ('0.123', '–', '67580', '∞')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "–∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        places = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
        return f"{round(value, places):.{max(places, 0)}f}"
    return f"{value:.{digits - 1}e}"


def spell_check(check: CheckRow, values: Sequence[float] | None = None) -> str:
    """Write one check as a sentence: what, value (or range over data sets), threshold, and what to do."""
    ends = sorted({spell_number(value) for value in (min(values), max(values))}) if values else []
    shown = " to ".join(ends) if ends else spell_number(check.value)
    text = f"{check.name}: {shown}, wanted {check.threshold}"
    return f"{text}; {check.advice}" if check.advice else text


def judge_record(record: FitRecord) -> FitVerdict:
    """Judge one fit of one data set."""
    if record.problem:
        return FitVerdict(record.fit, "red", "missing", (record.problem.splitlines()[0],))
    red = tuple(spell_check(check) for _, check in record.checks if check.colour == "red")
    amber = tuple(spell_check(check) for _, check in record.checks if check.colour == "amber")
    if record.is_tempered:
        return FitVerdict(record.fit, "amber", NOT_A_POSTERIOR, ())
    if record.converged is False:
        return FitVerdict(record.fit, "red", "not converged", red or ("no check is red, yet the fit says so",))
    if record.converged is None:
        return FitVerdict(record.fit, "grey", "not checked", amber)
    if amber or record.is_point:
        return FitVerdict(record.fit, "amber", MAXIMUM if record.is_point else "converged, with reservations", amber)
    return FitVerdict(record.fit, "green", "converged", ())


def judge_fits(records: Iterable[FitRecord]) -> list[FitVerdict]:
    """Judge every fit over all of its data sets: as good as the worst of them, with counts."""
    groups: dict[str, list[FitRecord]] = {}
    for record in records:
        groups.setdefault(record.fit, []).append(record)
    return [_merge(fit, members) for fit, members in groups.items()]


def _merge(fit: str, members: Sequence[FitRecord]) -> FitVerdict:
    verdicts = [judge_record(record) for record in members]
    worst = min(verdicts, key=lambda verdict: ORDER.index(verdict.colour))
    if len(members) == 1:
        return worst
    words: dict[str, int] = {}
    for verdict in sorted(verdicts, key=lambda v: ORDER.index(v.colour)):
        words[verdict.word] = words.get(verdict.word, 0) + 1
    counted = ", ".join(f"{count} {word}" for word, count in words.items())
    word = f"all {len(members)} {worst.word}" if len(words) == 1 else f"of {len(members)}: {counted}"
    return FitVerdict(fit, worst.colour, word, tuple(_common_reasons(members, worst.colour)))


def _common_reasons(members: Sequence[FitRecord], colour: str) -> Iterator[str]:
    """Say each reason once, with the data sets that it holds for."""
    missing: dict[str, list[str]] = {}
    failed: dict[str, list[tuple[str, CheckRow]]] = {}
    for record in members:
        if record.problem:
            missing.setdefault(record.problem.splitlines()[0], []).append(record.data)
        elif not record.is_tempered:
            for _, check in record.checks:
                if check.colour == colour:
                    failed.setdefault(check.name, []).append((record.data, check))
    for problem, names in missing.items():
        yield f"{_name_some(names)}: {problem}"
    for found in failed.values():
        values = [check.value for _, check in found]
        yield f"{_name_some([data for data, _ in found])}: {spell_check(found[0][1], values)}"


def _name_some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} data sets ({names[0]}, {names[1]}, …)"
