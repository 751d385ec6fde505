"""What every engine that makes draws must pass; subclasses give its name and settings and inherit the tests."""

import math

import torch
from scipy import stats
from tests.contracts.toys import Constant, Gaussian, Patchy, TwoModes

from skysift.inference import Stream, sequence
from skysift.inference.result import resample, weighted_moments

__all__ = ["EngineContract", "OnlyContract"]

FALSE_FAILURES = 1e-5


class OnlyContract:
    """A model stripped of everything that is not in the Model contract."""

    __slots__ = ("_model",)

    def __init__(self, model):
        self._model = model

    @property
    def parameters(self):
        return self._model.parameters

    def log_likelihood(self, values):
        return self._model.log_likelihood(values)

    def expected(self, values):
        return self._model.expected(values)

    def simulate(self, values, generator):
        return self._model.simulate(values, generator)


class EngineContract:
    """Known answers, faithful priors, repeatable draws, hostile likelihoods."""

    engine: str
    settings: dict
    #: the search that comes before
    search: dict = {"starts": 32, "steps": 60}  # noqa: RUF012 - never changed
    #: how far means may be off, in posterior sd, beyond sampling errors; and sd as a ratio
    bias = 0.0
    #: whether draws of a constant likelihood are exactly the prior (approximate guides: within their family)
    prior_names = ("flat", "positive", "cut")
    log_z_tolerance = 0.05

    def run(self, model, seed, search=True):
        steps = [("map", self.search)] if search else []
        return sequence.run(model, [*steps, (self.engine, self.settings)], Stream(seed))[-1]

    def test_known_moments_and_evidence(self, seed):
        model = Gaussian()
        result = self.run(OnlyContract(model), seed)
        mean, sd = weighted_moments(result)
        exact = model.covariance.diagonal().sqrt()
        assert result.draws.dtype == torch.float64
        error = 6.0 / self.effective(result) ** 0.5 + self.bias
        assert float(((mean - model.mean) / exact).abs().max()) < error
        assert float((sd / exact).log().abs().max()) < error
        if result.log_z is not None:
            assert abs(result.log_z - model.log_z) < self.log_z_tolerance
            assert result.log_z_method

    def effective(self, result):
        if result.log_weights is not None:
            weights = torch.softmax(result.log_weights.reshape(-1), 0)
            return 1.0 / float((weights**2).sum())
        if "ess_bulk" in result.traces:
            return float(result.traces["ess_bulk"].min())
        return float(result.draws.shape[0] * result.draws.shape[1])

    def test_constant_likelihood_returns_the_prior(self, seed):
        model = Constant()
        result = self.run(model, seed)
        # few enough that what dependence there is between neighbours does not count
        count = min(1000, int(self.effective(result) / 3))
        draws, _ = resample(result, count, torch.Generator().manual_seed(seed))
        values = model.parameters.values(draws)
        prior = model.parameters.draw(20_000, torch.Generator().manual_seed(seed + 1))
        for name in self.prior_names:
            assert stats.ks_2samp(values[name], prior[name]).pvalue > FALSE_FAILURES, name
            shifted = prior[name] + 0.5 * prior[name].std()
            assert stats.ks_2samp(values[name], shifted).pvalue < FALSE_FAILURES, (
                "the control passed: the test is blind"
            )
        if result.log_z is not None:
            assert abs(result.log_z) < self.log_z_tolerance

    def test_same_seed_same_draws(self, seed):
        first, again, other = (self.run(Gaussian(2), one, search=False) for one in (seed, seed, seed + 1))
        assert torch.equal(first.draws, again.draws)
        assert first.log_z == again.log_z
        assert not torch.equal(first.draws, other.draws)

    def test_survives_nan_and_plateau(self, seed):
        result = self.run(Patchy(), seed)
        assert torch.isfinite(result.draws).all()
        mean, _ = weighted_moments(result)
        exact = 0.3 / 1.04
        assert float((mean - exact).abs().max()) < 0.2 * (6.0 / self.effective(result) ** 0.5 + self.bias)
        assert result.log_z is None or math.isfinite(result.log_z)

    def test_a_missed_mode_is_never_converged(self, seed):
        result = self.run(TwoModes(), seed)
        share = float((resample(result, 2000, torch.Generator().manual_seed(1))[0][:, 0] < 0).float().mean())
        assert not result.is_converged or abs(share - 0.3) < 0.15

    def test_without_a_search_nothing_is_converged(self, seed):
        result = self.run(Gaussian(2), seed, search=False)
        assert any(check.name == "modes: unchecked" and check.colour == "red" for check in result.checks)
        assert not result.is_converged
