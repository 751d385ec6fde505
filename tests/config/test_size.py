"""What jobs ask for grows with what they hold."""

import math

import pytest

from skysift.config import resolve
from skysift.config.size import count_pixels, fit_memory_mb, fit_minutes, maps_memory_mb


def analysis(nside=64, radius="20 deg", bins=1, points="grid", engines=("map",)):
    edges = [f"{2 * 10 ** (i / bins):g} GeV" for i in range(bins + 1)]
    field = {"lengthscale": "0.2 rad", "variance": 0.5, "inducing": {"points": points}}
    return resolve(
        {
            "run": "size",
            "observation": {"data": "synthetic", "nside": nside, "region": {"radius": radius}, "energy_edges": edges},
            "model": {"components": {"a": {"template": "p6v11", "norm": {"uniform": [0, 1]}, "modulate": field}}},
            "fits": {"one": list(engines)},
        }
    )


def test_pixels_of_the_whole_sky_and_of_half_of_it():
    assert count_pixels(analysis(64, "180 deg")) == 12 * 64**2
    assert count_pixels(analysis(64, "90 deg")) == pytest.approx(6 * 64**2, abs=1)


@pytest.mark.parametrize("change", [{"nside": 128}, {"radius": "40 deg"}, {"bins": 4}, {"points": "all"}])
def test_fit_asks_for_more_memory_when_there_is_more_to_hold(change):
    assert fit_memory_mb(analysis(**change), "one") > fit_memory_mb(analysis(), "one") >= 1000


def test_fit_asks_for_more_time_when_there_is_more_to_do():
    assert fit_minutes(analysis(engines=["map", "hmc"]), "one") > fit_minutes(analysis(), "one") >= 10


def test_maps_of_a_fine_sky_need_memory():
    assert maps_memory_mb(analysis(512)) > maps_memory_mb(analysis(64))
    assert math.isclose(maps_memory_mb(analysis(64)), 1000, rel_tol=0.05)
