"""The engine hmc obeys the engine contract, and its chains are right."""

import pytest
import torch
from scipy import stats
from tests.contracts.engine_contract import EngineContract
from tests.contracts.toys import Banana, Gaussian, PoissonField

from skysift.errors import NumericsError
from skysift.inference import Start, Stream, hmc
from skysift.inference.leapfrog import StepSearch, Whitening, place_chains, recentre, transit
from skysift.inference.progress import observe
from skysift.inference.target import Target


class TestHmc(EngineContract):
    engine = "hmc"
    settings = {"warmup": 100}  # noqa: RUF012 - never changed

    def test_curved_posterior(self, seed):
        model = Banana()
        settings = hmc.Settings(warmup=100, max_draws=200)
        result = hmc.run(model, settings, Start(), Stream(seed))
        values = model.parameters.values(result.draws.reshape(-1, 2))
        error = 6.0 / self.effective(result) ** 0.5
        assert abs(float(values["x"].mean())) < error
        assert abs(float(values["y"].mean())) < error
        # y = b (x² - 1) + s n: variance 2 b² + s²
        assert abs(float(values["y"].var()) / (2 * 0.25 + 0.09) - 1.0) < 3 * error

    def test_stops_when_chains_agree(self, seed):
        result = self.run(Gaussian(2), seed)
        assert result.draws.shape[1] <= 600
        assert result.is_converged
        assert float(result.traces["r_hat"].max()) < 1.01

    def test_never_runs_longer_than_told(self, seed):
        settings = hmc.Settings(chains=2, warmup=20, draws=30, max_draws=50)
        result = hmc.run(Gaussian(2), settings, Start(), Stream(seed))
        assert result.draws.shape == (2, 50, 2)
        assert not result.is_converged

    def test_says_how_far_it_is(self, seed):
        heard = []

        class Bar:
            def __init__(self, label, total):
                self.label, self.total = label, total

            def __enter__(self):
                return self

            def __exit__(self, *error):
                return None

            def update(self, done, **numbers):
                heard.append((self.label, self.total, done, numbers["acceptance"]))

        with observe(Bar):
            hmc.run(Gaussian(2), hmc.Settings(chains=2, warmup=10, draws=5, max_draws=10), Start(), Stream(seed))
        assert [one[:3] for one in heard[:10]] == [("hmc warm-up", 10, k + 1) for k in range(10)]
        assert [one[:3] for one in heard[10:]] == [("hmc draws, at most", 10, k + 1) for k in range(10)]
        assert all(0.0 <= one[3] <= 1.0 for one in heard)

    def test_reports_what_it_did(self, seed):
        result = self.run(Gaussian(2), seed)
        shape = result.draws.shape[:2]
        for name in ("acceptance", "energy", "diverging", "log_density"):
            assert result.traces[name].shape == shape
        assert result.traces["ess_bulk"].shape == (3,)
        assert 0.6 < float(result.traces["acceptance"].mean()) < 0.95
        assert result.cost["gradients"] > shape[0] * shape[1]


def test_a_wrong_covariance_is_learned(seed):
    model = Gaussian(4, width=0.05)
    wrong = Start(mode=model.mean, covariance_factor=0.3 * torch.eye(4, dtype=torch.float64))
    result = hmc.run(model, hmc.Settings(draws=50, max_draws=50), wrong, Stream(seed))
    assert float(result.traces["leapfrogs"]) < 6
    assert result.started_from == "mode, covariance"


def test_long_fields_fit(seed):
    model = PoissonField()
    result = hmc.run(model, hmc.Settings(warmup=60, draws=60, max_draws=60), Start(), Stream(seed))
    # sixty draws of a skew direction: only a chain that is stuck exceeds this
    assert float(result.traces["r_hat"].max()) < 1.5
    assert float(result.traces["r_hat"].median()) < 1.1
    assert float(result.traces["diverging"].double().mean()) < 0.01


def test_chains_that_cannot_be_placed(seed):
    class Nowhere(Gaussian):
        def log_likelihood(self, values):
            return torch.full_like(values["x"][:, 0], torch.nan)

    start = Start(mode=torch.zeros(3), covariance_factor=torch.eye(3, dtype=torch.float64))
    with pytest.raises(NumericsError, match="no finite log density"):
        hmc.run(Nowhere(), hmc.Settings(), start, Stream(seed))


def test_trajectories_reverse_and_conserve_energy():
    model = Gaussian(3)
    target = Target(model)
    whitening = Whitening(model.mean, torch.linalg.cholesky(model.covariance))
    chains = place_chains(target, whitening, torch.randn(4000, 3, dtype=torch.float64))
    errors = []
    for step in (0.4, 0.2):
        _, transition = transit(target, whitening, chains, step, round(1.6 / step), torch.Generator().manual_seed(1))
        errors.append(float((1.0 - transition.acceptance).mean()))
    # the energy error of leapfrog falls with the square of the step, and so does what is rejected
    assert 3.0 < errors[0] / errors[1] < 5.5


def test_transitions_leave_the_posterior_alone(seed):
    model = Gaussian(2)
    target = Target(model)
    whitening = Whitening(model.mean, torch.linalg.cholesky(model.covariance))
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(4000, 2, generator=generator, dtype=torch.float64)
    chains = place_chains(target, whitening, exact)
    for _ in range(3):
        # a step so long that a good part is rejected
        chains, transition = transit(target, whitening, chains, 1.6, 1, generator)
    assert float(transition.acceptance.mean()) < 0.9
    for column in chains.w.T:
        assert stats.kstest(column, "norm").pvalue > 1e-5


def test_recentring_changes_coordinates_only():
    target = Target(Gaussian(3))
    first = Whitening(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    factor = torch.linalg.cholesky(target.model.covariance)
    second = Whitening(torch.ones(3, dtype=torch.float64), factor)
    chains = place_chains(target, first, torch.randn(5, 3, dtype=torch.float64))
    moved = recentre(chains, first, second)
    again = place_chains(target, second, moved.w)
    for mine, exact in zip(moved, again, strict=True):
        torch.testing.assert_close(mine, exact)


def test_step_search_finds_the_wanted_acceptance():
    search = StepSearch(0.01, 0.8)
    for _ in range(400):
        search.update(torch.full((8,), max(0.0, 1.0 - search.step), dtype=torch.float64))
    assert abs(search.settled - 0.2) < 0.03
