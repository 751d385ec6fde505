"""Every engine on every problem with a known answer: a table of how far off each is, and of what it says about itself.

``python -m tests.statistics.accuracy --seeds 5 --csv accuracy.csv`` makes the whole table, ``--quick`` its quick part.
"""

import argparse
import csv
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tests.statistics.analytic_problems import PROBLEMS, solve

from skysift.inference import sequence
from skysift.inference.engine import Stream

__all__ = ["CANNOT", "CELLS", "QUICK", "Row", "fit", "measure"]

MAP = ("map", {})
ENGINES = {
    "laplace": [MAP, ("laplace", {"importance": 20_000})],
    "svi-mvn": [MAP, ("svi", {"guide": "mvn"})],
    "svi-iaf": [MAP, ("svi", {"guide": "iaf"})],
    "svi-conditional_iaf": [MAP, ("svi", {"guide": "conditional_iaf"})],
    "svi-flow": [MAP, ("svi", {"guide": "flow"})],
    "hmc": [MAP, ("hmc", {})],
    "ladder": [MAP, ("laplace", {}), ("svi", {"guide": "mvn"}), ("hmc", {})],
    "dynesty": [("nested", {})],
    "dynesty-dynamic": [("nested", {"effective": 10_000})],
    "nautilus": [("nested", {"library": "nautilus"})],
    "grid": [MAP, ("grid", {})],
}
#: engines that need a field, or a parameter that is one number
ONLY = {"svi-conditional_iaf": {"field"}, "grid": {"field", "gamma-poisson"}}
#: minutes for what a plain run says as well
COSTLY = {("dynesty-dynamic", "gaussian-10"), ("dynesty-dynamic", "gaussian-30"), ("nautilus", "gaussian-30")}
CELLS = [
    (engine, problem)
    for problem in PROBLEMS
    for engine in ENGINES
    if problem in ONLY.get(engine, PROBLEMS) and (engine, problem) not in COSTLY
]
#: one Gaussian for a curved valley; tails of a Gaussian for a fraction that may be zero, whose logarithm falls off as
#: an exponential; one mode for two: whoever cannot must say so
CANNOT = {("svi-mvn", "rosenbrock"), ("svi-mvn", "simplex"), ("svi-iaf", "simplex")} | {
    (engine, "two-modes") for engine in ("laplace", "svi-mvn", "svi-iaf", "svi-flow", "hmc", "ladder")
}
#: one seed of these takes a minute in all
QUICK = [
    *(cell for cell in CELLS if cell[0] in ("laplace", "svi-mvn", "hmc") and cell != ("hmc", "rosenbrock")),
    ("svi-conditional_iaf", "field"),
    ("grid", "gamma-poisson"),
    ("ladder", "gaussian-10"),
    ("dynesty", "two-modes"),
]
SHIFT, RATIO, ERRORS, ROUNDING = 0.1, 1.1, 3.0, 1e-4


@dataclass(frozen=True)
class Row:
    """How far one fit is off: means in sd, ratio of sds, log Z in nats with its own error; and what its checks say."""

    problem: str
    engine: str
    seed: int
    shift_sd: float
    sd_ratio: float
    log_z_gap: float
    log_z_error: float
    method: str
    is_converged: bool
    red: str
    calls: float
    gradients: float
    cpu_s: float

    def is_right(self, errors=ERRORS):
        """Whether means, sds and evidence are those of the problem; an evidence that is a bound may be too low."""
        bound = "bound" in self.method
        # an engine without an evidence has a gap that is no number
        is_off = self.log_z_gap > self.allowed(errors) or (self.log_z_gap < -self.allowed(errors) and not bound)
        return self.shift_sd < SHIFT and self.sd_ratio < RATIO and not is_off

    def allowed(self, errors=ERRORS):
        """Return how far log Z may be off."""
        return errors * self.log_z_error + ROUNDING


def fit(engine, problem, seed):
    """Return the result of the last engine of a row of engines on a problem."""
    found = solve(problem)
    plan = [(name, {"parameter": found.scalar} if name == "grid" else kept) for name, kept in ENGINES[engine]]
    return sequence.run(found.model, plan, Stream(seed, ("accuracy",)))


def measure(engine, problem, seed):
    """Fit a problem with an engine and return the row of the table."""
    found, begin = solve(problem), time.process_time()
    results = fit(engine, problem, seed)
    last, spent = results[-1], time.process_time() - begin
    shift, ratio, gap, error = found.judge(last)
    red = "; ".join(f"{check.name} {check.value:.3g}" for check in last.checks if check.colour == "red")
    calls, gradients = (sum(one.cost.get(name, 0.0) for one in results) for name in ("calls", "gradients"))
    numbers = shift, ratio, gap, error
    return Row(problem, engine, seed, *numbers, last.log_z_method, last.is_converged, red, calls, gradients, spent)


def main(arguments=None):
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv", type=Path, default=Path("accuracy.csv"))
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cells = [one for one in (QUICK if asked.quick else CELLS) if one[0] in asked.engines and one[1] in asked.problems]
    with asked.csv.open("w", newline="") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = csv.writer(file)
        writer.writerow([*Row.__dataclass_fields__, "verdict"])
        for cell in cells:
            for seed in range(asked.seeds):
                row = measure(*cell, seed)
                right = "right" if row.is_right() else "wrong"
                verdict = f"{right}, {'converged' if row.is_converged else 'flagged'}"
                values = [f"{one:.4g}" if isinstance(one, float) else one for one in asdict(row).values()]
                writer.writerow([*values, verdict])
                file.flush()
                print(*values[:7], verdict, row.red, f"{row.cpu_s:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
