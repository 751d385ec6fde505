"""What the figures of the report are drawn from, and what is known of each figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skysift.plots.style import assign_colours
from skysift.steps.gather import FitRecord, set_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from skysift.config import AnyReportSlice
    from skysift.steps.ranks import FitRanks

    Drawing = tuple[Figure, pd.DataFrame]
    Plan = tuple["Picture", Callable[[], Drawing]]

__all__ = ["Picture", "Row", "Run", "shown_data"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A figure of the page: file stem, place, title, words for those who cannot see it, or why it failed.

    ``caption`` says below it what is drawn and in which unit, where the title does not.
    """

    name: str
    section: str
    title: str
    alt: str
    path: Path | None = None
    problem: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Run:
    """What figures are drawn from: the folder, the slice ``report``, all fits, rows of the calibration table, ranks."""

    folder: Path
    settings: AnyReportSlice
    records: Sequence[FitRecord]
    calibration: Sequence[Row]
    ranks: Sequence[FitRanks] = ()

    @property
    def colours(self) -> dict[str, str]:
        """One colour per fit, the same in every figure."""
        return assign_colours(dict.fromkeys(record.fit for record in self.records))

    @property
    def signal(self) -> str | None:
        """Name of the parameter of interest."""
        return f"{self.settings.signal}_norm" if self.settings.signal else None

    def fits_of(self, data: str) -> list[FitRecord]:
        """Return the fits of one data set that left a posterior."""
        return [record for record in self.records if record.data == data and not record.problem]


def shown_data(settings: AnyReportSlice) -> list[str]:
    """Return the data sets shown in detail: the observed one, or the first of each simulated set."""
    first: dict[str, str] = {}
    for data in settings.data:
        first.setdefault(set_of(data), data)
    return list(first.values())
