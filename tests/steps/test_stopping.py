"""Fits that are stopped by signals, and go on: exit codes, what is said, and the same posterior to the last bit."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.steps.small_run import SMALL, SmallRun, modulated

from skysift.cli import main
from skysift.errors import InterruptedRunError, ResumeError, SkysiftError
from skysift.steps import checkpoints, fit, sidebands
from skysift.steps.checkpoints import Keeping, checkpoint_folder, keep
from skysift.steps.progress import Progress
from skysift.storage.checkpoints import Identity
from skysift.storage.hdf5 import read
from skysift.storage.posterior import read_posterior
from skysift.storage.provenance import Provenance

TRUTH = {"diffuse": 11.0, "isotropic": 0.1, "gce": 0.9}
FREE = {"variance": {"lognormal": [0.01, 1.0]}, "hyper": "maximised"}
FITS = {
    "chains": [{"map": SMALL}, {"hmc": {"chains": 4, "warmup": 20, "draws": 10, "max_draws": 20}}],
    "maximised": {"model": modulated(**FREE), "sequence": [{"map": SMALL}, {"laplace": {"importance": 100}}]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sides = {"fits": ["chains"], "signal": "gce", "longitudes": ["60 deg", "-60 deg"]}
    return SmallRun(tmp_path_factory.mktemp("stopping"), fits=FITS, truth=TRUTH, systematics={"sidebands": sides})


@pytest.fixture
def disturb(monkeypatch):
    """Do something after each checkpoint that is written, until it says that it is done."""
    monkeypatch.setenv("SKYSIFT_CHECKPOINT_EVERY", "0")
    real = checkpoints.write_checkpoint

    def install(act, after):
        seen = []

        def write(*arguments):
            real(*arguments)
            seen.append(arguments[3])
            if len(seen) == after:
                act()

        monkeypatch.setattr(checkpoints, "write_checkpoint", write)
        return seen

    return install


def send(number):
    return lambda: os.kill(os.getpid(), number)


def leave(*words):
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code or 0


def words(run, name, out, *more):
    files = {"config": run.slice(f"fit-{name}"), "observation": run.observation, "data": run.data(), "out": out}
    return ["fit", *(part for key, path in files.items() for part in (f"--{key}", path)), *more]


def same_draws(first, second):
    first, second = read_posterior(first), read_posterior(second)
    assert set(first.variables) == set(second.variables)
    for name in first.variables:
        np.testing.assert_array_equal(first[name], second[name])
    assert first.log_z == second.log_z
    assert [(one.name, one.value) for one in first.checks] == [(one.name, one.value) for one in second.checks]
    assert first.attributes == second.attributes
    return True


@pytest.mark.parametrize(
    ("name", "number", "code", "after"),
    [
        ("chains", signal.SIGTERM, 75, 40),
        ("chains", signal.SIGINT, 130, 7),
        ("maximised", signal.SIGTERM, 75, 3),
    ],
)
def test_47_48_stopped_by_a_signal_and_gone_on(run, tmp_path, capsys, disturb, name, number, code, after):
    out = tmp_path / "results" / "small" / "fits" / name / "simulated-000.nc"
    folder = tmp_path / "results" / "small" / "checkpoints" / name / "simulated-000"
    seen = disturb(send(number), after)
    assert leave(*words(run, name, out)) == code
    said = capsys.readouterr().err
    assert str(folder) in said
    assert "the same command goes on" in said
    assert not out.exists()
    assert (folder / "state.h5").is_file()
    assert len(seen) == after, "the run went on"
    assert leave(*words(run, name, out)) == 0
    said = capsys.readouterr().err
    assert f"going on from the checkpoint {folder}" in said
    assert not folder.parent.exists(), "a result on disk needs no checkpoint"
    assert same_draws(run.fit(name), out)
    assert read_posterior(out).warnings == run.posterior(name).warnings
    assert read_posterior(out).cost["cpu_s"] > 0


def test_47_a_signal_between_two_checkpoints_makes_one_more(run, tmp_path, capsys, monkeypatch):
    """Within the first minute nothing is written, but for the signal."""
    real, seen = Progress.update, []

    def update(self, done, **numbers):
        real(self, done, **numbers)
        seen.append(done)
        if len(seen) == 25:
            os.kill(os.getpid(), signal.SIGTERM)

    out = tmp_path / "a.nc"
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", update)
        assert leave(*words(run, "chains", out)) == 75
    assert "sequence/1-hmc, step 25" in capsys.readouterr().err
    assert leave(*words(run, "chains", out)) == 0
    assert "sequence/1-hmc, step 25" in capsys.readouterr().err
    assert same_draws(run.fit("chains"), out)


def test_an_uninterrupted_fit_says_nothing_and_leaves_nothing(run, tmp_path, capsys):
    out = tmp_path / "a.nc"
    assert leave(*words(run, "chains", out)) == 0
    assert "checkpoint" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def stop(run, name, out, disturb, after=30):
    disturb(send(signal.SIGTERM), after)
    with pytest.raises(InterruptedRunError):
        fit.run(run.slice(f"fit-{name}"), run.observation, run.data(), out, checkpoint_every=0.0)
    return checkpoint_folder(out)


def test_41_changed_inputs_are_refused(run, tmp_path, capsys, disturb):
    out = tmp_path / "a.nc"
    folder = stop(run, "chains", out, disturb)
    kept = (folder / "state.h5").read_bytes()
    config = tmp_path / "fit.yaml"
    config.write_text(run.slice("fit-chains").read_text().replace("max_draws: 20", "max_draws: 30"))
    changed = [config if word == run.slice("fit-chains") else word for word in words(run, "chains", out)]
    assert leave(*changed) == 2
    said = capsys.readouterr().err
    for part in ("configuration", str(folder / "state.h5"), "in the checkpoint", "now", "--restart"):
        assert part in said
    other = SmallRun(tmp_path / "other", fits=FITS, truth=TRUTH, seed=2)
    moved = [other.data() if word == run.data() else word for word in words(run, "chains", out)]
    assert leave(*moved) == 2
    assert "other data: simulated-000.h5" in capsys.readouterr().err
    assert (folder / "state.h5").read_bytes() == kept
    assert not out.exists()
    assert leave(*changed, "--restart") == 0
    assert "going on" not in capsys.readouterr().err
    assert read_posterior(out)["gce_norm"].shape[1] == 30
    assert not folder.exists()


def test_41_changed_code_is_refused(run, tmp_path, disturb, monkeypatch):
    out = tmp_path / "a.nc"
    stop(run, "chains", out, disturb)
    monkeypatch.setattr(checkpoints, "code_digest", lambda step: "0123456789abcdef")
    with pytest.raises(ResumeError) as caught:
        fit.run(run.slice("fit-chains"), run.observation, run.data(), out)
    assert caught.value.field == "code"
    assert "0123456789abcdef now" in caught.value.found


def test_36_a_damaged_checkpoint_is_told_with_the_result(run, tmp_path, disturb):
    out = tmp_path / "a.nc"
    folder = stop(run, "chains", out, disturb)
    (folder / "state.h5").write_bytes(b"damaged")
    fit.run(run.slice("fit-chains"), run.observation, run.data(), out)
    assert same_draws(run.fit("chains"), out)
    [warning] = [text for text in read_posterior(out).warnings if "checkpoint" in text]
    assert "cannot be used" in warning


def test_39_no_room_for_checkpoints_is_a_warning(run, tmp_path, monkeypatch, capsys):
    def write(*_):
        raise SkysiftError("no room to write here\n  needed  9 bytes")

    monkeypatch.setattr(checkpoints, "write_checkpoint", write)
    out = tmp_path / "a.nc"
    fit.run(run.slice("fit-chains"), run.observation, run.data(), out, checkpoint_every=0.0)
    assert capsys.readouterr().err.count("no room to write here") == 1, "it is said once"
    assert any("no room to write here" in text for text in read_posterior(out).warnings)
    assert same_draws(run.fit("chains"), out)


def test_sidebands_go_on(run, tmp_path, disturb):
    region, words = "l+60", (run.slice("sidebands-chains"), run.observation, run.data())
    sidebands.run(*words, region, tmp_path / "whole.h5")
    out = tmp_path / "results" / "small" / "sidebands" / "chains" / "simulated-000" / f"{region}.h5"
    disturb(send(signal.SIGTERM), 4)
    with pytest.raises(InterruptedRunError):
        sidebands.run(*words, region, out, checkpoint_every=0.0)
    assert (tmp_path / "results/small/checkpoints/sidebands/chains/simulated-000" / region / "state.h5").is_file()
    sidebands.run(*words, region, out)
    whole, again = (read(path, format="spurious") for path in (tmp_path / "whole.h5", out))
    np.testing.assert_array_equal(whole["log_likelihood"], again["log_likelihood"])
    assert whole.attributes == again.attributes
    assert not (tmp_path / "results/small/checkpoints").exists()


# ---------------------------------------------------------------- signals


@pytest.fixture
def keeping(tmp_path):
    made = Keeping(tmp_path / "checkpoints", Identity({}, "", "", {}))
    made.recover()
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def test_the_second_signal_is_obeyed_at_once(keeping):
    keeping.hear(signal.SIGTERM, None)
    assert keeping.must_stop
    with pytest.raises(InterruptedRunError, match="nothing new was kept"):
        keeping.hear(signal.SIGTERM, None)


def test_a_person_is_more_pressing_than_the_system(keeping):
    keeping.hear(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        keeping.hear(signal.SIGINT, None)


def test_who_finds_no_place_to_stop_leaves_before_being_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE_S", 0.05)
    begin = time.monotonic()

    def work_without_end():
        with keep(tmp_path / "a.nc", Provenance(), "fit"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30.0)

    with pytest.raises(InterruptedRunError):
        work_without_end()
    assert time.monotonic() - begin < 20.0


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]

    def fail():
        with keep(tmp_path / "a.nc", Provenance(), "fit"):
            assert signal.getsignal(signal.SIGTERM) != before[0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_one_device_has_left_is_nothing_to_another(tmp_path):
    """A job killed on a GPU may wake up where there is none: its tensors have no place there."""
    out = tmp_path / "a.nc"
    for device, expected in (("cuda", 0), ("cuda", 3), ("cpu", 0)):
        with keep(out, Provenance(), "fit", every_s=0.0, device=device) as kept:
            assert (kept.checkpoint.load() or {"step": 0})["step"] == expected
            assert any("device cuda in the checkpoint, cpu now" in text for text in kept.warnings) == (device == "cpu")
            kept.checkpoint.save(lambda: {"step": 3})


# ---------------------------------------------------------------- processes


@pytest.mark.slow
def test_46_47_processes_killed_and_stopped_for_real(run, tmp_path):
    """The command itself: killed at random moments, stopped once by SIGTERM, then left alone."""
    out = tmp_path / "results" / "small" / "fits" / "chains" / "simulated-000.nc"
    command = [sys.executable, "-m", "skysift.cli", *(str(word) for word in words(run, "chains", out))]
    environment = {**os.environ, "SKYSIFT_CHECKPOINT_EVERY": "0"}
    random, folder = np.random.default_rng(1), checkpoint_folder(out)

    def generations():
        # one may be renamed while we look
        times = {}
        for name in ("state.h5", "state.h5.bak"):
            with contextlib.suppress(FileNotFoundError):
                times[name] = (folder / name).stat().st_mtime_ns
        return times

    def begin():
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    for number in (*[signal.SIGKILL] * 5, signal.SIGTERM):
        before = generations()
        process = begin()
        while process.poll() is None and generations() == before:
            time.sleep(0.002)
        time.sleep(float(random.uniform(0.0, 0.1)))
        process.send_signal(number)
        said = process.communicate()[1]
        assert process.returncode == (75 if number == signal.SIGTERM else -signal.SIGKILL), said
        assert not out.exists()
        assert ("going on from the checkpoint" in said) == bool(before)
    process = begin()
    assert "going on from the checkpoint" in process.communicate()[1]
    assert process.returncode == 0
    assert same_draws(run.fit("chains"), out)
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name], "nothing half-written"
    assert not folder.parent.exists()
