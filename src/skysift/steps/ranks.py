"""What the trials of each fit say: ranks, coverage and pulls, and whether wrong posteriors would have been seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.diagnostics.calibration import Calibration, check_calibration
from skysift.errors import SkysiftError
from skysift.steps.trials import read_trials
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config import AnyReportSlice
    from skysift.steps.trials import Batch

__all__ = ["CONTROLS", "RANK_COLUMNS", "FitRanks", "gather_ranks", "judge", "rank_rows"]

#: Wrong posteriors that must not pass: widths times a factor, means moved by some sd.
CONTROLS = {"sd x 0.7": (0.7, 0.0), "mean + 0.5 sd": (1.0, 0.5)}
MOST_FAILED = 0.05
LEAST = 20
RANK_COLUMNS = (
    "fit", "quantity", "n", "n_failed", "n_not_converged", "inside_band", "p_holm", "coverage_50", "coverage_68",
    "coverage_90", "coverage_95", "pull_mean", "pull_sd", "cpu_s", "controls_seen", "verdict", "why",
)  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class FitRanks:
    """The calibration of one fit: ``problem`` says why there is none.

    ``verdict`` is ``calibrated``, ``not calibrated``, or ``undecided`` where a control went unseen; ``blind`` lists
    those controls.
    """

    fit: str
    problem: str = ""
    verdict: str = ""
    why: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    batch: Batch | None = None
    found: Calibration | None = None

    @property
    def failed(self) -> int:
        """Number of fits that gave no posterior."""
        return 0 if self.batch is None else int(self.batch.is_failed.sum())


def judge(fit: str, batch: Batch, seed: int) -> FitRanks:
    """Judge the trials of one fit, and distorted copies of them that must not pass.

    A fit that failed takes no part in ranks; more than one in twenty of them is a failure of its own.
    """
    good = ~batch.is_failed
    if good.sum() < LEAST:
        why = f"{good.sum()} posteriors of {len(good)} simulations: at least {LEAST} are needed"
        return FitRanks(fit, verdict="undecided", why=(why,), batch=batch)
    truths, draws = batch.truths[good], batch.draws[good]
    random = numpy_stream(seed, f"ranks/{fit}")
    found = check_calibration(batch.names, truths, draws, random)
    blind = tuple(
        name for name, (scale, shift) in CONTROLS.items()
        if check_calibration(batch.names, truths, _distort(draws, scale, shift), random).is_calibrated
    )  # fmt: skip
    failures = list(found.failures)
    if batch.is_failed.mean() > MOST_FAILED:
        failures.append(f"{batch.is_failed.sum()} of {len(good)} fits failed")
    if failures:
        return FitRanks(fit, "", "not calibrated", tuple(failures), blind, batch, found)
    if blind:
        why = f"{found.count} simulations would not show {' nor '.join(blind)}: raise calibrate.simulations"
        return FitRanks(fit, "", "undecided", (why,), blind, batch, found)
    return FitRanks(fit, "", "calibrated", (), (), batch, found)


def _distort(draws: NDArray[np.float64], scale: float, shift: float) -> NDArray[np.float64]:
    mean, sd = draws.mean(1, keepdims=True), draws.std(1, keepdims=True)
    return np.asarray(mean + scale * (draws - mean) + shift * sd)


def gather_ranks(run_dir: Path, settings: AnyReportSlice) -> list[FitRanks]:
    """Judge every fit that the configuration calibrates; missing and unreadable files become a ``problem``.

    No fit is called calibrated while some of its batches are missing.
    """
    found = []
    for fit, batches in settings.calibrated.items():
        # by name: more of them may lie there, left by a configuration with more simulations
        expected = [run_dir / "calibration" / fit / f"{k:03d}.h5" for k in range(batches)]
        paths = [path for path in expected if path.exists()]
        if not paths:
            found.append(FitRanks(fit, "no simulations: calibrate failed, was stopped, or has not run"))
            continue
        try:
            judged = judge(fit, read_trials(paths, fit), settings.seed)
            found.append(_doubt(judged, len(expected) - len(paths), len(expected)))
        except SkysiftError as error:
            found.append(FitRanks(fit, str(error)))
    return found


def _doubt(judged: FitRanks, missing: int, batches: int) -> FitRanks:
    """Say that batches are missing: what they hold may be what went wrong, so nothing is calibrated without them."""
    if not missing:
        return judged
    why = (*judged.why, f"{missing} of {batches} batches are missing")
    return replace(judged, verdict="undecided" if judged.verdict == "calibrated" else judged.verdict, why=why)


def rank_rows(ranks: list[FitRanks]) -> Iterator[Row]:
    """Yield a row for each fit and quantity, one for all quantities together, and one for whatever has no rank."""
    for one in ranks:
        head: Row = {"fit": one.fit, "verdict": one.verdict or "missing"}
        if one.batch is None or one.found is None:
            yield {**head, "why": (one.problem or "; ".join(one.why)).splitlines()[0]}
            continue
        head |= {
            "n_failed": one.failed, "n_not_converged": int(one.batch.is_flagged.sum()),
            "cpu_s": float(np.nanmean(one.batch.cpu_s)),
            "controls_seen": ", ".join(name for name in CONTROLS if name not in one.blind),
        }  # fmt: skip
        for row in one.found.rows():
            own = [text.split(": ", 1)[1] for text in one.found.failures if text.startswith(f"{row['quantity']}: ")]
            yield {**head, **row, "why": "; ".join(own or ([] if one.found.failures else one.why))}
        for text in one.batch.unranked:
            name, _, reason = text.partition(": ")
            yield {**head, "quantity": name, "verdict": "not ranked", "why": reason}
