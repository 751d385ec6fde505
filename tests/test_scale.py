"""The largest analyses on paper: what is planned from given curves, and what nobody measured."""

import json
import re
import subprocess
import sys

import pytest

FLAT = 400.0  # one second
LENGTHS = ("100000", "1e+06")
NAMES = [
    "slurm job", "slurm head", "events prod5 build and fold", "events prod5 laplace", "events prod5 nested",
    "events prod5 draw quick start",
    *(f"events prod5 {name} {length}" for name in ("draw", "unbinned", "binned and fitted") for length in LENGTHS),
    *(f"whole sky nside 128 inducing 768 {name}" for name in ("build", "gradient")),
    *(f"posterior {name}" for name in ("grid", "mvn", "iaf", "conditional_iaf", "flow", "hmc")),
]  # fmt: skip
NUMBERS = {f"{name} cost": FLAT for name in NAMES} | {
    "gradient pixels exponent": 1.0,
    **{f"posterior {name} gradients count": 99 for name in ("grid", "mvn", "iaf", "conditional_iaf", "flow", "hmc")},
}


@pytest.fixture
def tables(repository, tmp_path):
    """Print the tables from some numbers, and return them by their titles."""

    def run(numbers):
        path = tmp_path / "history.jsonl"
        path.write_text(json.dumps({"size": "full", "numbers": numbers}) + "\n")
        command = [sys.executable, repository / "benchmarks/scale.py", "--history", path, "--jobs", "10"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(part.split("\n", 1) for part in done.stdout.split("## ")[1:])

    return run


def row(table, rule):
    """Return the numbers of one line of a table."""
    [line] = [line for line in table.splitlines() if line.startswith(rule)]
    return [float(word) for word in re.findall(r"(?<= )[\d.e+]+", line[22:])]


def test_jobs_hours_and_memory_by_hand(tables):
    found = tables(NUMBERS)
    events = found["1e9 events of CTAO, each for itself"]
    jobs, cpu_s, hours, asked_mb, files, overhead = row(events, "marginalise")
    # a job for each million, one second of work beside two seconds of Slurm and Snakemake, four files each
    assert (jobs, cpu_s, files, overhead) == (1000, 1, 4000, 66.7)
    assert hours == pytest.approx(1000 * 3 / 3600, rel=0.01)
    assert 1e9 / 1000 * 3 * 400 / 1e6 < asked_mb < 4000
    assert "1004 jobs" in events
    sky = row(found["the whole sky at nside 512"], "fit (grid)")
    # sixteen times the pixels: 100 seconds, building and 99 gradients, become 1600
    assert sky[1] == pytest.approx(1600)
    assert sky[3] < 10_000, "a projection is taken in pieces"
    assert row(found["1e4 simulations of a calibration"], "maps, mvn")[:2] == [500, 20]


def test_what_nobody_measured_is_told(tables):
    found = tables({name: value for name, value in NUMBERS.items() if "unbinned" not in name})
    assert found["1e5 lenses"].startswith("not measured")
    assert "not measured: events prod5 unbinned" in found["1e9 events of CTAO, each for itself"]
    assert "not measured" not in found["1e9 events of CTAO, in bins"]
