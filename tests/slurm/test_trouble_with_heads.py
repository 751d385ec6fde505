"""Snakemake that is interrupted, killed or started twice while its jobs run."""

import signal

import pytest
from tests.slurm.heads import until

pytestmark = pytest.mark.slurm


def test_second_head_is_refused_and_a_head_stopped_by_hand_goes_on(trouble, undisturbed):
    head = trouble.submit_fit()
    trouble.wait_for_checkpoint()
    second = trouble.submit_fit()
    assert second.end() == 1
    assert "no other Snakemake process" in second.text()
    assert head.end(signal.SIGINT) == 1
    until("an empty queue", lambda: not trouble.queued())
    assert [job.state for job in trouble.jobs("fit")] == ["CANCELLED"]
    assert not (trouble.folder / trouble.FIT).exists()
    trouble.submit_fit().succeed()
    assert len(trouble.jobs("fit")) == 2
    assert "going on from the checkpoint" in trouble.log()
    trouble.check_answer(undisturbed)


def test_killed_head_whose_jobs_run_on(trouble, undisturbed):
    """The next head is refused while they run, by the lock and then by name; what they finish is not made again."""
    head = trouble.submit_fit()
    trouble.wait_for_checkpoint()
    head.end(signal.SIGKILL)
    [job] = trouble.queued()
    locked = trouble.submit_fit()
    assert locked.end() == 1
    assert "--unlock" in locked.text()
    assert trouble.snakemake("--unlock", "--configfile", "trouble.yaml").returncode == 0
    refused = trouble.submit_fit()
    assert refused.end() == 1
    assert f"still work on this run: {job}" in refused.text()
    assert trouble.FIT in refused.text()
    until("the end of the job", lambda: not trouble.queued())
    after = trouble.submit_fit()
    after.succeed()
    assert "Nothing to be done" in after.text()
    assert [job.state for job in trouble.jobs("fit")] == ["COMPLETED"]
    trouble.check_answer(undisturbed)
