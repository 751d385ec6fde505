"""A run on the cluster whose head and jobs are killed together, again and again."""

import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from tests.slurm.heads import until
from tests.workflow.answers import deterministic

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

KILLS = 3
LONGEST_S = 40
HERE = Path(__file__).parent


def test_kills_on_the_cluster_change_nothing(clone, seed):
    shutil.copy(HERE / "trouble.yaml", clone.folder)
    words = ("--configfile", "trouble.yaml")
    peace = clone.copy(clone.folder.with_name("peace"))
    peace.run(*words)
    wanted = deterministic(peace.folder / "results/trouble")
    for moment in np.random.default_rng(seed).uniform(5, LONGEST_S, size=KILLS):
        head = clone.submit(*words)
        time.sleep(moment)
        head.end(signal.SIGKILL)
        for job in clone.queued():
            clone.cluster.answers("scancel", "--signal=KILL", "--full", job)
            clone.cluster.answers("scancel", job)
        until("an empty queue", lambda: not clone.queued())
        assert clone.snakemake("--unlock", *words).returncode == 0
    clone.submit(*words).succeed()
    found = deterministic(clone.folder / "results/trouble")
    assert found.keys() == wanted.keys()
    assert [name for name in found if found[name] != wanted[name]] == []
    assert list((clone.folder / "results").rglob("*.part-*")) == []
