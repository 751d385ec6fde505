"""What the largest analyses would cost, on paper: from the stored curves of growth and from what the rules ask for.

``python benchmarks/scale.py`` prints one table for each; nothing is run.
"""

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from history import SECOND

from skysift.config import load
from skysift.config.events.size import event_memory_mb, gather_memory_mb
from skysift.config.size import count_pixels, fit_memory_mb, maps_memory_mb

__all__ = ["SCENARIOS", "Curves", "Work", "describe", "read_curves"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EVENTS, SIMULATIONS, NSIDE, MEASURED_NSIDE = 1_000_000_000, 10_000, 512, 128
# a result, its log, its benchmark, and what Snakemake remembers of it
FILES_PER_JOB = 4
# between two questions about the jobs that run: Snakemake's longest pause
STATUS_S = 180
ENGINES = ("grid", "mvn", "iaf", "conditional_iaf", "flow", "hmc")


class MissingError(LookupError):
    """No stored line has this number: it was not measured."""


@dataclass(frozen=True)
class Curves:
    """The last stored value of every number, and seconds for those that are costs."""

    numbers: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        if name not in self.numbers:
            raise MissingError(name)
        return self.numbers[name]

    def seconds(self, name: str) -> float:
        """Return a cost in CPU seconds of a core that takes 2.5 ms for the reference kernel."""
        return self[f"{name} cost"] / SECOND


@dataclass(frozen=True)
class Work:
    """The jobs of one rule: how many, what each takes, and what each asks for."""

    rule: str
    jobs: int
    cpu_s: float
    asked_mb: int


def read_curves(path: Path) -> Curves:
    """Return the last value of every number that was measured at full size, or between jobs."""
    numbers: dict[str, float] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line["size"] in ("full", "jobs"):
            numbers |= line["numbers"]
    return Curves(numbers)


def _load(name: str, *changes: tuple[str, Any]) -> Any:  # noqa: ANN401
    """Return a shipped configuration with some values replaced, by dotted names."""
    content = copy.deepcopy(yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8")))
    for place, value in changes:
        *path, last = place.split(".")
        section = content
        for key in path:
            section = section.setdefault(key, {})
        section[last] = value
    return load([], content)


def _along(curves: Curves, name: str, size: float, lengths: tuple[str, str]) -> float:
    """Return the seconds at a larger size, on the straight line through the two largest that were measured."""
    (low, high), (first, last) = map(float, lengths), (curves.seconds(f"{name} {length}") for length in lengths)
    return last + (size - high) * (last - first) / (high - low)


def many_events(curves: Curves, *, binned: bool, chunks: int | None = None) -> Iterator[Work]:
    """Yield the jobs of a thousand million events of three sources."""
    events = {"background": EVENTS // 2, "diffuse": EVENTS // 4, "catalogue": EVENTS // 4}
    analysis = _load("ctao_quickstart.yaml", ("model.binned", binned), ("simulate.events", events), ("chunks", chunks))
    memory_mb, lengths = event_memory_mb(analysis), ("100000", "1e+06")
    yield Work("prepare, response", 2, curves.seconds("events prod5 build and fold"), memory_mb)
    yield Work("simulate", 1, _along(curves, "events prod5 draw", EVENTS, lengths), memory_mb)
    count = analysis.chunk_count("simulated-000")
    if binned:
        spent_s = _along(curves, "events prod5 binned and fitted", EVENTS, lengths)
        yield Work("marginalise, fit", 2, spent_s / 2, memory_mb)
    else:
        # from the shortest list, whose time is that of the tables; longer ones on a straight line
        spent_s = _along(curves, "events prod5 unbinned", EVENTS / count, lengths)
        yield Work("marginalise", count, spent_s, memory_mb)
    yield Work("gather", 1, 0.0, gather_memory_mb(analysis))


def _maps(nside: int, radius: str, field: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return an analysis of counts maps with one Gaussian process."""
    diffuse = {"template": "p6v11", "norm": {"lognormal": [12, 0.5]}, "modulate": field}
    return load(
        [],
        {
            "run": "maps",
            "observation": {"data": "synthetic", "nside": nside, "region": {"radius": radius}},
            "simulate": {"truth": {"diffuse": 12}},
            "model": {"components": {"diffuse": diffuse}},
            "fits": {"mvn": ["map", {"svi": {"guide": "mvn"}}]},
            "calibrate": {"simulations": SIMULATIONS},
        },
    )


def whole_sky(curves: Curves) -> Iterator[Work]:
    """Yield one fit per engine of the whole sky, 768 inducing points, with the gradients of the published problem."""
    analysis = _maps(NSIDE, "180 deg", {"lengthscale": "0.225 rad", "variance": 0.03, "inducing": {"nside": 8}})
    name = f"whole sky nside {MEASURED_NSIDE} inducing 768"
    growth = (count_pixels(analysis) / (12 * MEASURED_NSIDE**2)) ** max(1.0, curves["gradient pixels exponent"])
    yield Work("prepare, simulate", 2, 0.0, maps_memory_mb(analysis))
    for engine in ENGINES:
        gradients = curves[f"posterior {engine} gradients count"]
        spent_s = growth * (curves.seconds(f"{name} build") + gradients * curves.seconds(f"{name} gradient"))
        yield Work(f"fit ({engine})", 1, spent_s, fit_memory_mb(analysis, "mvn"))


def lenses(curves: Curves) -> Iterator[Work]:
    """Yield the jobs of a hundred thousand lenses."""
    raise MissingError("lens fits: skysift has none yet")
    yield


def calibration(curves: Curves) -> Iterator[Work]:
    """Yield ten thousand simulations of the published problem and of the quick start of CTAO, engine by engine."""
    fermi = _maps(MEASURED_NSIDE, "20 deg", {"lengthscale": "0.2 rad", "variance": 0.5})
    events = _load("ctao_quickstart.yaml", ("calibrate.simulations", SIMULATIONS))
    for engine in ENGINES:
        each = fermi.calibrate.per_job
        cpu_s = each * curves.seconds(f"posterior {engine}")
        yield Work(f"maps, {engine}", math.ceil(SIMULATIONS / each), cpu_s, fit_memory_mb(fermi, "mvn"))
    for engine in ("laplace", "nested"):
        each = events.calibrate.per_job
        cpu_s = each * (curves.seconds(f"events prod5 {engine}") + curves.seconds("events prod5 draw quick start"))
        yield Work(f"events, {engine}", math.ceil(SIMULATIONS / each), cpu_s, event_memory_mb(events))


SCENARIOS: dict[str, Callable[[Curves], Iterator[Work]]] = {
    "1e9 events of CTAO, each for itself": lambda curves: many_events(curves, binned=False),
    "1e9 events of CTAO, each for itself, chunks: 200": lambda curves: many_events(curves, binned=False, chunks=200),
    "1e9 events of CTAO, in bins": lambda curves: many_events(curves, binned=True),
    "the whole sky at nside 512": whole_sky,
    "1e5 lenses": lenses,
    "1e4 simulations of a calibration": calibration,
}


def describe(name: str, curves: Curves, jobs_at_once: int) -> str:
    """Return the table of one analysis, or what was not measured."""
    try:
        works, start_s = list(SCENARIOS[name](curves)), curves.seconds("slurm job") + curves.seconds("slurm head")
    except MissingError as error:
        return f"## {name}\nnot measured: {error.args[0]}\n"
    rows = [f"{'rule':<22}{'jobs':>7}{'CPU s a job':>13}{'CPU h':>9}{'MB asked':>10}{'files':>8}{'overhead':>10}"]
    for work in works:
        share = start_s / (start_s + work.cpu_s)
        hours = work.jobs * (work.cpu_s + start_s) / 3600
        rows.append(
            f"{work.rule:<22}{work.jobs:>7}{work.cpu_s:>13.4g}{hours:>9.3g}{work.asked_mb:>10}"
            f"{FILES_PER_JOB * work.jobs:>8}{share:>10.1%}"
        )
    return "\n".join([f"## {name}", *rows, _sum_up(works, start_s, jobs_at_once)]) + "\n"


def _sum_up(works: list[Work], start_s: float, jobs_at_once: int) -> str:
    """Return one line about all jobs, and what the scheduler has to do for them."""
    jobs = sum(work.jobs for work in works)
    spent_s = sum(work.jobs * (work.cpu_s + start_s) for work in works)
    # no faster than the jobs that run at once allow, nor than the longest of them
    wall_s = max(spent_s / jobs_at_once, max(work.cpu_s for work in works) + start_s)
    return (
        f"{jobs} jobs, {spent_s / 3600:.3g} core hours, {wall_s / 3600:.3g} h with {jobs_at_once} jobs at once;"
        f" scheduler: {jobs} submissions ({3600 * jobs / wall_s:.0f} an hour), {math.ceil(wall_s / STATUS_S)} questions"
        f" about their state; overhead {jobs * start_s / spent_s:.1%}"
    )


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--history", type=Path, default=HERE / "history.jsonl", help="where measured numbers are stored"
    )
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    parser.add_argument("--jobs", type=int, default=profile["jobs"], help="jobs at once; the profile's without it")
    options = parser.parse_args()
    for name in SCENARIOS:
        print(describe(name, read_curves(options.history), options.jobs))


if __name__ == "__main__":
    main()
