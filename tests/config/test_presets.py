"""Sequences with a name: what they stand for, in every place where a sequence may stand, and that they run."""

import json

import jsonschema
import pytest
from tests.contracts.toys import PoissonTemplates

from skysift.config import resolve
from skysift.config.presets import PRESETS
from skysift.config.schema import schema_text
from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Stream

PUBLISHED = {
    "map": {"starts": 500, "steps": 350, "lr": 0.01, "lr_end": 0.002, "polish": 0},
    "svi": {
        "guide": "mvn",
        "particles": 1000,
        "steps": 1500,
        "lr": 0.003,
        "restarts": 1,
        "draws": 4000,
        "published": False,
    },
    "hmc": {
        "chains": 50,
        "warmup": 250,
        "draws": 750,
        "step": 0.3,
        "path": 0.9,
        "max_leapfrog": 30,
        "target_accept": 0.8,
        "max_draws": 750,
    },
}


def configure(fit):
    return {
        "run": "presets",
        "observation": {"data": "synthetic", "nside": 16, "region": {"radius": "20 deg"}},
        "simulate": {"truth": {"gce": 0.9}},
        "model": {"components": {"gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}}}},
        "fits": {"named": fit},
    }


def steps_of(fit):
    steps = resolve(configure(fit)).plain()["fits"]["named"]["sequence"]
    return [(step["engine"], step["settings"]) for step in steps]


@pytest.mark.parametrize("fit", ["gigalens", ["gigalens"], {"sequence": "gigalens"}, {"sequence": ["gigalens"]}])
def test_one_name_stands_for_the_published_sequence(fit):
    assert steps_of(fit) == list(PUBLISHED.items())
    assert list(jsonschema.Draft202012Validator(json.loads(schema_text())).iter_errors(configure(fit))) == []


def test_the_ladder_has_every_default_but_the_guide():
    """Fisher polish, whitening and adapted steps are the defaults."""
    written = ["map", "laplace", {"svi": {"guide": "mvn"}}, "hmc"]
    assert steps_of("ladder") == steps_of(written)
    assert dict(steps_of("ladder"))["map"]["polish"] == 30
    assert "step" not in dict(steps_of("ladder"))["hmc"]
    assert steps_of(["ladder", {"nuts": {"chains": 2}}])[:4] == steps_of(written)
    assert steps_of("map") == steps_of(["map"])


def test_a_name_that_is_nearly_one_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match="gigalens"):
        resolve(configure("gigalen"))
    with pytest.raises(InputError, match="ladder"):
        resolve(configure({"sequence": ["lader"]}))


@pytest.mark.parametrize(
    ("engine", "word"),
    [
        ({"nested": {"library": "nautilus", "sample": "rwalk"}}, "sample"),
        ({"nested": {"library": "nautilus", "dlogz": 0.5}}, "dlogz"),
        ({"nested": {"discard": False}}, "discard"),
        ({"nested": {"live": 5}}, "live"),
        ({"hmc": {"max_draws": 3}}, "max_draws"),
        ({"hmc": {"draws": 1}}, "draws"),
    ],
)
def test_settings_without_effect_or_sense_are_refused(engine, word):
    with pytest.raises(InputError, match=word):
        resolve(configure([engine]))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run(name, seed):
    """On three norms, with a tenth of the published effort where it is much."""
    plan = [(engine, dict(settings)) for step in PRESETS[name] for engine, settings in step.items()]
    smaller = {"starts": 50, "particles": 100, "steps": 150, "draws": 150, "max_draws": 150, "warmup": 100}
    if name == "gigalens":
        plan = [(engine, {k: smaller.get(k, v) for k, v in settings.items()}) for engine, settings in plan]
    results = sequence.run(PoissonTemplates(), plan, Stream(seed))
    assert [one.engine for one in results] == [engine for engine, _ in plan]
    assert results[-1].is_converged
    assert results[-1].draws.shape[0] == (50 if name == "gigalens" else 32)


@pytest.mark.slow
def test_the_published_sequence_runs_in_full(seed):
    plan = list(PUBLISHED.items())
    results = sequence.run(PoissonTemplates(), plan, Stream(seed))
    assert results[-1].draws.shape == (50, 750, 3)
    assert all(one.is_converged for one in results[1:])
    assert float(results[-1].traces["r_hat"].max()) < 1.01
