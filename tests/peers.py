"""Other tools that tests compare with."""

import importlib
import os
import warnings

import pytest

__all__ = ["import_peer"]


def import_peer(name):
    """Import a module of another tool; without it the test is skipped, or fails where nothing may be missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        reason = f"no {name}: {error}"
        if os.environ.get("SKYSIFT_REQUIRE_DATA") == "1":
            pytest.fail(f"{reason} (SKYSIFT_REQUIRE_DATA=1)")
        pytest.skip(reason)
