"""Measure skysift, then store the numbers or compare them with the stored ones; see README.md beside this file."""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cases_engines
import cases_events
import cases_memory
import cases_model
import cases_samplers
import cases_sources
import history
import torch
from problems import published
from timing import Clock

import skysift

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
CASES = {
    "gradient": cases_model.gradient,
    "points": cases_model.points,
    "curvature": cases_model.curvature,
    "mode": cases_model.mode,
    "svi": cases_engines.svi_step,
    "hmc": cases_engines.hmc,
    "posterior": cases_engines.posterior,
    "sources": cases_sources.sources,
    "sky": cases_memory.sky,
    "events_fold": cases_events.events_fold,
    "events_lists": cases_events.events_lists,
    "events_fit": cases_events.events_fit,
    "events_refold": cases_events.events_refold,
    "events_steps": cases_events.events_steps,
    "core": cases_samplers.core,
    "samplers": cases_samplers.samplers,
    "fractions": cases_samplers.fractions,
}
FULL, QUICK = (64, 128, 256), (16, 32, 64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 1 when a number exceeds its limit or is worse than stored."""
    options = _parse(arguments)
    torch.set_num_threads(1)
    sizes = QUICK if options.quick else FULL
    clock, numbers = Clock(0.02 if options.quick else 1.0), {}
    for name in options.only or CASES:
        for number in CASES[name](clock, sizes):
            print(f"{number.name:60s} {number.value:12.4g}", flush=True)
            numbers[number.name] = number.value
    line = _describe(clock, options, sizes) | {"numbers": {name: float(f"{v:.4g}") for name, v in numbers.items()}}
    faults = [] if options.quick else history.exceed(numbers)
    if options.compare:
        stored = history.last(options.history, line["sky"], line["size"])
        if stored is None:
            print(f"nothing to compare with: {options.history} has no line of this size and sky")
        else:
            print(f"compared with {stored['commit']} of {stored['date']}, load {stored['load']}")
            faults += history.compare(numbers, stored["numbers"])
    else:
        history.append(options.history, line)
    for fault in faults:
        print(f"WORSE  {fault}", file=sys.stderr)
    return 1 if faults else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", action="store_true", help="compare with the last stored line; store nothing")
    parser.add_argument("--quick", action="store_true", help="tiny skies: to test the machinery")
    parser.add_argument("--only", nargs="+", choices=list(CASES), help="some cases only")
    parser.add_argument("--history", type=Path, default=HERE / "history.jsonl", help="where lines are stored")
    return parser.parse_args(arguments)


def _describe(clock: Clock, options: argparse.Namespace, sizes: Sequence[int]) -> dict[str, Any]:
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    # git itself; outside a checkout there is no commit to name
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return {
        "commit": commit or "unknown",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        "reference_ms": round(1000 * sum(clock.references_s) / max(1, len(clock.references_s)), 4),
        "size": "quick" if options.quick else "full",
        "sky": published(sizes[1]).sky,
        "skysift": skysift.__version__,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
