"""A Slurm cluster for the tests of this folder, started by the first that needs it and stopped by the last."""

import fcntl
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.heads import Submitting, give_up
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
    """Start a cluster, and purge it after its last user, unless somebody else had started it."""
    place = cluster.state.with_name(f"{cluster.state.name}.users")
    ours, door = place.with_suffix(".ours"), place.with_suffix(".door")
    with place.open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with alone(door):
            if not cluster.is_running():
                ours.touch()
            try:
                cluster.start()
            except (ClusterError, subprocess.SubprocessError) as error:
                give_up(f"{error} {getattr(error, 'stderr', None) or ''}".strip())
        try:
            yield cluster
        finally:
            with alone(door):
                leave(cluster, users, ours)


def leave(cluster, users, ours):
    """Purge the cluster if the tests have started it and nobody else uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if ours.exists():
        ours.unlink()
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
