"""Fixtures for every test: the seed, and the folder with real data."""

import os
import secrets
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_ASKED = os.environ.get("SKYSIFT_TEST_SEED", "20200929")
SEED = secrets.randbelow(2**31) if _ASKED == "roam" else int(_ASKED)


@pytest.fixture(scope="session")
def seed():
    """The seed of every random test: fixed, unless SKYSIFT_TEST_SEED names another one or says ``roam``."""
    return SEED


@pytest.fixture(scope="session")
def repository():
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """The folder with real data: $SKYSIFT_DATA, ../shared/data, or the user's cache."""
    import pooch

    places = [ROOT.parent / "shared" / "data", Path(pooch.os_cache("skysift"))]
    if "SKYSIFT_DATA" in os.environ:
        places.insert(0, Path(os.environ["SKYSIFT_DATA"]))
    for place in places:
        if (place / "fermi").is_dir():
            return place
    reason = "no real data: set SKYSIFT_DATA, or run `skysift data fetch fermi`"
    if os.environ.get("SKYSIFT_REQUIRE_DATA") == "1":
        pytest.fail(f"{reason} (SKYSIFT_REQUIRE_DATA=1)")
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Print the seed of a random test that failed."""
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("seed", f"SKYSIFT_TEST_SEED={SEED}"))
    return report
