"""What jobs ask for grows with what they hold."""

import math

import pytest

from skysift.config import resolve
from skysift.config.size import count_inducing, count_pixels, fit_memory_mb, fit_minutes, maps_memory_mb


def analysis(  # the arguments are what the size depends on
    nside=64, radius="20 deg", bins=1, points="grid", engines=("map",), lengthscale="0.2 rad", variance=0.5
):
    edges = [f"{2 * 10 ** (i / bins):g} GeV" for i in range(bins + 1)]
    field = {"lengthscale": lengthscale, "variance": variance, "inducing": {"points": points}}
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
    assert math.isclose(maps_memory_mb(analysis(64)), 700, rel_tol=0.05)
    assert maps_memory_mb(analysis(64), needs_torch=True) == maps_memory_mb(analysis(64)) + 300


def test_short_correlations_need_more_inducing_points_and_a_grid_more_time():
    short = analysis(lengthscale="0.05 rad")
    assert fit_memory_mb(short, "one") > fit_memory_mb(analysis(), "one")
    marginalised = analysis(lengthscale="0.05 rad", variance={"lognormal": [0.05, 1.0]})
    assert fit_minutes(marginalised, "one") > fit_minutes(short, "one")


def test_inducing_points_never_outnumber_pixels():
    tiny = analysis(lengthscale="0.001 rad")
    [field] = tiny.model_of("one").components["a"].modulate
    assert count_inducing(tiny, field) == count_pixels(tiny)
