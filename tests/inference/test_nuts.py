"""The engine nuts obeys the engine contract, and agrees with hmc, which shares nothing with it but the target."""

import pytest
import torch
from tests.contracts.engine_contract import EngineContract
from tests.contracts.toys import Gaussian, PoissonTemplates

from skysift.errors import NumericsError
from skysift.inference import Start, Stream, nuts, sequence
from skysift.inference.engine import Result
from skysift.inference.result import weighted_moments

BRIEF = {"chains": 2, "warmup": 50, "draws": 150}


class TestNuts(EngineContract):
    engine = "nuts"
    settings = BRIEF

    @pytest.mark.slow
    def test_constant_likelihood_returns_the_prior(self, seed):
        """A few more draws: those of two chains follow each other."""
        self.settings = {**BRIEF, "draws": 900}
        super().test_constant_likelihood_returns_the_prior(seed)

    def test_reports_what_it_did(self, seed):
        state = torch.get_rng_state()
        result = self.run(Gaussian(2), seed)
        assert torch.equal(torch.get_rng_state(), state)
        assert result.draws.shape == (2, 150, 2)
        assert result.traces["log_density"].shape == (2, 150)
        assert result.traces["r_hat"].shape == (3,)
        assert result.cost["gradients"] > 2 * 150
        names = {check.name for check in result.checks}
        assert {"R-hat", "bulk ESS", "tail ESS", "acceptance", "divergent share", "modes: starts"} <= names
        assert not any("hmc" in check.advice for check in result.checks)


def test_nuts_agrees_with_hmc(seed):
    """Skew posteriors of three norms: means within five errors, sds within 15 %, and the sequence compares them."""
    steps = [("map", {}), ("hmc", {"max_draws": 200}), ("nuts", {"chains": 2, "warmup": 60, "draws": 300})]
    *_, chains, other = sequence.run(PoissonTemplates(), steps, Stream(seed))
    mean, sd = weighted_moments(chains)
    theirs, spread = weighted_moments(other)
    size = min(float(one.traces["ess_bulk"].min()) for one in (chains, other))
    assert size > 200
    assert float(((mean - theirs) / sd).abs().max()) < 5.0 * (2.0 / size) ** 0.5
    assert float((sd / spread).log().abs().max()) < 5.0 / size**0.5
    colours = {check.name: check.colour for check in other.checks}
    assert colours["hmc against nuts, sd"] == "green"


def test_disagreement_is_red():
    draws = torch.randn(1, 500, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    checks = sequence._compare(Result("nuts", draws), [Result("hmc", draws + 1.0)])
    assert [check.colour for check in checks if check.name == "hmc against nuts, sd"] == ["red"]


def test_chains_that_cannot_be_placed(seed):
    class Nowhere(Gaussian):
        def log_likelihood(self, values):
            return torch.full_like(values["x"][:, 0], torch.nan)

    start = Start(mode=torch.zeros(3), covariance_factor=torch.eye(3, dtype=torch.float64))
    with pytest.raises(NumericsError, match="no finite log density"):
        nuts.run(Nowhere(), nuts.Settings(), start, Stream(seed))
