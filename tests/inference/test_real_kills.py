"""SIGKILL, for real: what processes leave on disk is enough to go on to the same answer."""

import json
import subprocess
import sys

import pytest
from tests.inference.test_checkpoints import CASES

KILLS = 20


def kill_often(case, seed, folder, kills, repository):
    command = [sys.executable, "-m", "tests.inference.real_kills", case, str(seed), str(folder), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["kills"] == kills
    assert found["ended"] >= 1
    assert found["same"], found


def test_a_search_killed_for_real(seed, tmp_path, repository):
    kill_often("map-newton", seed, tmp_path, 6, repository)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_engine_killed_for_real(case, seed, tmp_path, repository):
    kill_often(case, seed, tmp_path, KILLS, repository)
