"""Every analysis of config/smoke on the cluster: the same files as on this machine, within twice what was asked for."""

from pathlib import Path

import pytest
from tests.slurm.heads import deterministic
from tests.slurm.usage import read_usage, table

from skysift.config import load

pytestmark = pytest.mark.slurm

CONFIGURATIONS = sorted(Path(__file__).resolve().parents[2].glob("config/smoke/*.yaml"))
#: A job may ask for so many times what it uses; Slurm looks every two seconds and misses short peaks.
GENEROSITY = 2.0
LEAST_MB = 700


@pytest.mark.parametrize("name", [path.stem for path in CONFIGURATIONS])
def test_cluster_gives_what_this_machine_gives(clone, name):
    words = ("--configfile", f"config/smoke/{name}.yaml")
    results = f"results/{load([clone.folder / words[1]]).run}"
    peace = clone.copy(clone.folder.with_name("peace"))
    head = clone.submit("--keep-going", *words)
    peace.run(*words)
    head.succeed()
    here, there = deterministic(peace.folder / results), deterministic(clone.folder / results)
    assert here.keys() == there.keys()
    assert [path for path in here if here[path] != there[path]] == []
    assert {job.state for job in clone.jobs()} == {"COMPLETED"}, "a job was ended for asking too little"
    usage = read_usage(clone)
    print(table(usage))
    greedy = [use for use in usage if use.asked_mb > max(LEAST_MB, GENEROSITY * use.used_mb)]
    assert not greedy, table(greedy)
