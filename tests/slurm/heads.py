"""Snakemake that submits to the cluster: started, watched, interrupted and killed by the tests."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.workflow.answers import numbers
from tests.workflow.checkouts import Checkout

__all__ = ["Head", "Job", "Submitting", "give_up", "until"]

#: A loaded machine may need this long for what takes seconds in peace.
PATIENCE_S = 900
#: Status is asked for sooner than on a real cluster.
HASTE = ("--slurm-init-seconds-before-status-checks", "2")


def give_up(reason):
    """Skip, or fail where the cluster is required, and say why."""
    if os.environ.get("SKYSIFT_REQUIRE_SLURM") == "1":
        pytest.fail(f"{reason} (SKYSIFT_REQUIRE_SLURM=1)")
    pytest.skip(reason)


def until(what, is_so, patience_s=PATIENCE_S):
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + patience_s
    while True:
        found = is_so()
        if found:
            return found
        assert time.monotonic() < end, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Job:
    """What the accounting database knows of one job."""

    number: int
    state: str
    rule: str
    memory: str
    partition: str
    node: str


class Head:
    """One Snakemake process that others watch."""

    def __init__(self, checkout, words, variables):
        self.output = checkout.folder.parent / f"head-{time.monotonic_ns()}.txt"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                checkout.command(*words), cwd=checkout.folder, env=checkout.environment(**variables),
                stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def text(self):
        """Return what it has printed so far."""
        return self.output.read_text()

    def end(self, number=None):
        """Send a signal, if any, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def succeed(self):
        """Wait for a good end."""
        assert self.end() == 0, self.text()[-6000:]


class Submitting(Checkout):
    """A folder like a fresh clone, whose Snakemake submits to the cluster and whose steps do their real work."""

    FIT = "results/trouble/fits/long/simulated-000.nc"
    DATA = "results/trouble/data/simulated-000.h5"
    CHECKPOINT = "results/trouble/checkpoints/long/simulated-000/state.h5"
    LOG = "results/trouble/logs/fits/long/simulated-000.log"

    def __init__(self, folder, cluster):
        super().__init__(folder)
        self.cluster = cluster
        self.born = time.strftime("%Y-%m-%dT%H:%M:%S")
        self.use_real_steps()

    def environment(self, **variables):
        """Return an environment that knows this cluster alone."""
        every = {"SKYSIFT_CHECKPOINT_EVERY": "1", "OMP_NUM_THREADS": "1"}
        return super().environment(**self.cluster.variables(), **(every | variables))

    def copy(self, folder):
        """Copy everything, results and Snakemake's memory of them included."""
        shutil.copytree(self.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("locks"))
        return Submitting(folder, self.cluster)

    def forget(self, path):
        """Remove a result."""
        place = self.folder / path
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def submit(self, *words, profile="slurm", **variables):
        """Start a head that submits to the cluster."""
        return Head(self, ["--profile", profile, *HASTE, *words], variables)

    def submit_fit(self, *words, **variables):
        """Start a head that wants the fit of the configuration of troubles."""
        return self.submit("--configfile", "trouble.yaml", *words, "--", self.FIT, **variables)

    # ------------------------------------------------------------ looking

    def jobs(self, rule=""):
        """Return the jobs that were submitted from this folder, those of one rule or all."""
        columns = "JobID,State,Comment%200,ReqMem,Partition,NodeList,WorkDir%400"
        lines = self.cluster.call("sacct", "-a", "-X", "-n", "-P", "-S", self.born, "-o", columns).splitlines()
        rows = [line.split("|") for line in lines]
        here = [row for row in rows if Path(row[-1]) == self.folder]
        jobs = [
            Job(int(number), state.split()[0], comment.removeprefix("rule_").partition("_wildcards")[0], *rest[:-1])
            for number, state, comment, *rest in here
        ]
        return sorted((job for job in jobs if not rule or job.rule == rule), key=lambda job: job.number)

    def queued(self):
        """Return the numbers of jobs of this folder that wait or run."""
        lines = self.cluster.call("squeue", "-h", "-o", "%A|%Z", "-t", "PENDING,RUNNING,COMPLETING").splitlines()
        return [int(number) for number, place in (line.split("|") for line in lines) if Path(place) == self.folder]

    def notes(self):
        """Return the files in which Snakemake notes what has been begun."""
        notes = (self.folder / ".snakemake/incomplete").rglob("*")
        return [note for note in notes if note.is_file() and note.name != "migration_underway"]

    def steps(self, name):
        """Return the processes of a step that run for this folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode().split("\0")
                is_here = (process / "cwd").resolve() == self.folder
            except OSError:
                continue
            if is_here and words[1:4] == ["-m", "skysift.cli", name]:
                found.append(int(process.name))
        return found

    def hold_fit(self):
        """Wait until the fit has kept something, hold it still, so that nothing depends on haste, and return it."""
        until("a checkpoint", (self.folder / self.CHECKPOINT).exists)
        [fit] = until("the fit", lambda: self.steps("fit"))
        os.kill(fit, signal.SIGSTOP)
        return fit

    def log(self):
        """Return the log of the last attempt of the fit."""
        path = self.folder / self.LOG
        return path.read_text() if path.exists() else ""

    def slurm_logs(self, rule="fit"):
        """Return what Slurm kept of attempts that failed, the first one first."""
        logs = (self.folder / f".snakemake/slurm_logs/rule_{rule}").rglob("*.log")
        return [path.read_text() for path in sorted(logs, key=lambda path: int(path.stem))]

    def check_answer(self, undisturbed):
        """The posterior is that of the undisturbed run, and nothing unfinished is left."""
        assert numbers(self.folder / self.FIT) == numbers(undisturbed.folder / self.FIT)
        assert list((self.folder / "results").rglob("*.part-*")) == []
        assert not (self.folder / self.CHECKPOINT).exists()
