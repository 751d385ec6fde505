"""The engine map: optima, how many starts found them, and where it starts."""

import math

import pytest
import torch
from tests.contracts.engine_contract import OnlyContract
from tests.contracts.toys import Constant, Gaussian, Patchy, PoissonField, TwoModes

from skysift.errors import NumericsError
from skysift.inference import Start, Stream
from skysift.inference import map as engine
from skysift.inference.starts import draw_starts
from skysift.inference.target import Target


def run(model, seed=1, start=None, **settings):
    return engine.run(model, engine.Settings(**settings), start or Start(), Stream(seed))


@pytest.mark.parametrize("steps", [0, 60])
def test_mode_and_covariance_of_a_gaussian(steps, seed):
    model = Gaussian(4)
    result = run(OnlyContract(model), seed, steps=steps)
    torch.testing.assert_close(result.mode, model.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(result.covariance_factor @ result.covariance_factor.T, model.covariance)
    assert result.draws.shape == (1, 1, 4)
    assert int(result.traces["prior_starts"]) == 32
    assert int(result.traces["starts_reached_best"]) == 32
    assert math.isclose(float(result.traces["optima_log_mass"][0]), model.log_z, abs_tol=1e-6)
    assert result.is_converged


def test_both_modes_are_found_with_their_shares(seed):
    result = run(TwoModes(), seed, steps=60)
    share = torch.softmax(result.traces["optima_log_mass"], 0)
    assert share.shape == (2,)
    torch.testing.assert_close(share, torch.tensor([0.7, 0.3], dtype=torch.float64), rtol=0.02, atol=0)
    gap = float(result.traces["starts_gap"])
    assert math.isclose(gap, math.log(0.7 / 0.3), abs_tol=0.02)


def test_same_seed_same_mode():
    first, second = (run(TwoModes(), 5, steps=30) for _ in range(2))
    assert torch.equal(first.mode, second.mode)
    assert first.cost["gradients"] == second.cost["gradients"]


def test_closed_curvature_needs_no_adam(seed):
    result = run(PoissonField(), seed)
    assert result.is_converged
    assert result.cost["newton_steps"] < 25
    assert int(result.traces["prior_starts"]) >= 24
    blind = run(OnlyContract(PoissonField()), seed, starts=4, steps=100)
    torch.testing.assert_close(result.mode, blind.mode, rtol=0, atol=1e-2)


def test_work_does_not_grow():
    result = run(PoissonField(), 1)
    assert result.cost["gradients"] < 2500
    assert result.cost["calls"] < 2500


def test_long_fields_start_at_zero(seed):
    target = Target(PoissonField())
    points = draw_starts(target, 8, Start(mode=torch.ones(33, dtype=torch.float64)), Stream(seed))
    fields = target.parameters.block_mask("field")
    assert points.shape == (4 + 1 + 8, 33)
    assert (points[-8:, fields] == 0).all()
    assert (points[-8:, ~fields].std(0) > 0.3).all()
    assert (points[4] == 1).all()
    short = draw_starts(Target(Constant()), 8, Start(), Stream(seed))
    assert (short.std(0) > 0.3).all()


def test_without_starts_it_climbs_from_where_it_is():
    model = Gaussian()
    result = run(model, starts=0, steps=0, start=Start(mode=torch.ones(3, dtype=torch.float64)))
    torch.testing.assert_close(result.mode, model.mean, rtol=0, atol=1e-6)
    assert int(result.traces["prior_starts"]) == 0
    assert result.started_from == "mode"


def test_a_single_start_is_amber():
    colours = {check.name: check.colour for check in run(Gaussian(), starts=1, steps=0).checks}
    assert colours["starts at the best optimum"] == "amber"
    assert colours["last polish gain"] == "green"


def test_nan_is_survived_and_reported(seed):
    result = run(Patchy(), seed, steps=60)
    torch.testing.assert_close(result.mode, torch.full((2,), 0.3 / 1.04, dtype=torch.float64), rtol=0, atol=1e-3)
    assert result.cost["non_finite"] > 0


def test_impossible_everywhere_is_an_error(seed):
    class Impossible(Gaussian):
        def log_likelihood(self, values):
            return super().log_likelihood(values) + torch.nan

    with pytest.raises(NumericsError, match="32 of 32"):
        run(Impossible(), seed)


def test_without_a_polish_adam_alone_is_believed_as_far_as_its_slope_says(seed):
    """Gradient steps of a rate that ends high stop short of the optimum; a red check says by how much."""
    model = Gaussian(5)
    settings = engine.Settings(starts=16, steps=60, lr=0.1, lr_end=0.1, polish=0)
    rough = engine.run(model, settings, Start(), Stream(seed))
    whole = engine.run(model, engine.Settings(starts=16), Start(), Stream(seed))
    left = next(check for check in rough.checks if check.name == "last polish gain")
    density = Target(model).log_density(torch.stack([rough.mode, whole.mode]))
    # a quadratic: the gain that the slope promises is the whole gain
    assert left.value == pytest.approx(float(density[1] - density[0]), abs=1e-6)
    assert left.colour == ("red" if left.value > 0.1 else "green")
    assert left.value > 1e-6
    assert "newton_steps" in rough.cost
    assert rough.cost["newton_steps"] == 0
    ends = {}
    for lr_end in (None, 0.01, 0.003):
        brief = engine.Settings(starts=4, steps=20, lr=0.1, lr_end=lr_end, polish=0)
        ends[lr_end] = float(engine.run(model, brief, Start(), Stream(seed)).traces["starts_log_density"].sum())
    # the rate falls to a tenth where nothing else is said
    assert ends[None] == pytest.approx(ends[0.01], rel=1e-9)
    assert ends[None] != pytest.approx(ends[0.003], rel=1e-9)
