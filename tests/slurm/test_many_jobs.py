"""Two hundred jobs in one run, and what each costs beside its work."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

JOBS = 200
#: CPU seconds: three starts of Python and Snakemake in each allocation, and a share of the head.
LARGEST_S = 15.0


def test_two_hundred_jobs(repository, cluster):
    """The benchmark of the overhead compares every file with the one made on this machine."""
    command = [sys.executable, "-m", "tests.slurm.overhead", "--jobs", str(JOBS), "--slurm"]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
    assert f"{JOBS} skies made on the cluster are those made here" in done.stdout
    seconds = {name: float(value) for name, value in re.findall(r"^(\w+ \w+) +([\d.-]+) s", done.stdout, re.MULTILINE)}
    assert seconds["local job"] < 1
    assert 0 < seconds["slurm job"] + seconds["slurm head"] < LARGEST_S
