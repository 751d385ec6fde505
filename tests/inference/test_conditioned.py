"""Models with another prior, or with one number held: the same likelihood seen through a wrapper."""

import pytest
import torch
from tests.contracts.model_contract import ModelContract
from tests.contracts.toys import PoissonField, PoissonTemplates
from tests.inference.scales import Scales

from skysift.contract import hook
from skysift.inference.conditioned import Held, with_prior
from skysift.inference.newton import expand
from skysift.inference.target import Target
from skysift.parameters.priors import Normal, Uniform


class TestHeld(ModelContract):
    def make(self):
        return Held(PoissonField(), "bump_norm", 7.0)


class TestHeldWithoutCurvature(ModelContract):
    def make(self):
        return Held(PoissonTemplates(), "bump_norm", 7.0)


class TestReprior(ModelContract):
    def make(self):
        return with_prior(PoissonField(), "bump_norm", Uniform(1.0, 20.0))


def test_held_is_the_model_at_that_value():
    model = PoissonField()
    held = Held(model, "bump_norm", 7.0)
    assert held.parameters.names == ("flat_norm", "slope_norm", "flat_field")
    values = held.parameters.from_cube(torch.full((2, held.parameters.cube_size), 0.4, dtype=torch.float64))
    whole = {**values, "bump_norm": torch.full((2,), 7.0, dtype=torch.float64)}
    assert torch.equal(held.log_likelihood(values), model.log_likelihood(whole))
    assert torch.equal(held.expected(values), model.expected(whole))
    assert "bump_norm" not in values


def test_a_value_outside_the_prior_is_allowed():
    held = Held(PoissonTemplates(), "bump_norm", -0.5)
    values = held.parameters.from_cube(torch.full((1, 2), 0.5, dtype=torch.float64))
    assert torch.isfinite(held.log_likelihood(values)).all()


def test_only_models_with_a_curvature_get_one():
    assert hook(Held(PoissonField(), "bump_norm", 7.0), "curvature") is not None
    assert hook(Held(PoissonTemplates(), "bump_norm", 7.0), "curvature") is None
    held = Held(PoissonField(), "bump_norm", 7.0)
    z = torch.full((held.parameters.size,), 0.1, dtype=torch.float64)
    for observed in (True, False):
        assert expand(Target(held), z, observed).information.shape == (32, 32)


def test_another_prior_changes_the_prior_and_nothing_else():
    model = PoissonField()
    changed = with_prior(model, "bump_norm", Normal(3.0, 100.0))
    assert changed.parameters.names == model.parameters.names
    assert changed.parameters["bump_norm"].prior == Normal(3.0, 100.0)
    for name in ("flat_norm", "flat_field"):
        assert changed.parameters[name] == model.parameters[name]
    values = model.parameters.from_cube(torch.full((1, model.parameters.cube_size), 0.4, dtype=torch.float64))
    assert torch.equal(changed.log_likelihood(values), model.log_likelihood(values))
    assert float(changed.parameters.log_prior(values)) != float(model.parameters.log_prior(values))
    assert changed.counts is model.counts
    with pytest.raises(AttributeError):
        _ = changed.nothing_of_the_kind


def test_another_prior_survives_fixing_hyper_parameters():
    model = with_prior(Scales(), "level", Normal(0.0, 50.0))
    member = model.at({"signal": torch.tensor(2.0), "noise": torch.tensor(0.3)})
    assert member.parameters["level"].prior == Normal(0.0, 50.0)
    assert member.scales == {"signal": 2.0, "noise": pytest.approx(0.3)}
    assert member.hyper is None
