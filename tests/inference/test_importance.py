"""Importance sampling: the proposal is the density it claims to be, and weights say when it is not good enough."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.toys import Constant, Gaussian

from skysift.inference.importance import FREEDOM, Proposal, weigh
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal, StandardNormal

ORDERS = {
    "mixed": [("a", 1, "norm"), ("f", 3, "field"), ("b", 2, "norm"), ("g", 2, "field"), ("h", 1, "hyper")],
    "norms": [("a", 3, "norm")],
    "field": [("f", 4, "field")],
}


def collection(order):
    made = []
    for name, size, block in ORDERS[order]:
        prior = StandardNormal() if block == "field" else Normal(0.0, 1.0)
        made.append(Parameter(name, prior, (size,), block=block))
    return Parameters(made)


def place(order, seed=1):
    """A proposal at a random mode, with the covariance that it was made from."""
    parameters = collection(order)
    generator = torch.Generator().manual_seed(seed)
    mode = torch.randn(parameters.size, generator=generator, dtype=torch.float64)
    noise = torch.randn(parameters.size, parameters.size, generator=generator, dtype=torch.float64)
    covariance = noise @ noise.T + 0.3 * torch.eye(parameters.size, dtype=torch.float64)
    return Proposal.at(mode, torch.linalg.cholesky(covariance), parameters), mode, covariance


@pytest.mark.parametrize("order", ORDERS)
def test_the_norms_first_order_keeps_the_covariance(order):
    proposal, _, covariance = place(order)
    few, many = proposal.few, proposal.many
    assert sorted([*few.tolist(), *many.tolist()]) == list(range(len(covariance)))
    first, cross, second = proposal.first, proposal.cross, proposal.second
    assert (first.diagonal() > 0).all()
    assert (second.diagonal() > 0).all()
    torch.testing.assert_close(first, first.tril())
    torch.testing.assert_close(second, second.tril())
    torch.testing.assert_close(first @ first.T, covariance[few[:, None], few])
    torch.testing.assert_close(cross @ first.T, covariance[many[:, None], few])
    torch.testing.assert_close(cross @ cross.T + second @ second.T, covariance[many[:, None], many])


@pytest.mark.parametrize("order", ORDERS)
def test_light_tails_are_the_gaussian_itself(order):
    proposal, mode, covariance = place(order)
    z, log_q = proposal.draw(50, torch.Generator().manual_seed(2), heavy=False)
    exact = stats.multivariate_normal(mode.numpy(), covariance.numpy()).logpdf(z.numpy())
    np.testing.assert_allclose(log_q.numpy(), exact, rtol=1e-9, atol=1e-9)


def test_heavy_tails_are_a_student_times_a_conditional_gaussian():
    proposal, mode, covariance = place("mixed")
    z, log_q = proposal.draw(50, torch.Generator().manual_seed(2))
    few, many = proposal.few, proposal.many
    student = stats.multivariate_t(mode[few].numpy(), covariance[few[:, None], few].numpy(), FREEDOM)
    slope = torch.linalg.solve(covariance[few[:, None], few], covariance[few[:, None], many]).T
    rest = covariance[many[:, None], many] - slope @ covariance[few[:, None], many]
    for row, found in zip(z, log_q, strict=True):
        centre = mode[many] + slope @ (row[few] - mode[few])
        exact = stats.multivariate_normal(centre.numpy(), rest.numpy()).logpdf(row[many].numpy())
        exact += student.logpdf(row[few].numpy())
        assert float(found) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.statistics
def test_the_proposal_integrates_to_one(seed):
    """Mean of reference/q over 20000 draws is 1 within 4.5 errors (7e-6); a wrong constant must not pass."""
    proposal, mode, covariance = place("mixed")
    z, log_q = proposal.draw(20_000, torch.Generator().manual_seed(seed))
    reference = stats.multivariate_normal(mode.numpy(), 0.8 * covariance.numpy()).logpdf(z.numpy())
    weight = np.exp(reference - log_q.numpy())
    error = weight.std() / math.sqrt(len(weight))
    assert error < 0.05
    assert abs(weight.mean() - 1.0) < 4.5 * error
    assert abs(1.3 * weight.mean() - 1.0) > 4.5 * error, "the control passed: the test is blind"


@pytest.mark.statistics
def test_evidence_of_a_gaussian(seed):
    """ln Z within 5 errors (6e-7); from draws half as wide the tail of the weights is reported as heavy."""
    model = Gaussian(4)
    factor = torch.linalg.cholesky(model.covariance)
    target = Target(model)
    proposal = Proposal.at(model.mean, factor, model.parameters)
    found = weigh(target, proposal, 4000, torch.Generator().manual_seed(seed))
    assert abs(found.log_z - model.log_z) < 5.0 * found.log_z_error < 0.2
    assert found.k_hat < 0.5
    assert found.ess_fraction > 0.4
    assert [check.colour for check in found.checks()] == ["green"] * 3
    weights = torch.softmax(found.log_weights, 0)
    error = 5.0 / (4000 * found.ess_fraction) ** 0.5
    assert float(((weights @ found.draws - model.mean) / model.covariance.diagonal().sqrt()).abs().max()) < error
    # a field block is proposed from the Gaussian itself, so that one too narrow shows
    field = Gaussian(4)
    field.parameters = Parameters([Parameter("x", StandardNormal(), (4,), block="field")])
    narrow = Proposal.at(field.mean, 0.5 * factor, field.parameters)
    poor = weigh(Target(field), narrow, 4000, torch.Generator().manual_seed(seed))
    assert poor.k_hat > 0.5
    assert poor.checks()[0].colour != "green"


def test_a_gaussian_field_has_weights_that_do_not_differ():
    field = Gaussian(4)
    field.parameters = Parameters([Parameter("x", StandardNormal(), (4,), block="field")])
    proposal = Proposal.at(field.mean, torch.linalg.cholesky(field.covariance), field.parameters)
    found = weigh(Target(field), proposal, 200, torch.Generator().manual_seed(1))
    assert found.ess_fraction == pytest.approx(1.0)
    assert found.log_z == pytest.approx(field.log_z, abs=1e-9)
    assert found.largest == pytest.approx(1.0 / 200)


def test_an_unknowing_likelihood_has_unit_evidence(seed):
    model = Constant()
    size = model.parameters.size
    proposal = Proposal.at(torch.zeros(size).double(), 1.3 * torch.eye(size).double(), model.parameters)
    found = weigh(Target(model), proposal, 8000, torch.Generator().manual_seed(seed))
    assert abs(found.log_z) < 5.0 * found.log_z_error + 1e-12


class Tail:
    """A narrow mode and a wide tail to one side in the first number, a Gaussian in the second: log Z is 0."""

    parameters = Parameters([Parameter("x", Normal(0.0, 1.0)), Parameter("y", Normal(0.0, 1.0))])
    mean, sd = 1.0, math.sqrt(0.5 * (0.09 + 2.25) + 1.0)

    def log_likelihood(self, values):
        x = values["x"]
        parts = [-0.5 * ((x - at) / sd) ** 2 - math.log(2 * sd) for at, sd in ((0.0, 0.3), (2.0, 1.5))]
        return torch.logaddexp(*parts) + 0.5 * x**2

    def expected(self, values):
        return values["x"][:, None]


@pytest.mark.parametrize("order", ORDERS)
def test_the_density_at_a_point_is_that_of_a_draw(order):
    proposal, _, _ = place(order)
    z, log_q = proposal.draw(50, torch.Generator().manual_seed(2))
    torch.testing.assert_close(proposal.log_density(z), log_q, rtol=1e-9, atol=1e-9)


@pytest.mark.statistics
def test_rounds_find_the_tail_that_the_mode_does_not_show(seed):
    """Eight scatters of mean and sd, four draws in ten being worth their number; one round has a few draws there."""
    target = Target(Tail())
    proposal = Proposal.at(torch.zeros(2).double(), torch.diag(torch.tensor([0.3, 1.0]).double()), Tail.parameters)

    def look(rounds):
        found = weigh(target, proposal, 2000, torch.Generator().manual_seed(seed), rounds)
        weights = torch.softmax(found.log_weights, 0)
        x = found.draws[:, 0]
        mean = float(weights @ x)
        return found, mean, float((weights @ (x - mean) ** 2).sqrt())

    found, mean, sd = look(4)
    assert len(found.draws) > 2000
    assert found.ess_fraction > 0.4
    assert abs(found.log_z) < 0.1
    assert abs(mean - Tail.mean) < 8 * Tail.sd / 3000**0.5
    assert sd == pytest.approx(Tail.sd, rel=0.15)
    alone, _, _ = look(1)
    assert len(alone.draws) == 2000
    assert alone.k_hat > 0.5


def test_good_draws_are_left_alone(seed):
    model = Gaussian(2)
    proposal = Proposal.at(model.mean, torch.linalg.cholesky(model.covariance), model.parameters)
    found = weigh(Target(model), proposal, 500, torch.Generator().manual_seed(seed), 4)
    assert len(found.draws) == 500


def test_thirty_dimensions_are_not_followed_into_a_worse_place(seed):
    """Draws of a Student-t count for less than half in a Gaussian of many dimensions: no reason to look elsewhere."""
    model = Gaussian(30)
    proposal = Proposal.at(model.mean, torch.linalg.cholesky(model.covariance), model.parameters)
    gaps = []
    for k in range(8):
        found = weigh(Target(model), proposal, 2000, torch.Generator().manual_seed(seed + k), 4)
        assert len(found.draws) == 2000
        assert found.ess_fraction < 0.6
        gaps.append((found.log_z - model.log_z) / found.log_z_error)
    # 4.5 errors for each, and for their mean
    assert max(map(abs, gaps)) < 4.5
    assert abs(sum(gaps)) / len(gaps) ** 0.5 < 4.5
