"""A Slurm cluster for the tests of this folder, started by the first that needs it and stopped by the last."""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.heads import Submitting
from tests.workflow.checkouts import copy_repository

HERE = Path(__file__).parent


@contextmanager
def alone(path):
    """Keep other workers out of what one must do alone."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def running(cluster):
    """Start a cluster, and stop it after its last user, unless somebody else had started it."""
    place = cluster.state.with_name(f"{cluster.state.name}.users")
    was_running = cluster.is_running()
    try:
        with alone(place.with_suffix(".start")):
            cluster.start()
    except ClusterError as error:
        if os.environ.get("SKYSIFT_REQUIRE_SLURM") == "1":
            pytest.fail(f"{error} (SKYSIFT_REQUIRE_SLURM=1)")
        pytest.skip(str(error))
    with place.open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        if not was_running:
            place.with_suffix(".ours").touch()
        yield cluster
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if place.with_suffix(".ours").exists():
            place.with_suffix(".ours").unlink()
            cluster.purge()


@pytest.fixture(scope="session")
def cluster():
    """A running cluster with an accounting database."""
    with running(Cluster.from_environment()) as started:
        yield started


@pytest.fixture
def clone(tmp_path, repository, cluster):
    """A fresh copy of what the workflow needs, whose Snakemake submits to the cluster."""
    return Submitting(copy_repository(repository, tmp_path / "clone"), cluster)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, repository, cluster):
    """A run with one fit, in peace on this machine: what every disturbed run must come to."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "undisturbed"
    with alone(shared / "undisturbed.lock"):
        if (shared / "undisturbed.done").exists():
            return Submitting(folder, cluster)
        whole = Submitting(copy_repository(repository, folder), cluster)
        (folder / "trouble.yaml").write_text((HERE / "trouble.yaml").read_text())
        whole.run("--configfile", "trouble.yaml", "--", whole.FIT)
        (shared / "undisturbed.done").touch()
    return whole


@pytest.fixture
def trouble(tmp_path, undisturbed, cluster):
    """The same run before its fit: everything else is there already."""
    copy = undisturbed.copy(tmp_path / "clone")
    for path in (copy.FIT, "results/trouble/logs/fits", "results/trouble/benchmarks/fits"):
        copy.forget(path)
    return copy
