"""What a fault must look like: exit code 2, file, field and value named, bounded in time and memory."""

import time
import tracemalloc

import pytest

from skysift.errors import InputError
from skysift.storage.hdf5 import Field, read

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
