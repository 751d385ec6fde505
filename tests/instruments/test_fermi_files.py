"""Observations and counts come back from files as they were."""

import dataclasses

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.instruments.fermi import (
    Counts,
    Observation,
    Sideband,
    read_counts,
    read_observation,
    write_counts,
    write_observation,
)

PIXELS = 5
MAP = np.arange(2.0 * PIXELS).reshape(2, PIXELS) + 1.0
SOME = np.array([True, False, True, True, False])


@pytest.fixture
def observation():
    return Observation(
        nside=8,
        pixels=np.arange(10, 10 + PIXELS),
        region=SOME,
        energy_edges_gev=np.array([2.0, 6.0, 20.0]),
        exposure_cm2_s=MAP * 1e10,
        exposure_mean_cm2_s=np.array([1e10, 2e10]),
        templates={"b": MAP, "a": 2 * MAP},
        read_out={"north": ~SOME},
        sidebands={"l-30": Sideband("l-30", (-30.0, 0.0), ~SOME, 3 * MAP)},
        warnings=("one", "two"),
    )


def same(first, second):
    """Compare two dataclasses field by field, arrays bit by bit."""
    for field in dataclasses.fields(first):
        left, right = getattr(first, field.name), getattr(second, field.name)
        if dataclasses.is_dataclass(left):
            same(left, right)
        elif isinstance(left, dict):
            assert list(left) == list(right)
            for name in left:
                if dataclasses.is_dataclass(left[name]):
                    same(left[name], right[name])
                else:
                    np.testing.assert_array_equal(left[name], right[name])
        else:
            np.testing.assert_array_equal(left, right)
            assert np.asarray(left).dtype == np.asarray(right).dtype


def test_observation_round_trip(observation, tmp_path):
    write_observation(tmp_path / "o.h5", observation)
    same(observation, read_observation(tmp_path / "o.h5"))


@pytest.mark.parametrize(
    "counts",
    [
        Counts("observed", np.ones((2, PIXELS), dtype=np.int64), warnings=("rounded",)),
        Counts("s-000", np.ones((2, PIXELS), dtype=np.int64), 7, {"gce": 0.9}, {"gce": "nfw"}, MAP, {"gce": 0.1 * MAP}),
    ],
    ids=["observed", "simulated"],
)
def test_counts_round_trip(observation, counts, tmp_path):
    write_counts(tmp_path / "c.h5", counts, observation)
    same(counts, read_counts(tmp_path / "c.h5"))


def test_one_kind_of_file_is_not_the_other(observation, tmp_path):
    write_observation(tmp_path / "o.h5", observation)
    with pytest.raises(InputError, match=r"observation 1[\s\S]*counts 1"):
        read_counts(tmp_path / "o.h5")
