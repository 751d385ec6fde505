"""What a fault must look like: exit code 2, file, field and value named, bounded in time and memory."""

import importlib
import time
import tracemalloc

import numpy as np
import pytest
from tests.faults.event_words import FITS
from tests.faults.small_maps import Case

from skysift.cli import main
from skysift.errors import InputError
from skysift.storage.hdf5 import Dataset, Field, read, write

WANTED = {"exposure": Field("cm2 s", "f", 1)}


@pytest.fixture
def refused():
    """Return a function that asserts a clean error and returns its text."""

    def check(path, field, found="", reader=None, **settings):
        ask = reader or (lambda place: read(place, **{"format": "observation", "wanted": WANTED, **settings}))
        with pytest.raises(InputError) as caught:
            ask(path)
        assert caught.value.exit_code == 2
        assert caught.value.place == str(path)
        assert field in caught.value.field
        assert found in caught.value.found
        assert caught.value.remedy
        return str(caught.value)

    return check


@pytest.fixture
def frugal():
    """Bounds on time and memory of a test."""
    tracemalloc.start()
    begin = time.monotonic()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6, "memory was taken before the check"
    assert time.monotonic() - begin < 10


@pytest.fixture
def good(tmp_path):
    """A good file with one dataset of two chunks."""
    path = tmp_path / "good.h5"
    draws = np.random.default_rng(1).normal(size=800_000)
    write(path, format="observation", datasets={"exposure": Dataset(draws, "cm2 s")}, attributes={"nside": 128})
    return path


@pytest.fixture(scope="module")
def libraries():
    """Import what the steps import, so that the bounds on time and memory are about the faults."""
    for step in ("prepare", "observe"):
        importlib.import_module(f"skysift.steps.{step}")
    importlib.import_module("skysift.storage.healpix")


@pytest.fixture
def case(tmp_path, libraries):
    return Case(tmp_path)


@pytest.fixture(scope="session")
def run(tmp_path_factory, repository):
    """A small sound run on events: what the tests spoil is valid before."""
    from tests.steps.small_event_run import SmallEventRun

    made = SmallEventRun(tmp_path_factory.mktemp("run"), repository, fits=FITS)
    made.gather()
    return made


@pytest.fixture
def refuse(tmp_path, capsys):
    """Return a function that runs a command, asserts a clean refusal, and returns the message by its parts."""

    def check(words, *expected, file=None, folder=tmp_path):
        before = sorted(folder.rglob("*"))
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        text = capsys.readouterr().err
        assert caught.value.code == 2, text
        assert "Traceback" not in text
        assert sorted(folder.rglob("*")) == before, "something was written"
        parts = {}
        for line in text.splitlines():
            word, _, rest = line.strip().partition("  ")
            parts.setdefault(word, rest.strip())
        assert all(parts.get(word) for word in ("field", "found", "wanted", "do")), text
        if file is not None:
            assert f"input error in {file}" in text
        for part in expected:
            assert str(part) in text, text
        return parts

    return check
