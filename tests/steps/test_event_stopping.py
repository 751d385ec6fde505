"""Fits of event lists by nested sampling, stopped by SIGTERM: they go on from the journal to the same evidence."""

import os
import signal

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.errors import InterruptedRunError, ResumeError
from skysift.steps import checkpoints
from skysift.steps.events import fit
from skysift.storage.posterior import read_posterior

FITS = {"evidence": [{"nested": {"live": 50, "dlogz": 0.5}}]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    return SmallEventRun(tmp_path_factory.mktemp("run"), repository, fits=FITS)


def test_a_stopped_sampler_goes_on(run, tmp_path, monkeypatch, capfd):
    files = vars(run.arguments("evidence"))
    fit.run(**files, out=tmp_path / "whole.nc")
    real, written = checkpoints.write_checkpoint, []

    def write(*arguments):
        real(*arguments)
        written.append(arguments[3])
        if len(written) in (3, 60):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoints, "write_checkpoint", write)
    out = tmp_path / "results" / "small" / "fits" / "evidence" / "simulated-000.nc"
    capfd.readouterr()
    for attempt in range(2):
        with pytest.raises(InterruptedRunError):
            fit.run(**files, out=out, checkpoint_every=0.0)
        said = capfd.readouterr()
        assert ("going on from the checkpoint" in said.err) == (attempt == 1)
        assert "Exception" not in said.out + said.err, "the sampler was stopped where it does not complain"
    assert {place for place, _ in written} == {"sequence/0-nested"}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "code_digest", lambda step: "0" * 16)
        with pytest.raises(ResumeError, match="other code"):
            fit.run(**files, out=out)
    fit.run(**files, out=out)
    whole, found = read_posterior(tmp_path / "whole.nc"), read_posterior(out)
    assert whole.log_z == found.log_z
    assert whole.cost["calls"] == found.cost["calls"]
    for name in whole.variables:
        np.testing.assert_array_equal(whole[name], found[name])
    assert not (tmp_path / "results" / "small" / "checkpoints").exists()
