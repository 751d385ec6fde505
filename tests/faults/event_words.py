"""What tests of faults in event analyses share: words of commands, and slices that are changed."""

import pytest
import yaml

from skysift.cli import main

__all__ = ["FITS", "main_or_none", "marginalise_words", "prepare_words", "slice_with", "source"]

FITS = {"quick": ["laplace"], "reference": ["nested"]}


def slice_with(run, tmp_path, name, change):
    """Write a slice of the run, changed."""
    data = yaml.safe_load(run.slice(name).read_text())
    change(data)
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def prepare_words(config, tmp_path):
    return ["prepare", "--config", config, "--out", tmp_path / "out.h5"]


def marginalise_words(run, data, tmp_path):
    return ["marginalise", "--config", run.slice("marginalise"), "--observation", run.observation, "--data", data,
            "--chunk", "0/1", "--out", tmp_path / "out.h5", "--response", *run.responses]  # fmt: skip


def main_or_none(words):
    """Run a command that must succeed."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert not caught.value.code


def source(**keys):
    """Return the change of a slice that adds a source."""

    def change(data):
        data["sources"]["extra"] = keys

    return change
