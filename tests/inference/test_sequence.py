"""Engines in a row, and what passes between them."""

import sys

import pytest
import torch
from tests.contracts.toys import Gaussian, TwoModes

from skysift.errors import InputError
from skysift.inference import Result, Start, Stream, sequence
from skysift.inference.result import factorise_covariance, flatten, physical_draws, resample, weighted_moments

QUICK = {"chains": 16, "warmup": 60, "draws": 50, "max_draws": 50}


def test_each_starts_where_the_last_ended(seed):
    results = sequence.run(Gaussian(), [("map", {"steps": 30}), ("hmc", QUICK)], Stream(seed))
    assert [result.engine for result in results] == ["map", "hmc"]
    assert results[0].started_from == "the prior"
    assert results[1].started_from == "points, mode, covariance"
    assert [check.name for check in results[1].checks][-1] == "modes: starts"


def test_two_modes_are_never_converged(seed):
    results = sequence.run(TwoModes(), [("map", {"steps": 60}), ("hmc", QUICK)], Stream(seed))
    assert not results[-1].is_converged
    assert {check.name for check in results[-1].checks if check.colour == "red"} & {"modes: starts", "R-hat"}


def test_guide_and_chains_are_compared():
    draws = torch.randn(1, 500, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    guide = Result("svi", draws + 1.0)
    names = [check.name for check in sequence._compare(Result("hmc", draws), [guide])]
    assert names == ["modes: unchecked", "svi against hmc, sd"]
    assert sequence._compare(Result("map", draws), [guide]) == []


def test_what_passes_on():
    draws = torch.randn(1, 500, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before = Start(z=torch.zeros(3, 2), mode=torch.zeros(2))
    after = sequence.continue_from(Result("svi", draws), before)
    assert torch.equal(after.mode, before.mode)
    assert torch.equal(after.z, before.z)
    assert after.draws.shape == (500, 2)
    torch.testing.assert_close(after.covariance_factor, torch.eye(2, dtype=torch.float64), rtol=0, atol=0.2)
    weighted = sequence.continue_from(Result("svi", draws, log_weights=torch.zeros(1, 500)), before)
    assert weighted.draws is None


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [([("hcm", {})], "did you mean 'hmc'"), ([("map", {}), ("hmc", {"chain": 3})], "did you mean 'chains'")],
)
def test_unknown_names_are_refused_before_any_work(steps, wanted):
    with pytest.raises(InputError, match=wanted):
        sequence.run(None, steps, Stream(1))


def test_engines_are_imported_when_asked_for():
    for name in sequence.ENGINES:
        assert hasattr(sequence.load_engine(name), "run")
    assert "skysift.inference.hmc" in sys.modules


def test_moments_and_resampling():
    draws = torch.tensor([0.0, 1.0], dtype=torch.float64)[None, :, None]
    result = Result("a", draws, log_weights=torch.log(torch.tensor([[0.25, 0.75]], dtype=torch.float64)))
    mean, sd = weighted_moments(result)
    assert abs(float(mean) - 0.75) < 1e-12
    assert abs(float(sd) ** 2 - 0.1875) < 1e-12
    torch.testing.assert_close(flatten(result)[1], torch.tensor([0.25, 0.75], dtype=torch.float64))
    equal, variant = resample(result, 400, torch.Generator().manual_seed(1))
    assert float(equal.mean()) == 0.75
    assert variant is None
    marked = Result("a", draws, variant=torch.tensor([[7, 9]]))
    equal, variant = resample(marked, 10, torch.Generator().manual_seed(1))
    assert torch.equal(variant, torch.where(equal[:, 0] == 0, 7, 9))


def test_physical_draws_keep_chains():
    model = Gaussian()
    draws = torch.zeros(2, 5, 3, dtype=torch.float64)
    assert physical_draws(Result("a", draws), model.parameters)["x"].shape == (2, 5, 3)


def test_covariance_of_few_draws_has_a_factor():
    draws = torch.randn(3, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.isfinite(factorise_covariance(draws)).all()
    many = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(factorise_covariance(many), torch.eye(2, dtype=torch.float64), rtol=0, atol=0.05)


def test_streams_are_named():
    stream = Stream(3).child("hmc")
    assert stream.number("a") != stream.number("b")
    first, second = (torch.rand(2, generator=stream.generator("a")) for _ in range(2))
    assert torch.equal(first, second)
    assert stream.numpy("a").uniform() == stream.numpy("a").uniform()
