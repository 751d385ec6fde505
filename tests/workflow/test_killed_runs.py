"""A run that is killed again and again ends like one that was left in peace."""

import shutil

import numpy as np
import pytest
from tests.workflow.answers import deterministic
from tests.workflow.kills import run_until

KILLS = 20
LONGEST_S = 12
CONFIGURATION = "tests/slurm/trouble.yaml"
RESULTS = "results/trouble"


@pytest.mark.slow
def test_twenty_kills_change_nothing(checkout, repository, seed, tmp_path):
    """Head and steps die at random moments; when the run ends before the last of them, it begins again."""
    checkout.use_real_steps()
    shutil.copy(repository / CONFIGURATION, checkout.folder / "trouble.yaml")
    words = ("--configfile", "trouble.yaml")
    checkout.run(*words)
    results = checkout.folder / RESULTS
    peace = deterministic(results)
    assert {"observation.h5", "data/simulated-000.h5", "fits/long/simulated-000.nc"} < set(peace)
    moments = np.random.default_rng(seed).uniform(0, LONGEST_S, size=KILLS).tolist()
    environment = checkout.environment(SKYSIFT_CHECKPOINT_EVERY="1", OMP_NUM_THREADS="1")
    ends = 0
    shutil.rmtree(results)
    while moments or not ends:
        unlocked = checkout.snakemake("--unlock", *words)
        assert unlocked.returncode == 0, unlocked.stderr
        command = checkout.command("--cores", "2", "--rerun-incomplete", *words)
        patience_s = moments.pop() if moments else 900
        code = run_until(patience_s, command, tmp_path / "head.txt", cwd=checkout.folder, env=environment)
        assert code in (None, 0), (tmp_path / "head.txt").read_text()[-4000:]
        if code == 0:
            check_end(checkout, peace, words)
            ends += 1
            if moments:
                shutil.rmtree(results)
    print(f"{KILLS} kills, {ends} runs that reached their end")


def check_end(checkout, peace, words):
    """Everything is there once, nothing is unfinished, and nothing is left to be done."""
    results = checkout.folder / RESULTS
    found = deterministic(results)
    assert found.keys() == peace.keys()
    assert [name for name in found if found[name] != peace[name]] == []
    assert list(results.rglob("*.part-*")) == []
    assert list(results.rglob("state.h5*")) == []
    assert checkout.plan(*words) == {}
