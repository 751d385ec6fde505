"""The Laplace engine: exact for Gaussians, corrected by importance elsewhere, hyper-parameters by their evidence."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.engine_contract import EngineContract, OnlyContract
from tests.contracts.toys import Gaussian, PoissonField, PoissonTemplates
from tests.inference.scales import Scales

from skysift.inference import Start, Stream, laplace, sequence
from skysift.inference.laplace import Settings, find_start, share_out
from skysift.inference.newton import expand
from skysift.inference.result import flatten
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Uniform


class TestLaplace(EngineContract):
    engine = "laplace"
    settings = {"importance": 4000}  # noqa: RUF012 - never changed
    # five errors of 4000 weights
    log_z_tolerance = 0.15


def test_a_gaussian_is_exact(seed):
    model = Gaussian()
    result = laplace.run(model, Settings(importance=0, draws=20_000), Start(), Stream(seed))
    assert result.log_z == pytest.approx(model.log_z, abs=1e-9)
    torch.testing.assert_close(result.mode, model.mean, rtol=0, atol=1e-6)
    factor = result.covariance_factor
    torch.testing.assert_close(factor @ factor.T, model.covariance, rtol=1e-8, atol=1e-10)
    draws, _ = flatten(result)
    assert draws.shape == (20_000, 3)
    # each number of the sample moments within 5 of its errors: below 1e-5 together
    error = (model.covariance.diagonal() / 20_000) ** 0.5
    assert float(((draws.mean(0) - model.mean).abs() / error).max()) < 5.0
    spread = torch.cov(draws.T)
    outer = model.covariance.diagonal()[:, None] * model.covariance.diagonal()
    assert float(((spread - model.covariance).abs() / ((outer + model.covariance**2) / 20_000) ** 0.5).max()) < 5.0
    assert result.is_converged
    assert result.log_z_method == "laplace"


class Edge(Gaussian):
    """One number measured at 1.35 +- 0.3 under a uniform prior that ends at 1.5."""

    def __init__(self):
        super().__init__(1)
        self.parameters = Parameters([Parameter("x", Uniform(0.0, 1.5))])
        mass = np.diff(stats.norm(1.35, 0.3).cdf([0.0, 1.5]))[0]
        self.log_z = math.log(mass / 1.5)

    def log_likelihood(self, values):
        return -0.5 * ((values["x"] - 1.35) / 0.3) ** 2 - math.log(0.3 * math.sqrt(2 * math.pi))


def test_importance_corrects_the_evidence_at_the_edge_of_a_prior(seed):
    """Laplace alone is off; weighted it is right within 5 errors (6e-7), and so is the mean."""
    model = Edge()
    plain, weighted = (laplace.run(model, Settings(importance=count), Start(), Stream(seed)) for count in (0, 10_000))
    assert abs(plain.log_z - model.log_z) > 0.03
    assert abs(weighted.log_z - model.log_z) < 5.0 * weighted.log_z_error < 0.1
    assert {check.name for check in weighted.checks} > {"importance k-hat", "importance ESS fraction"}
    draws, weights = flatten(weighted)
    mean = float(weights @ model.parameters.values(draws)["x"])
    assert mean == pytest.approx(stats.truncnorm(-4.5, 0.5, 1.35, 0.3).mean(), abs=0.02)


@pytest.mark.parametrize("make", [PoissonField, PoissonTemplates])
def test_expected_information_is_the_fisher_matrix(make, seed):
    model = make()
    settings = {flag: Settings(importance=0, observed=flag) for flag in (True, False)}
    found = {flag: laplace.run(model, chosen, Start(), Stream(seed)) for flag, chosen in settings.items()}
    for flag, result in found.items():
        information = expand(Target(model), result.mode, flag).information
        inverse = result.covariance_factor @ result.covariance_factor.T
        torch.testing.assert_close(inverse @ information, torch.eye(len(inverse)).double(), rtol=0, atol=1e-5)
        log_density = float(Target(model).log_density(result.mode[None])[0])
        size = len(result.mode)
        exact = log_density + 0.5 * size * math.log(2 * math.pi) - 0.5 * float(torch.logdet(information))
        assert result.log_z == pytest.approx(exact, abs=1e-6)
    assert found[True].log_z != found[False].log_z


def test_where_the_climb_begins():
    model = PoissonField()
    stream = Stream(1)
    mode, points = torch.full((33,), 0.3).double(), torch.full((2, 33), 0.1).double()
    assert torch.equal(find_start(model, Start(mode=mode, z=points), stream), mode)
    assert torch.equal(find_start(model, Start(z=points), stream), points[0])
    guess = model.parameters.unconstrain(model.starting_points(1, stream.generator("start")))[0]
    assert torch.equal(find_start(model, Start(), stream), guess)
    assert float(find_start(Gaussian(), Start(), stream).abs().max()) < 1e-12


def test_shares_add_up():
    weights = torch.tensor([0.5, 0.3333, 0.1667]).double()
    assert share_out(weights, 10).tolist() == [5, 3, 2]
    assert share_out(torch.tensor([1.0]).double(), 7).tolist() == [7]
    for count in (1, 13, 4000):
        assert int(share_out(weights, count).sum()) == count


class Wide(Scales):
    """The level fixed at its true value, so that everything but the scales is Gaussian."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.parameters = type(self.parameters)([self.parameters["v"]])

    def at(self, values):
        return Wide(self.data, (), self.scales | {name: float(value) for name, value in values.items()})

    def expected(self, values):
        return 0.4 + self.scales["signal"] * values["v"]

    def exact(self):
        whole, rows, logs = self.table(0.4)
        return float(whole[0]), rows[0], logs


@pytest.mark.parametrize("importance", [0, 500])
def test_hyper_parameters_are_integrated(importance, seed):
    """Laplace is exact given the scales, so the only error is that of the quadrature."""
    result = laplace.run(Wide(), Settings(importance=importance), Start(), Stream(seed))
    exact, rows, logs = Wide().exact()
    assert result.log_z == pytest.approx(exact, abs=0.02 + 5.0 * (result.log_z_error or 0.0))
    weight = np.exp(rows - exact)
    _, draw_weights = flatten(result)
    variant = result.variant.reshape(-1)
    for name in ("signal", "noise"):
        drawn = result.traces[f"node_{name}"].log()[variant]
        mean = float(draw_weights @ drawn)
        centre = float((weight * logs[name]).sum())
        sd = float(np.sqrt((weight * (logs[name] - centre) ** 2).sum()))
        assert abs(mean - centre) < 0.1 * sd
    node_weights = result.traces["node_log_weight"].exp()
    assert float(node_weights.sum()) == pytest.approx(1.0)
    assert len(node_weights) == 25
    assert not result.labels


def test_one_node_maximises_the_evidence(seed):
    """With one node the scales stand where evidence times prior is largest."""
    model = Wide(nodes=1)
    result = laplace.run(model, Settings(importance=0), Start(), Stream(seed))
    exact, rows, logs = model.exact()
    best = np.unravel_index(rows.argmax(), rows.shape)
    for name in ("signal", "noise"):
        assert float(result.traces[f"node_{name}"].log()) == pytest.approx(logs[name][best], abs=0.1)
    assert result.log_z == pytest.approx(exact, abs=0.5)
    assert (result.variant == 0).all()


def test_draws_say_which_node_they_belong_to(seed):
    result = laplace.run(Scales(), Settings(importance=0, draws=1000), Start(), Stream(seed))
    counts = torch.bincount(result.variant.reshape(-1), minlength=25).double() / 1000
    torch.testing.assert_close(counts, result.traces["node_log_weight"].exp(), rtol=0, atol=1.1e-3)


def test_only_the_contract_is_needed(seed):
    result = laplace.run(OnlyContract(PoissonTemplates()), Settings(importance=200), Start(), Stream(seed))
    assert result.is_converged


def test_the_sequence_hands_over_the_mode(seed):
    steps = [("map", {"starts": 8, "steps": 20}), ("laplace", {"importance": 200})]
    search, result = sequence.run(PoissonField(), steps, Stream(seed))
    assert "mode" in result.started_from
    torch.testing.assert_close(result.mode, search.mode, rtol=0, atol=1e-3)
