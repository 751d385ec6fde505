"""Jobs that Slurm ends before they are done: their next attempt goes on to the answer of a run in peace."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from tests.slurm.heads import until
from tests.workflow.answers import numbers

pytestmark = pytest.mark.slurm

HERE = Path(__file__).parent
#: A limit of one minute, and Slurm's pause between two looks at it.
LONGEST_S = 75


def has_pending(process, number):
    """Tell whether a signal waits for a stopped process; so it is where the process is gone."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    except OSError:
        return True
    return any(int(status[name], 16) >> (number - 1) & 1 for name in ("SigPnd", "ShdPnd"))


def test_time_limit_of_one_minute(trouble, undisturbed):
    """The fit is held still until Slurm asks it to stop, in place of a minute of work; it has kept nothing before."""
    early = "fit:slurm_extra='--signal=TERM@20'"
    words = ("--set-resources", "fit:runtime=attempt", early)
    head = trouble.submit_fit(*words, SKYSIFT_CHECKPOINT_EVERY="1000")
    until("the second engine", lambda: "svi" in trouble.log())
    for fit in trouble.steps("fit"):
        os.kill(fit, signal.SIGSTOP)
        # on a slow machine Slurm may have asked already: no signal waits then, and the fit is only let go on
        end = time.monotonic() + LONGEST_S
        until("SIGTERM", lambda fit=fit, end=end: has_pending(fit, signal.SIGTERM) or time.monotonic() > end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(fit, signal.SIGCONT)
    head.succeed()
    assert any("exit status 75" in text for text in trouble.slurm_logs())
    # ... and its first attempt may have ended before it began
    *stopped, last = [job.state for job in trouble.jobs("fit")]
    assert "FAILED" in stopped
    assert set(stopped) <= {"FAILED", "TIMEOUT"}
    assert last == "COMPLETED"
    assert "going on from the checkpoint" in trouble.log()
    trouble.check_answer(undisturbed)


def test_too_little_memory(clone):
    """Both a run in peace on this machine and one on the cluster, where 600 MB are not enough at first."""
    fit = "results/hungry/fits/long/simulated-000.nc"
    for name in ("trouble", "hungry"):
        shutil.copy(HERE / f"{name}.yaml", clone.folder)
    words = ("--configfile", "trouble.yaml", "hungry.yaml", "--")
    clone.run(*words, "results/hungry/data/simulated-000.h5", "results/hungry/config/fit-long.yaml")
    peace = clone.copy(clone.folder.with_name("peace"))
    head = clone.submit("--set-resources", "fit:mem_mb=600 * attempt", *words, fit)
    peace.run(*words, fit)
    head.succeed()
    first, second = clone.jobs("fit")
    assert (first.memory, second.memory) == ("600M", "1200M")
    assert first.state in ("FAILED", "OUT_OF_MEMORY")
    assert second.state == "COMPLETED"
    assert "exceeded" in clone.slurm_logs()[0].lower()
    assert numbers(clone.folder / fit) == numbers(peace.folder / fit)


def test_lost_node(trouble, undisturbed):
    """The first node of a partition of its own dies with everything on it; the second goes on."""
    head = trouble.submit_fit("--default-resources", "slurm_account=test", "slurm_partition=frail")
    trouble.hold_fit()
    trouble.cluster.lose("c3")
    head.succeed()
    first, second = trouble.jobs("fit")
    assert (first.node, first.state) == ("c3", "NODE_FAIL")
    assert (second.node != "c3", second.state) == (True, "COMPLETED")
    assert "going on from the checkpoint" in trouble.log()
    trouble.check_answer(undisturbed)
    trouble.cluster.start()
