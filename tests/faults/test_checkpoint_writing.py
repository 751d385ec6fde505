"""Faults while a checkpoint is written (rows 38 and 39): a whole generation is always there; nothing is unpickled."""

import errno
import os
import signal
import time

import numpy as np
import pytest
from tests.faults.small_checkpoints import NOW, content, keep, names

from skysift.errors import SkysiftError
from skysift.storage import checkpoints, writer
from skysift.storage.checkpoints import read_checkpoint, remove_checkpoint


@pytest.fixture
def folder(tmp_path):
    """A folder with two generations, the newest of step 2."""
    place = tmp_path / "results" / "run" / "checkpoints" / "mvn" / "observed"
    keep(place, 1)
    keep(place, 2)
    return place


@pytest.mark.parametrize("allowed", [0, 1, 1000, 20_000, 60_000])
def test_39_full_disk_leaves_both_generations(folder, allowed, monkeypatch):
    real = writer._ErrorKeepingStream
    room = [allowed]

    class Full:
        def __init__(self, raw):
            self._raw = raw

        def write(self, data):
            room[0] -= len(data)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._raw.write(data)

        def __getattr__(self, name):
            return getattr(self._raw, name)

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(writer, "_ErrorKeepingStream", lambda raw: real(Full(raw)))
    with pytest.raises(SkysiftError, match="no room to write"):
        keep(folder, 3, size=100_000)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    ("owner", "name", "step"),
    [
        (writer, "add_seal", 2),
        (checkpoints, "check_seal", 2),
        (checkpoints.Path, "replace", 2),
        (checkpoints.os, "fsync", 2),
    ],
)
def test_38_killed_at_any_stage_of_writing(folder, owner, name, step, monkeypatch):
    """Whatever was reached, there is a whole generation to go on from, and no warning where none is damaged."""
    real, calls = getattr(owner, name), []
    for stage in range(6):

        def dying(*arguments, stage=stage):
            calls.append(1)
            if len(calls) > stage:
                raise Killed
            return real(*arguments)

        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dying)
            try:
                keep(folder, step + 1)
            except Killed:
                found = read_checkpoint(folder, NOW)
                assert found.step in (step, step + 1)
                assert not found.warnings
        step = read_checkpoint(folder, NOW).step
    keep(folder, 99)
    assert names(folder) == ["state.h5", "state.h5.bak"]


SIZE = 20_000


def write_for_ever(folder, first):
    for number in range(first, first + 10_000):
        keep(folder, number, SIZE)


def test_38_sigkill_at_random_moments_of_writing(tmp_path):
    """A process that only writes is killed forty times: a whole generation is always there, none older than before."""
    random, last = np.random.default_rng(5), 0
    folder = tmp_path / "checkpoints"
    for _ in range(40):
        child = os.fork()
        if not child:
            write_for_ever(folder, last + 1)
            os._exit(0)
        time.sleep(float(random.uniform(0.002, 0.15)))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        found = read_checkpoint(folder, NOW) if folder.exists() else None
        if found is not None and found.content:
            assert not found.warnings
            assert found.step >= last
            np.testing.assert_array_equal(found.content["1-hmc"][1][0], content(found.step, SIZE)["1-hmc"][1][0])
            last = found.step
    assert last > 3, "hardly anything was written: the test is blind"
    assert len(names(folder)) <= 4
    keep(folder, last + 1)
    assert names(folder) == ["state.h5", "state.h5.bak"], "parts of killed writers are swept"


def test_a_result_on_disk_needs_no_checkpoint(folder):
    other = folder.parent.parent / "iaf" / "observed"
    keep(other, 1)
    (folder / "state.new.h5.part-host-1").write_bytes(b"x")
    remove_checkpoint(folder)
    assert not folder.parent.exists()
    assert other.is_dir()
    remove_checkpoint(other)
    assert not other.parents[1].exists()
    assert other.parents[2].exists(), "the run itself stays"
    remove_checkpoint(other)


def test_nothing_is_unpickled(repository):
    """No module reads what could be code: by name, in any spelling."""
    words = (
        "pickle", "torch.load", "torch.save", "ParamStore", "get_param_store", "dill", "joblib", "allow_pickle=True",
        "weights_only", "shelve", "marshal", "eval(", "exec(",
    )  # fmt: skip
    harmless = ("allow_pickle=False", ".eval(", "_eval(")
    seen = 0
    for path in sorted((repository / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for allowed in harmless:
            text = text.replace(allowed, "")
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        seen += 1
        assert not [word for word in words if word in code], path
    assert seen > 100
