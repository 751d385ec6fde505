"""The figures of the report: which there are, what they say, and the files that hold them."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config.cubes.slices import CubeReportSlice
from skysift.config.events.slices import EventReportSlice
from skysift.errors import InterruptedRunError
from skysift.plots.calibration import plot_ranks
from skysift.plots.fractions import plot_fractions
from skysift.plots.injection import plot_injection
from skysift.plots.posteriors import FitDraws, Quantity, plot_corner, plot_posteriors
from skysift.plots.replicates import FitSummary, ReplicateIntervals, plot_calibration, plot_replicates
from skysift.plots.style import MUTED, save_figure
from skysift.plots.traces import plot_traces
from skysift.steps.gather import FitRecord, find_prior, find_truth, set_of
from skysift.steps.report_events import plan_event_response
from skysift.steps.report_maps import plan_fit
from skysift.steps.report_pictures import Picture, Row, Run, shown_data

if TYPE_CHECKING:
    from skysift.steps.report_pictures import Plan

__all__ = ["draw_figures"]

MOST_IN_CORNER = 4
MOST_SHOWN = 48


def draw_figures(run: Run, processes: int = 1) -> list[Picture]:
    """Draw every figure that the run has numbers for into ``figures/``; one that fails is told, and the rest go on.

    Parameters
    ----------
    run : what is shown
    processes : how many figures are drawn at a time, where the system can fork
    """
    drawing = _Drawing(run.folder / "figures", list(_plan(run)))
    numbers = range(len(drawing.plans))
    if processes == 1 or sys.platform != "linux":
        return [drawing.draw(number) for number in numbers]
    with multiprocessing.get_context("fork").Pool(processes, _begin, (drawing,)) as pool:
        return pool.map(_draw, numbers, chunksize=1)


@dataclass(frozen=True)
class _Drawing:
    """Figures that are drawn into a folder."""

    folder: Path
    plans: list[Plan]

    def draw(self, number: int) -> Picture:
        picture, draw = self.plans[number]
        try:
            figure, table = draw()
            return replace(picture, path=save_figure(figure, self.folder / picture.name, table)[0])
        except InterruptedRunError:
            raise
        except Exception as error:
            # The page must exist whatever one figure stumbles on; it says so in the figure's place.
            return replace(picture, problem=f"{type(error).__name__}: {error}")


#: What a forked process draws: functions cannot be sent to it, so that it is born with them.
_OWN: list[_Drawing] = []


def _begin(drawing: _Drawing) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _OWN[:] = [drawing]


def _draw(number: int) -> Picture:
    return _OWN[0].draw(number)


def _plan(run: Run) -> Iterator[Plan]:
    if isinstance(run.settings, EventReportSlice):
        yield from plan_event_response(run.folder / "observation.h5")
    for name in run.settings.truth:
        yield from _plan_set(run, name)
    yield from _plan_injection(run)
    yield from _plan_ranks(run)
    for data in shown_data(run.settings):
        if run.fits_of(data):
            yield from _plan_data(run, data)
        for record in run.fits_of(data):
            yield from plan_fit(run, record)


def _plan_ranks(run: Run) -> Iterator[Plan]:
    for one in run.ranks:
        if one.found is not None:
            alt = (
                f"Distribution of the ranks of {one.found.count} truths minus uniform with its 99 % band, and coverage "
                f"of intervals and of joint regions minus their level, for {', '.join(one.found.names)}: {one.verdict}."
            )
            picture = Picture(f"ranks_{one.fit}", "ranks", f"{one.fit}: truths among posterior draws", alt)
            labels = tuple(name.replace("_", " ") for name in one.found.names)
            yield picture, partial(plot_ranks, one.found, labels)


def _quantities(run: Run, records: Sequence[FitRecord], names: Sequence[str]) -> list[Quantity]:
    shown = []
    for name in names:
        owner = next(record for record in records if name in record.quantities)
        quantity, prior = owner.quantities[name], find_prior(run.settings, owner.fit, name)
        truth = quantity.truth if quantity.truth is not None else find_truth(run.settings, owner.fit, owner.data, name)
        curve = None
        if prior is not None:
            grid = np.unique(np.concatenate([np.linspace(*prior.interval(0.998), 400), *_ends(prior.support)]))
            curve = np.stack([grid, prior.density(grid)])
        label = _label(name, quantity.unit)
        bounds = prior.support if prior is not None else (-np.inf, np.inf)
        if any(record.has_systematic for record in records):
            bounds = (-np.inf, np.inf)
        shown.append(Quantity(name, label, curve, truth, bounds))
    return shown


def _ends(support: tuple[float, float]) -> list[np.ndarray]:
    return [np.array([end]) for end in support if np.isfinite(end)]


def _label(name: str, unit: str) -> str:
    text = name.replace("_", " ")
    return f"{text}, {unit}" if unit and unit != "1" else text


def _named(records: Sequence[FitRecord], *endings: str) -> list[str]:
    """Name the quantities with one of these endings, in the order of the fits, each once; constants are left out."""
    names: dict[str, None] = {}
    for record in records:
        for name, quantity in record.quantities.items():
            if name.split("[")[0].endswith(endings) and np.ptp(quantity.flat) > 0:
                names[name] = None
    return list(names)


def _main(run: Run, records: Sequence[FitRecord]) -> list[str]:
    """Name what a fit is about: norms, or fractions where there are none, and the free parameters of sources."""
    names = _named(records, "_norm") or _named(records, "_fraction")
    own = [
        f"{component}_{free}"
        for record in records
        for component, part in run.settings.models[record.base].items()
        for free in getattr(part, "free", {})
    ]
    if isinstance(run.settings, CubeReportSlice):
        return [name for name in _named(records, "") if not name.endswith("_counts")][:MOST_SHOWN]
    return names + [name for name in dict.fromkeys(own) if any(name in record.quantities for record in records)]


def _draws(run: Run, records: Sequence[FitRecord]) -> list[FitDraws]:
    return [
        FitDraws(r.fit, run.colours[r.fit], {name: q.flat for name, q in r.quantities.items()}, r.note) for r in records
    ]


def _plan_data(run: Run, data: str) -> Iterator[Plan]:
    records = run.fits_of(data)
    norms, hyper = (
        _main(run, records),
        _named(records, "_lengthscale", "_variance", "_lengthscale_2", "_variance_2"),
    )
    word = "Norms" if any(name.split("[")[0].endswith("_norm") for name in norms) else "Fractions and parameters"
    draws = _draws(run, records)
    if norms:
        text = (
            f"Posteriors of {', '.join(norms)} from {len(records)} fits of {data}, with priors and truths where known."
        )
        yield (
            Picture(f"posteriors-{data}", f"data:{data}", f"{word}: posterior of every fit, prior, truth", text),
            lambda: plot_posteriors(_quantities(run, records, norms), draws),
        )
    if fractions := _named(records, "_fraction"):
        parts = [name.removesuffix("_fraction") for name in fractions]
        renamed = [
            FitDraws(d.fit, d.colour, {n.removesuffix("_fraction"): v for n, v in d.draws.items()}, d.note)
            for d in draws
            if any(name in d.draws for name in fractions)
        ]
        truths = {
            n.removesuffix("_fraction"): r.quantities[n].truth
            for r in records for n in fractions if n in r.quantities and r.quantities[n].truth is not None
        }  # fmt: skip
        text = f"Share of counts of {', '.join(parts)}: median, 68 and 95 % interval of each fit of {data}."
        yield (
            Picture(f"fractions-{data}", f"data:{data}", "Shares of the counts", text),
            lambda: plot_fractions(parts, renamed, {k: v for k, v in truths.items() if v is not None}),
        )
    sound = [r for r in records if not (r.is_tempered or r.is_point or r.has_systematic)][:MOST_IN_CORNER]
    common = [name for name in norms if all(name in record.quantities for record in sound)]
    if sound and len(common) > 1:
        text = f"Pairs of {', '.join(common)}: 68 and 95 % contours of {', '.join(r.fit for r in sound)}."
        yield (
            Picture(f"corner-{data}", f"data:{data}", f"{word} in pairs, 68 and 95 %", text),
            lambda: plot_corner(_quantities(run, sound, common), _draws(run, sound)),
        )
    if hyper:
        text = f"Posteriors of {', '.join(hyper)} with their priors."
        yield (
            Picture(f"hyper-{data}", f"data:{data}", "Kernel hyper-parameters", text),
            lambda: plot_posteriors(_quantities(run, records, hyper), draws),
        )
    traces = {record.fit: trace for record in records if (trace := _find_elbo(record)) is not None}
    if traces:
        notes = {record.fit: record.note for record in records}
        yield (
            Picture(f"elbo-{data}", f"data:{data}", "ELBO by step", f"ELBO curves of {', '.join(traces)}."),
            lambda: plot_traces(traces, "ELBO, nat", notes),
        )


def _find_elbo(record: FitRecord) -> np.ndarray | None:
    """Return the trace of the last stage that kept one: an ELBO, or a loss with its sign turned."""
    for stage in reversed(record.stages):
        for name, trace in stage.traces.items():
            sign = {"elbo": 1.0, "loss": -1.0}.get(name, 0.0)
            if sign and trace.size > 2:
                return sign * np.asarray(trace, dtype=np.float64)
    return None


def _plan_set(run: Run, name: str) -> Iterator[Plan]:
    """Plan the summary over replicates of one simulated set, for the parameter of interest."""
    parameter = run.signal
    rows = [row for row in run.calibration if row["set"] == name and row["parameter"] == parameter]
    fits = [row for row in rows if row["fit"] != "prior" and row["n"]]
    if parameter is None or not fits or max(row["n"] for row in fits) < 2:
        return
    label = _label(parameter, fits[0]["unit"])
    text = f"{label} of each replicate of {name}: median, 68 and 95 % interval per fit; the line is the truth."
    yield (
        Picture(f"replicates-{name}", f"set:{name}", f"Every replicate: {label}", text),
        lambda: plot_replicates(
            _intervals(run, name, parameter), label, fits[0]["truth"], _prior_68(run, fits, parameter)
        ),
    )
    text = f"Bias, coverage and posterior sd over prior sd of {label} for each fit of {name}, beside the bare prior."
    yield (
        Picture(f"calibration-{name}", f"set:{name}", f"Calibration: {label}", text),
        lambda: plot_calibration([_summary(run, row) for row in rows], label),
    )


def _prior_68(run: Run, fits: Sequence[Row], parameter: str) -> tuple[float, float] | None:
    prior = find_prior(run.settings, fits[0]["fit"], parameter)
    return prior.interval(0.68) if prior else None


def _intervals(run: Run, name: str, parameter: str) -> list[ReplicateIntervals]:
    made = []
    for fit in dict.fromkeys(record.fit for record in run.records):
        members = [
            r for r in run.records
            if r.fit == fit and set_of(r.data) == name and not r.problem and parameter in r.quantities
        ]  # fmt: skip
        if members:
            levels = [0.025, 0.16, 0.5, 0.84, 0.975]
            quantiles = np.stack([np.quantile(r.quantities[parameter].flat, levels) for r in members])
            data = tuple(r.data for r in members)
            made.append(ReplicateIntervals(fit, run.colours[fit], data, quantiles, members[0].note))
    return made


def _summary(run: Run, row: Row) -> FitSummary:
    is_prior = row["fit"] == "prior"
    return FitSummary(
        fit="bare prior" if is_prior else row["fit"],
        colour=MUTED if is_prior else run.colours[row["fit"]],
        n=row["n"],
        bias=row["bias"],
        bias_error=float("nan") if is_prior else row["bias_error"],
        mean_sd=row["mean_sd"],
        coverage_68=row["coverage_68"],
        coverage_95=row["coverage_95"],
        sd_over_prior_sd=row["sd_over_prior_sd"],
    )


def _plan_injection(run: Run) -> Iterator[Plan]:
    """Plan the curve of recovered against injected signal, where sets differ in their truth."""
    rows = [row for row in run.calibration if row["parameter"] == run.signal]
    truths = {row["truth"] for row in rows}
    if run.signal is None or len(truths) < 2:
        return
    points: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows:
        if row["fit"] != "prior" and row["n"]:
            points.setdefault(row["fit"], []).append((row["truth"], row["mean"], row["mean_sd"], row["peak"]))
    means = {row["mean"] for row in rows if row["fit"] == "prior"}
    label = _label(run.signal, "")
    yield (
        Picture("injection", "sets", f"Recovered against injected {label}", f"{label} of each fit against its truth."),
        lambda: plot_injection(points, label, means.pop() if len(means) == 1 else None),
    )
