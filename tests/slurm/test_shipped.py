"""Every analysis of config/smoke on the cluster: the same files as on this machine, within twice what was asked for."""

from pathlib import Path

import pytest
from tests.slurm.usage import read_usage, table
from tests.workflow.answers import deterministic

from skysift.config import load

pytestmark = pytest.mark.slurm

NAMES = sorted(path.stem for path in Path(__file__).resolve().parents[2].glob("config/smoke/*.yaml"))
#: A job may ask for so many times what it uses; Slurm looks every second and misses short peaks.
GENEROSITY = 2.0
LEAST_MB = 700


def check(clone, words):
    """Run an analysis here and on the cluster, and compare results and requests."""
    results = f"results/{load([clone.folder / word for word in words]).run}"
    peace = clone.copy(clone.folder.with_name("peace"))
    head = clone.submit("--keep-going", "--configfile", *words)
    peace.run("--configfile", *words)
    head.succeed()
    here, there = deterministic(peace.folder / results), deterministic(clone.folder / results)
    assert here.keys() == there.keys()
    assert [path for path in here if here[path] != there[path]] == []
    assert {job.state for job in clone.jobs()} == {"COMPLETED"}, "a job was ended for asking too little"
    usage = read_usage(clone)
    print(table(usage))
    greedy = [use for use in usage if use.asked_mb > max(LEAST_MB, GENEROSITY * use.used_mb)]
    assert not greedy, table(greedy)


@pytest.mark.parametrize("name", NAMES)
def test_cluster_gives_what_this_machine_gives(clone, name):
    """Every rule is there; of the fits the first alone."""
    _, *others = load([clone.folder / f"config/smoke/{name}.yaml"]).fits
    (clone.folder / "first.yaml").write_text("fits: {" + ", ".join(f"{other}: null" for other in others) + "}\n")
    check(clone, (f"config/smoke/{name}.yaml", "first.yaml"))
    assert "fit" in {job.rule for job in clone.jobs()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cluster_gives_what_this_machine_gives_for_every_fit(clone, name):
    check(clone, (f"config/smoke/{name}.yaml",))
