"""Event analyses of CTAO: folds, simulated lists, densities at events, fits, and the quick start from end to end."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from event_problems import FINE, MOVING, EventRun, open_run, quick_start
from problems import STREAM
from timing import Clock, Number, forget_peak, grow, resident_gb

from skysift.inference import sequence
from skysift.inference.target import Target
from skysift.instruments.ctao.response import Response

__all__ = ["events_fit", "events_fold", "events_lists", "events_refold", "events_steps"]

LISTS, FEW_LISTS = (10_000, 100_000, 1_000_000), (500, 1_000, 2_000)
#: Events of the quick start, and of the table of samplers.
EVENTS, SAMPLED = 4500, 4000
CHUNKS = 4


def events_fold(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Build the fold of the quick start and apply it to three sources."""
    run = quick_start()
    made = run.response
    exposure = made.area_cm2 * run.observation.pointings[0].live_time_s
    expected = np.stack([*(light.cube * exposure for light in run.observation.lights.values()), exposure], axis=-1)

    def build_and_fold() -> None:
        Response(made.irf, made.true, made.reconstructed, made.pointing, made.factors, made.cut).fold(expected)

    yield Number(f"events {run.sky} build and fold cost", clock.cost(build_and_fold))
    yield Number(f"events {run.sky} fold cost", clock.cost(lambda: made.fold(expected)))


def events_lists(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Draw lists of events, marginalise three sources at the events and in bins, and fit, against their length."""
    run, lengths = quick_start(), LISTS if sizes[1] >= 128 else FEW_LISTS
    run.draw(100)
    costs = [clock.cost(partial(run.draw, length), once=True) for length in lengths]
    yield from grow(f"events {run.sky} draw", lengths, costs)
    yield Number(f"events {run.sky} draw quick start cost", clock.cost(partial(run.draw, EVENTS)))
    unbinned, binned = [], []
    for length in lengths:
        run.take(length)
        unbinned.append(clock.cost(run.densities, once=True))
        binned.append(clock.cost(partial(_marginalise_and_fit, run), once=length > lengths[0]))
    yield from grow(f"events {run.sky} unbinned", lengths, unbinned)
    # Tables of the response are made once, however many events there are.
    more = (unbinned[-1] - unbinned[-2]) / (lengths[-1] - lengths[-2])
    yield Number(f"events {run.sky} unbinned hundred thousand more cost", 1e5 * more)
    yield from grow(f"events {run.sky} binned and fitted", lengths, binned)


def _marginalise_and_fit(run: EventRun) -> None:
    run.marginalise()
    run.fit("quick")


def events_fit(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Sample fractions alone, by importance and by nested sampling."""
    run = quick_start()
    run.take(SAMPLED)
    run.marginalise()
    run.gather()
    model = run.model("quick")
    for name in ("laplace", "nested"):
        plan = [(name, {})]
        sequence.run(model, plan, STREAM)
        found = []
        cost = clock.cost(lambda plan=plan, found=found: found.extend(sequence.run(model, plan, STREAM)), once=True)
        yield Number(f"events {run.sky} {name} cost", cost)
        if name == "nested":
            yield Number(f"events {run.sky} {name} calls count", found[-1].cost["calls"])


def events_refold(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Take one likelihood with its gradient of a source that is folded anew at each value."""
    with open_run(MOVING) as run:
        run.prepare()
        run.simulate()
        run.marginalise()
        run.gather()
        model = run.model("quick")
        z = model.parameters.unconstrain(model.starting_points(1, STREAM.generator("z")))
        target = Target(model)
        yield Number(f"events {run.sky} refold cost", clock.cost(lambda: target.log_density_and_gradient(z)))


def events_steps(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Run the quick start from end to end, on its own axes and on fine ones, and marginalise in chunks."""
    for axes in ("coarse", "fine", "chunks") if sizes[1] >= 128 else ("coarse",):
        command = [sys.executable, str(Path(__file__)), axes]
        # this interpreter on a file of ours: memory has to be measured in a process of its own
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
        for name, value in json.loads(text.splitlines()[-1]).items():
            yield Number(f"events {quick_start().sky} {axes} {name}", value)


def _measure_steps(axes: str) -> dict[str, float]:
    """Return the cost of all steps, libraries imported, and the largest resident memory of this process."""
    with open_run() as warm:
        warm.prepare()
    with open_run(*([FINE] if axes == "fine" else [])) as run:
        forget_peak()
        cost = Clock(0.5).cost(run.all_steps, once=True)
        return {"end to end cost": cost, "resident peak_gb": resident_gb("VmHWM")}


def _measure_chunks() -> dict[str, float]:
    """Return how much more memory each chunk but the first takes, when one process takes many in turn."""
    with open_run({"model": {"binned": False}}) as run:
        run.prepare()
        run.take(20_000 * CHUNKS)
        peaks = []
        for number in range(CHUNKS):
            run.marginalise(f"{number}/{CHUNKS}")
            peaks.append(resident_gb("VmHWM"))
        return {"grown peak_gb": (peaks[-1] - peaks[1]) / (CHUNKS - 2), "first peak_gb": peaks[0]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("axes", choices=["coarse", "fine", "chunks"])
    torch.set_num_threads(1)
    asked = parser.parse_args().axes
    print(json.dumps(_measure_chunks() if asked == "chunks" else _measure_steps(asked)))
