"""Progress: plain lines in a log, a bar on a terminal, a last line also after a failure."""

import io

import pytest

from skysift.steps.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream, steps, every_s=30.0, seconds_per_step=1.0):
    now = [0.0]
    with Progress("hmc", steps, every_s=every_s, stream=stream, clock=lambda: now[0]) as progress:
        for done in range(1, steps + 1):
            now[0] += seconds_per_step
            progress.update(done, log_z=-1.5)
    return stream.getvalue()


def test_log_has_one_line_every_while_and_a_last_one():
    lines = show(io.StringIO(), 100).splitlines()
    assert lines[0] == "hmc: 30/100, 1/s, 70 s left, log_z -1.5"
    assert lines[-1] == "hmc: 100/100 in 100 s, log_z -1.5"
    assert len(lines) == 4


def test_log_holds_no_control_characters():
    assert show(io.StringIO(), 100).isprintable() is False  # newlines
    assert all(line.isprintable() for line in show(io.StringIO(), 100).splitlines())


def test_terminal_gets_a_bar():
    shown = show(Terminal(), 5)
    assert "━" in shown
    assert shown.splitlines()[-1].endswith("hmc: 5/5 in 5 s, log_z -1.5")


def test_failure_leaves_the_line_that_says_how_far_it_came():
    def fail():
        with Progress("map", 10, stream=stream) as progress:
            progress.update(3)
            raise ValueError("stop")

    stream = io.StringIO()
    with pytest.raises(ValueError, match="stop"):
        fail()
    assert stream.getvalue().startswith("map: 3/10 in ")
