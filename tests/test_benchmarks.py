"""The machinery of the benchmarks: numbers are measured, stored and compared; no seconds are asserted here."""

import importlib.util
import json
import subprocess
import sys

import pytest

NUMBERS = {"gradient pixels 80 cost": 1.0, "gradient pixels exponent": 0.9, "mode steps count": 5.0, "sky peak_gb": 0.2}


@pytest.fixture(scope="module")
def history(repository):
    """The module that stores and compares."""
    spec = importlib.util.spec_from_file_location("history", repository / "benchmarks" / "history.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(repository, *options):
    command = [sys.executable, repository / "benchmarks" / "run.py", "--quick", "--only", "gradient", "mode", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_numbers_are_measured_stored_and_compared(repository, tmp_path):
    path = tmp_path / "history.jsonl"
    stored = measure(repository, "--history", path)
    assert stored.returncode == 0, stored.stderr
    line = json.loads(path.read_text())
    assert {"commit", "date", "load", "reference_ms", "size", "sky", "torch"} <= set(line)
    assert {name.split()[-1] for name in line["numbers"]} == {"cost", "exponent", "ratio", "count"}
    assert line["numbers"]["mode cost"] > 0
    # a stored line that was a hundred times faster: every cost is worse than it
    fast = {name: value / 100 if name.endswith("cost") else value + 9 for name, value in line["numbers"].items()}
    path.write_text(json.dumps(line | {"numbers": fast}) + "\n")
    compared = measure(repository, "--compare", "--history", path)
    assert compared.returncode == 1
    worse = [text for text in compared.stderr.splitlines() if text.startswith("WORSE")]
    assert len(worse) == sum(name.endswith("cost") for name in fast)
    assert len(path.read_text().splitlines()) == 1


def test_events_are_timed_with_or_without_the_data(repository, tmp_path):
    path = tmp_path / "history.jsonl"
    command = [sys.executable, repository / "benchmarks" / "run.py", "--quick", "--only", "events_fold"]
    done = subprocess.run([*command, "--history", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = json.loads(path.read_text())["numbers"]
    assert {name.split(" ", 2)[2] for name in names} == {"build and fold cost", "fold cost"}
    assert {name.split()[1] for name in names} <= {"prod5", "analytic"}


def test_what_is_worse(history):
    assert history.compare(NUMBERS, NUMBERS) == []
    for name, fine, worse in (
        ("gradient pixels 80 cost", 1.19, 1.21),
        ("gradient pixels exponent", 0.99, 1.01),
        ("mode steps count", 6.0, 6.1),
        ("sky peak_gb", 0.29, 0.31),
    ):
        assert history.compare(NUMBERS | {name: fine}, NUMBERS) == []
        assert len(history.compare(NUMBERS | {name: worse}, NUMBERS)) == 1
    assert history.compare({"new cost": 9.0}, NUMBERS) == []


def test_limits_hold_without_a_stored_line(history):
    assert history.exceed(NUMBERS) == []
    assert len(history.exceed({"gradient pixels exponent": 1.2, "whole sky nside 128 peak_gb": 2.1})) == 2
    assert len(history.exceed({"gradient pixels exponent": float("nan")})) == 1
    seconds = {"events prod5 coarse end to end cost": 9.0, "events prod5 unbinned hundred thousand more cost": 1.1}
    assert len(history.exceed({name: value * history.SECOND for name, value in seconds.items()})) == 1


def test_only_lines_of_the_same_sky_and_size_are_compared(history, tmp_path):
    path = tmp_path / "history.jsonl"
    assert history.last(path, "fermi", "full") is None
    for sky, size, number in (
        ("fermi", "full", 1),
        ("fermi", "full", 2),
        ("embedded", "full", 3),
        ("fermi", "quick", 4),
    ):
        history.append(path, {"sky": sky, "size": size, "numbers": {"a cost": number}})
    assert history.last(path, "fermi", "full")["numbers"] == {"a cost": 2}
    assert history.last(path, "embedded", "quick") is None


def test_stored_lines_can_be_read(history, repository):
    path = repository / "benchmarks" / "history.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert lines
    for line in lines:
        assert history.exceed(line["numbers"]) == [] or line["load"][0] > 1
