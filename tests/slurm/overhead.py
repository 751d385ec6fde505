"""What a job costs beside its work: many small ones on this machine, and on a Slurm cluster that is started for it.

``python -m tests.slurm.overhead --jobs 200 --slurm`` prints CPU seconds for each job; ``--store`` appends them to the
history of the benchmarks. The same simulated skies are made both ways and must be equal, byte for byte.
"""

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.slurm.heads import Submitting
from tests.slurm.usage import read_usage
from tests.workflow.checkouts import Checkout, copy_repository

__all__ = ["main"]

CONFIGURATION = """
run: many
observation: {{data: synthetic, nside: 16, region: {{radius: 20 deg}}}}
simulate: {{replicates: {jobs}, truth: {{diffuse: 12}}}}
model: {{components: {{diffuse: {{template: p6v11, norm: {{lognormal: [12, 0.5]}}}}}}}}
fits: {{first: [map]}}
"""
ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
FEW, STEPS = 10, 5


def skies(jobs):
    """Return the files of so many simulated skies."""
    return [f"results/many/data/simulated-{number:03d}.h5" for number in range(jobs)]


def prepare(folder, jobs):
    """Write a copy of the repository with a configuration of many small jobs."""
    copy_repository(ROOT, folder)
    (folder / "many.yaml").write_text(CONFIGURATION.format(jobs=jobs), encoding="utf-8")
    return folder


def spent(action):
    """Return the CPU seconds of all processes that an action starts and waits for, and how long it takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began


def measure_here(checkout, jobs):
    """Return the CPU seconds of a step alone, and what a job on this machine adds to it."""
    words = ("--configfile", "many.yaml", "--")
    first, _ = spent(lambda: checkout.run(*words, *skies(FEW)))
    rest, wall_s = spent(lambda: checkout.run(*words, *skies(jobs)))
    out = checkout.folder / "again.h5"
    command = (
        f"{checkout.tools}/skysift simulate --config results/many/config/simulate-simulated.yaml"
        f" --observation results/many/observation.h5 --data simulated-000 --out {out}"
    )

    def repeat():
        for _ in range(STEPS):
            # a command of this repository on files that were just made
            subprocess.run(shlex.split(command), cwd=checkout.folder, env=checkout.environment(), check=True,
                           capture_output=True)  # fmt: skip

    step_s = spent(repeat)[0] / STEPS
    assert out.read_bytes() == (checkout.folder / skies(1)[0]).read_bytes()
    # both heads start and plan; the rest grows with the jobs
    each_s = (rest - first) / (jobs - 2 * FEW)
    return {"step": step_s, "local job": each_s - step_s, "local wall": wall_s / (jobs - FEW)}


@contextmanager
def own_cluster():
    """Start a cluster that is there for this alone, unless it runs."""
    cluster = Cluster.from_environment()
    was_running = cluster.is_running()
    cluster.start()
    try:
        yield cluster
    finally:
        if not was_running:
            cluster.purge()


def measure_slurm(folder, jobs, step_s):
    """Return the CPU seconds that a job on the cluster adds to its step: in its allocation, and in the head."""
    with own_cluster() as cluster:
        run = Submitting(folder, cluster)

        def submit():
            head = run.submit("--configfile", "many.yaml", "--", *skies(jobs))
            assert head.process.wait() == 0, head.text()[-4000:]

        head_s, wall_s = spent(submit)
        jobs_s = [use.cpu_s for use in read_usage(run) if use.rule == "simulate"]
    assert len(jobs_s) == jobs, f"{len(jobs_s)} jobs ran, {jobs} were wanted"
    each_s = sum(jobs_s) / jobs
    return {"slurm job": each_s - step_s, "slurm head": head_s / jobs, "slurm wall": wall_s / jobs}


def main(arguments=None):
    """Measure, print, and store if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100, help="simulated skies, each a job")
    parser.add_argument("--slurm", action="store_true", help="on a cluster too (Debian, root)")
    parser.add_argument("--store", action="store_true", help="append the numbers to the history")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as place:
        here = Checkout(prepare(Path(place, "here"), options.jobs))
        here.use_real_steps()
        found = measure_here(here, options.jobs)
        if options.slurm:
            there = prepare(Path(place, "there"), options.jobs)
            found |= measure_slurm(there, options.jobs, found["step"])
            for path in skies(options.jobs):
                assert (there / path).read_bytes() == (here.folder / path).read_bytes(), path
            print(f"{options.jobs} skies made on the cluster are those made here, byte for byte")
    for name, seconds in found.items():
        print(f"{name:12s} {seconds:7.2f} s a job", flush=True)
    if options.store:
        store(found, load, options.jobs)


def store(found, load, jobs):
    """Append the numbers, in units of the reference kernel, to the history of the benchmarks."""
    sys.path.insert(0, str(BENCHMARKS))
    import history
    from timing import Clock

    clock = Clock(0.5)
    clock.cost(lambda: None, once=True)
    reference_s = clock.references_s[-1]
    line = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "jobs": jobs,
        "load": [round(value, 1) for value in load],
        "numbers": {f"{name} cost": float(f"{seconds / reference_s:.4g}") for name, seconds in found.items()},
        "reference_ms": round(1000 * reference_s, 4),
        "size": "jobs",
        "sky": "none",
    }
    history.append(BENCHMARKS / "history.jsonl", line)


if __name__ == "__main__":
    main()
