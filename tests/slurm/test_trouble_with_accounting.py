"""Clusters whose accounting database is not there, or goes away."""

import os
import signal
from dataclasses import replace

import pytest
from tests.slurm.conftest import running
from tests.slurm.heads import Submitting, until
from tests.workflow.checkouts import copy_repository

pytestmark = pytest.mark.slurm


def beside(cluster, name, offset, **changes):
    """Return another cluster on the same machine."""
    state = cluster.state.with_name(f"{cluster.state.name}-{name}")
    return replace(cluster, state=state, port=cluster.port + offset, **changes)


def test_without_a_database_squeue_is_asked(tmp_path, repository, undisturbed, cluster):
    with running(beside(cluster, "none", 10, has_accounting=False)) as other:
        clone = Submitting(copy_repository(repository, tmp_path / "clone"), other)
        (clone.folder / "trouble.yaml").write_text((undisturbed.folder / "trouble.yaml").read_text())
        words = ("--slurm-status-command", "squeue", "--configfile", "trouble.yaml", "--", clone.DATA)
        clone.submit(*words).succeed()
        for path in (clone.DATA, "results/trouble/observation.h5"):
            assert (clone.folder / path).read_bytes() == (undisturbed.folder / path).read_bytes()


@pytest.mark.slow
def test_database_that_goes_away_and_comes_back(tmp_path, undisturbed, cluster):
    """The job ends while nobody keeps the books; the head waits until somebody does again."""
    with running(beside(cluster, "lost", 20)) as other:
        trouble = Submitting(undisturbed.copy(tmp_path / "clone").folder, other)
        trouble.forget(trouble.FIT)
        head = trouble.submit_fit()
        fit = trouble.hold_fit()
        os.kill(int((other.state / "pids/slurmdbd").read_text()), signal.SIGKILL)
        os.kill(fit, signal.SIGCONT)
        until("the end of the fit", (trouble.folder / trouble.FIT).exists)
        until("the end of the job", lambda: not trouble.queued())
        assert head.process.poll() is None
        other.start()
        head.succeed()
        assert len(trouble.jobs("fit")) == 1
        trouble.check_answer(undisturbed)
