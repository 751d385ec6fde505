"""Snakemake that is interrupted, killed or started twice while its jobs run."""

import os
import signal

import pytest
from tests.slurm.heads import until

pytestmark = pytest.mark.slurm


def refused(run):
    """Start a head that must not begin, and return what it says."""
    head = run.submit_fit()
    assert head.end() == 1
    return head.text()


def test_second_head_is_refused_and_a_head_stopped_by_hand_goes_on(trouble, undisturbed):
    head = trouble.submit_fit()
    trouble.hold_fit()
    assert "no other Snakemake process" in refused(trouble)
    # cancelling wakes a job that is held; woken before, the fit could end first
    assert head.end(signal.SIGINT) == 1
    until("an empty queue", lambda: not trouble.queued())
    assert [job.state for job in trouble.jobs("fit")] == ["CANCELLED"]
    assert not (trouble.folder / trouble.FIT).exists()
    trouble.submit_fit().succeed()
    assert len(trouble.jobs("fit")) == 2
    assert "going on from the checkpoint" in trouble.log()
    trouble.check_answer(undisturbed)


def test_killed_head_whose_jobs_run_on(trouble, undisturbed):
    """The next head is refused while they wait or run, by the lock and then by name; what they finish is kept."""
    head = trouble.submit_fit("--set-resources", "fit:slurm_extra='--hold'")
    until("the job", lambda: any(trouble.notes()))
    head.end(signal.SIGKILL)
    [job] = trouble.queued()
    assert "--unlock" in refused(trouble)
    assert trouble.snakemake("--unlock", "--configfile", "trouble.yaml").returncode == 0
    assert f"{trouble.FIT} (job {job})" in refused(trouble)
    # as if the head had been killed before it noted the number of the job
    [note] = trouble.notes()
    note.unlink()
    assert f"{trouble.FIT} (job {job})" in refused(trouble)
    trouble.cluster.call("scontrol", "release", job)
    fit = trouble.hold_fit()
    assert f"{trouble.FIT} (job {job})" in refused(trouble)
    os.kill(fit, signal.SIGCONT)
    until("the end of the job", lambda: not trouble.queued())
    after = trouble.submit_fit()
    after.succeed()
    assert "Nothing to be done" in after.text()
    assert [job.state for job in trouble.jobs("fit")] == ["COMPLETED"]
    trouble.check_answer(undisturbed)
