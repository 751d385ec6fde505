"""The command line: help, exit codes, messages; without any step doing work."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import skysift
from skysift.cli import cli, main
from skysift.errors import InputError, NumericsError

PIXEL_STEPS = ["fit", "diagnose", "sidebands", "evaluate"]


def commands(group=cli, path=()):
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.fixture
def step(monkeypatch):
    """Replace every step by a function that records its arguments, or raises."""
    calls = []

    class Step:
        def __init__(self):
            self.error = None

        def run(self, **options):
            calls.append(options)
            if self.error:
                raise self.error

    fake = Step()
    fake.calls = calls
    fake.asked = []
    really = importlib.import_module

    def load(name, package=None):
        if not name.startswith("skysift.steps."):
            return really(name, package)
        fake.asked.append(name)
        return fake

    monkeypatch.setattr("skysift.cli.importlib.import_module", load)
    return fake


def leave(arguments):
    """Run `main` and return its exit code."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    return caught.value.code or 0


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_has_an_example_that_names_the_command(words):
    result = CliRunner().invoke(cli, [*words, "--help"], prog_name="skysift")
    assert result.exit_code == 0
    assert f"skysift {' '.join(words)}" in result.output.split("Example:")[1]


@pytest.mark.parametrize("words", [words for words in commands() if words[0] not in ("data", "validate", "schema")])
def test_example_parses_and_ends_with_out(words, step, tmp_path, monkeypatch):
    """The example of the help is a line that works, options and all."""
    monkeypatch.chdir(tmp_path)
    text = CliRunner().invoke(cli, [*words, "--help"], prog_name="skysift").output
    line = text.split("Example:")[1].split("Options:")[0].replace("\\\n", " ").replace("*", "l+30").split()
    for word in line:
        if Path(word).suffix and not word.startswith("-"):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).write_text("run: R\n")
    assert leave(line[1:]) == 0
    assert line[-2] in ("--out", "--out-dir")
    [options] = step.calls
    assert all(isinstance(value, Path | list | tuple | str | int | float) for value in options.values())


def test_step_receives_paths(step, tmp_path):
    (tmp_path / "c.yaml").write_text("run: mine\n")
    assert leave(["prepare", "--config", tmp_path / "c.yaml", "--out", tmp_path / "o.h5"]) == 0
    assert step.calls == [{"config": tmp_path / "c.yaml", "out": tmp_path / "o.h5"}]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("run: mine\nobservation: {instrument: ctao}\n", "events."), ("kind: events\nrun: mine\n", "events."),
     ("run: mine\nobservation: {instrument: fermi}\n", "")],
    ids=["configuration", "slice", "maps"],
)  # fmt: skip
def test_configuration_decides_which_kind_of_step_runs(step, tmp_path, text, kind):
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "r.h5").touch()
    assert leave(["prepare", "--config", tmp_path / "c.yaml", "--out", tmp_path / "o.h5"]) == 0
    words = [
        word for name in ("observation", "data", "posterior", "response") for word in (f"--{name}", tmp_path / "r.h5")
    ]
    assert leave(["diagnose", "--config", tmp_path / "c.yaml", *words, "--out", tmp_path / "p.h5"]) == 0
    assert step.asked == [f"skysift.steps.{kind}prepare", f"skysift.steps.{kind}diagnose"]
    assert ("response" in step.calls[1]) is bool(kind)


@pytest.mark.parametrize(("name", "option"), [("marginalise", "response"), ("gather", "marginals")])
def test_steps_of_events_take_several_files(step, tmp_path, name, option):
    files = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for file in files:
        file.touch()
    more = {"marginalise": ["--observation", files[0], "--data", files[0], "--chunk", "0/2"], "gather": []}[name]
    words = [name, "--config", files[0], *more, f"--{option}", *files, "--out", tmp_path / "o.h5"]
    assert leave(words) == 0
    assert step.calls[0][option] == files


def test_systematics_takes_several_files(step, tmp_path):
    files = [tmp_path / name for name in ("p.nc", "a.h5", "b.h5")]
    for file in files:
        file.touch()
    assert leave(["systematics", "--posterior", files[0], "--spurious", *files[1:], "--out", tmp_path / "o.nc"]) == 0
    assert step.calls[0]["spurious"] == files[1:]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("a.fits", "COUNTS", "-1", "counts >= 0", "mask the pixel"), 2, "input error in a.fits"),
        (NumericsError("the matrix is not positive definite"), 1, "not positive definite"),
        (KeyboardInterrupt(), 130, "stopped by hand"),
    ],
)
def test_errors_become_text_and_an_exit_code(step, tmp_path, capsys, error, code, says):
    step.error = error
    (tmp_path / "c.yaml").write_text("run: mine\n")
    assert leave(["prepare", "--config", tmp_path / "c.yaml", "--out", tmp_path / "o.h5"]) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err


def test_a_defect_of_ours_keeps_its_traceback(step, tmp_path):
    """An error that nobody foresaw must not look like one that was: it passes through."""
    step.error = ZeroDivisionError()
    (tmp_path / "c.yaml").write_text("run: mine\n")
    with pytest.raises(ZeroDivisionError):
        main(["prepare", "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "o.h5")])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_input_that_is_no_file_is_refused_before_any_work(step, tmp_path, capsys, kind):
    place = tmp_path / "c.yaml"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    assert leave(["prepare", "--config", place, "--out", tmp_path / "o.h5"]) == 2
    shown = capsys.readouterr().err
    assert str(place) in shown
    assert "--config" in shown
    assert step.calls == []


@pytest.mark.parametrize("out", ["folder", "file/below", "sub/new.h5"])
def test_place_of_the_result_is_checked_before_any_work(step, tmp_path, out):
    (tmp_path / "c.yaml").write_text("run: mine\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    code = leave(["prepare", "--config", tmp_path / "c.yaml", "--out", tmp_path / out])
    assert (code, len(step.calls)) == ((0, 1) if out == "sub/new.h5" else (2, 0))


def test_unknown_command_suggests_the_nearest(capsys):
    assert leave(["fitt"]) == 2
    assert "'fit'" in capsys.readouterr().err


def test_version(capsys):
    assert leave(["--version"]) == 0
    assert skysift.__version__ in capsys.readouterr().out


def test_threads_reach_the_numerical_libraries(step, tmp_path, monkeypatch):
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    (tmp_path / "c.yaml").write_text("run: mine\n")
    leave(["prepare", "--config", tmp_path / "c.yaml", "--threads", "3", "--out", tmp_path / "o.h5"])
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "3"
    assert "threads" not in step.calls[0]


STOP = "os.kill(os.getpid(), signal.SIGTERM)"
# what is raised while an object is removed, Python drops
DROPPED = f"""weakref.finalize(thing, lambda: {STOP})
    del thing
    time.sleep(20)"""


@pytest.mark.parametrize("deed", [STOP, DROPPED], ids=["at work", "while an object is removed"])
def test_sigterm_leaves_with_75(deed):
    """A process that the system stops says so, with the exit code that means: run me again."""
    probe = f"""
import os, signal, time, types, weakref, skysift.cli as c
class Thing: pass
def run(**options):
    thing = Thing()
    {deed}
c.importlib.import_module = lambda name: types.SimpleNamespace(run=run)
c.main(["data", "list"])
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert "the same command goes on" in done.stderr
