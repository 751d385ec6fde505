"""``skysift report``: draw the figures and write the page of a run, also when a fit failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from skysift.config import AnyReportSlice, load
from skysift.steps.gather import gather_fits
from skysift.steps.ranks import gather_ranks
from skysift.steps.replicates import calibrate
from skysift.steps.report_figures import draw_figures
from skysift.steps.report_page import compose_page
from skysift.steps.report_pictures import Run
from skysift.steps.tables import cost_rows
from skysift.storage.atomic import check_writable
from skysift.storage.text import write_text

__all__ = ["run"]


def run(config: Path, run_dir: Path, out: Path) -> None:
    """Write ``figures/`` and the page.

    Parameters
    ----------
    config : the resolved configuration of the run
    run_dir : ``results/<run>``
    out : the page

    Raises
    ------
    InputError : the configuration cannot be read; missing or broken results never raise, the page tells them
    """
    check_writable(out)
    settings = load([config]).make_slices()["report"]
    assert isinstance(settings, AnyReportSlice)  # noqa: S101 - narrows the type
    records = gather_fits(run_dir, settings)
    (run_dir / "figures").mkdir(parents=True, exist_ok=True)
    ranks = gather_ranks(run_dir, settings)
    gathered = Run(run_dir, settings, records, calibrate(run_dir, settings, records), ranks)
    pictures = draw_figures(gathered, int(os.environ.get("OMP_NUM_THREADS") or 1))
    page = compose_page(gathered, pictures, config.read_text(encoding="utf-8"), cost_rows(records))
    write_text(out, page)
    for record in records:
        if record.problem:
            print(f"warning: {record.fit}/{record.data}: {record.problem.splitlines()[0]}", file=sys.stderr)
    for picture in pictures:
        if picture.problem:
            print(f"warning: figure {picture.name} could not be drawn: {picture.problem}", file=sys.stderr)
