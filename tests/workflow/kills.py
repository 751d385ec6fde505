"""Killing a Snakemake with everything that it has started, as a power cut would."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

__all__ = ["kill_session", "run_until"]


def members(leader):
    """Return the processes of a session that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # a process may end while it is looked at
        with contextlib.suppress(OSError):
            state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(process.name))
    return found


def kill_session(leader):
    """Kill every process of a session, those that start meanwhile too."""
    while running := members(leader):
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def run_until(seconds, command, output, **options):
    """Run a command for at most so long, then kill it with everything it has started.

    Returns
    -------
    int or None : the exit code, None where it was killed
    """
    with output.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_session(process.pid)
        process.wait()
        return None
