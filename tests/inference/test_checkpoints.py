"""Engines that are killed again and again go on to the answer of an uninterrupted run, to the last bit."""

import pytest
from tests.contracts.guide_contract import PoissonPatch
from tests.contracts.toys import Gaussian, PoissonField, Rosenbrock, TwoModes
from tests.inference.kills import assert_same, run_with_kills
from tests.inference.scales import Scales

from skysift.inference.guides.training import _Training
from skysift.inference.sampler import Sampler

KILLS = 20
CHAINS = {"chains": 8, "warmup": 60, "draws": 30, "max_draws": 90}
BRIEF = {"restarts": 2, "evaluate": 1500, "draws": 400}


def patch():
    return PoissonPatch(pixels=60, numbers=8)


def small():
    return Gaussian(2)


def scales():
    return Scales(nodes=3)


CASES = {
    "map-newton": (PoissonField, [("map", {"starts": 8})]),
    "map-adam": (TwoModes, [("map", {"steps": 40, "starts": 8})]),
    "map-curved": (Rosenbrock, [("map", {"steps": 60, "starts": 8})]),
    "laplace": (PoissonField, [("laplace", {})]),
    "laplace-hyper": (scales, [("laplace", {"importance": 200})]),
    "grid": (PoissonField, [("grid", {"parameter": "bump_norm", "values": 6, "importance": 200})]),
    "grid-hyper": (scales, [("grid", {"parameter": "level", "values": 6, "importance": 0})]),
    "hmc": (Gaussian, [("hmc", CHAINS)]),
    "hmc-field": (patch, [("hmc", {**CHAINS, "warmup": 40, "draws": 30, "max_draws": 30})]),
    "svi-mvn": (PoissonField, [("svi", {"guide": "mvn", **BRIEF})]),
    "svi-iaf": (patch, [("svi", {"guide": "iaf", "steps": 20, **BRIEF})]),
    "svi-conditional": (patch, [("svi", {"guide": "conditional_iaf", "steps": 20, **BRIEF})]),
    "svi-flow": (patch, [("svi", {"guide": "flow", **BRIEF})]),
    "svi-published": (patch, [("svi", {"guide": "iaf", "published": True, "steps": 20, **BRIEF})]),
    "svi-batch": (patch, [("svi", {"guide": "mvn", "batch": 20, "steps": 40, **BRIEF})]),
    "svi-norms": (Gaussian, [("svi", {"guide": "flow", "steps": 25, **BRIEF})]),
    "nested-uniform": (small, [("nested", {"live": 25, "dlogz": 0.1})]),
    "nested-slices": (small, [("nested", {"live": 40, "sample": "rslice", "dlogz": 0.5})]),
    "nested-walks": (small, [("nested", {"live": 40, "sample": "rwalk", "dlogz": 0.5})]),
    "nested-dynamic": (small, [("nested", {"live": 40, "effective": 200, "runs": 2})]),
    "nested-nautilus": (small, [("nested", {"library": "nautilus", "live": 100, "effective": 300})]),
    "sequence": (
        Gaussian,
        [
            ("map", {"steps": 30, "starts": 4}),
            ("laplace", {"importance": 500}),
            ("svi", {"guide": "mvn", "steps": 40, **BRIEF}),
            ("hmc", CHAINS),
        ],
    ),
}


#: the same loops with other guides: run by `make test-all`
LONGER = (
    "svi-norms",
    "nested-slices",
    "nested-walks",
    "nested-dynamic",
    "nested-nautilus",
    "hmc-field",
    "map-curved",
    "svi-iaf",
    "svi-conditional",
    "svi-flow",
    "svi-published",
)


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in LONGER)) for case in CASES])
def test_killed_at_twenty_moments_and_more(case, seed):
    make, steps = CASES[case]
    whole, runs = run_with_kills(make, steps, seed, KILLS)
    for found in runs:
        assert_same(whole, found)


# ---------------------------------------------------------------- controls: what is forgotten shows


def forget(monkeypatch, owner, change):
    """Let ``owner.load`` lose a part of the state."""
    load = owner.load

    def lossy(self, state):
        load(self, change(self, dict(state)))

    monkeypatch.setattr(owner, "load", lossy)


def differs(case, seed):
    whole, [found, *_] = run_with_kills(*CASES[case], seed, KILLS)
    with pytest.raises(AssertionError):
        assert_same(whole, found)
    return True


def test_control_momenta_begin_anew(monkeypatch, seed):
    forget(monkeypatch, Sampler, lambda sampler, state: state | {"momenta": sampler.generator.get_state()})
    assert differs("hmc", seed)


def test_control_step_search_begins_anew(monkeypatch, seed):
    forget(monkeypatch, Sampler, lambda sampler, state: state | {"search": sampler.search.state()})
    assert differs("hmc", seed)


def test_control_noise_begins_anew(monkeypatch, seed):
    fresh = lambda training: {name: one.get_state() for name, one in training.generators.items()}  # noqa: E731
    forget(monkeypatch, _Training, lambda training, state: state | {"generators": fresh(training)})
    assert differs("svi-mvn", seed)


def test_control_optimiser_begins_anew(monkeypatch, seed):
    def begin_anew(training, state):
        return state | {"optimiser": training.optimiser and training.optimiser.state()}

    forget(monkeypatch, _Training, begin_anew)
    assert differs("svi-norms", seed)


@pytest.mark.slow
def test_control_regression_forgets(monkeypatch, seed):
    forget(monkeypatch, _Training, lambda training, state: state | {"memory": training.guide.memory()})
    assert differs("svi-flow", seed)
