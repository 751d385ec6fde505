"""Local expansions agree with autograd, and climbs end at optima."""

import pytest
import torch
from tests.contracts.engine_contract import OnlyContract
from tests.contracts.toys import Banana, Constant, Gaussian, PoissonField, PoissonTemplates, Rosenbrock

from skysift.inference.ascent import climb_adam, climb_quasi_newton
from skysift.inference.newton import climb, expand, factorise_information
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Dirichlet, LogNormal


class Fractions(PoissonTemplates):
    """Templates whose shares sum to one: a coupled prior with a closed-form curvature."""

    def __init__(self):
        super().__init__()
        self.parameters = Parameters(
            [Parameter("total", LogNormal(15.0, 0.5)), Parameter("shares", Dirichlet((1.0, 1.0, 1.0)))]
        )

    def expected(self, values):
        return (values["total"][..., None] * values["shares"]) @ self.templates

    def curvature(self, values, observed):
        from skysift.contract import Curvature

        packed = self.parameters.pack(values)[0]

        def likelihood(point):
            return self.log_likelihood(self.parameters.unpack(point[None]))[0]

        def mean(point):
            return self.expected(self.parameters.unpack(point[None]))[0]

        gradient = torch.autograd.functional.jacobian(likelihood, packed)
        slope = torch.autograd.functional.jacobian(mean, packed)
        information = (slope.T / mean(packed)) @ slope
        if observed:
            information = -torch.autograd.functional.hessian(likelihood, packed)
        return Curvature(likelihood(packed), gradient, information)


def place(model, seed=2):
    return 0.5 * torch.randn(model.parameters.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("make", [PoissonField, Fractions])
def test_closed_form_is_the_hessian(make):
    model = make()
    z = place(model)
    found = expand(Target(model), z, True)
    plain = expand(Target(OnlyContract(model)), z, True)
    for mine, exact in zip(found, plain, strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", [PoissonField, Fractions, PoissonTemplates])
def test_weights_give_the_same_metric_as_the_closed_form(make):
    model = make()
    z = place(model)
    density, slope = Target(model).log_density_and_gradient(z[None])

    class Weighted(OnlyContract):
        def information(self, values):
            return model.information(values)

    found = expand(Target(Weighted(model)), z)
    torch.testing.assert_close(found.value, density[0])
    torch.testing.assert_close(found.gradient, slope[0])
    with torch.no_grad():
        steps = 1e-5 * torch.eye(len(z), dtype=torch.float64)
        ahead, behind = (model.expected(model.parameters.values(z + sign * steps)) for sign in (1.0, -1.0))
        jacobian = (ahead - behind) / 2e-5
        weights = model.information(model.parameters.values(z[None]))[0]
    fisher = (jacobian * weights) @ jacobian.T
    prior = -torch.autograd.functional.hessian(model.parameters.log_density, z)
    torch.testing.assert_close(found.information, fisher + prior, rtol=1e-6, atol=1e-5)
    if hasattr(model, "curvature"):
        torch.testing.assert_close(expand(Target(model), z).information, found.information, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", [Gaussian, Constant, PoissonField, PoissonTemplates, Rosenbrock, Banana, Fractions])
def test_climb_ends_at_an_optimum(make):
    target = Target(make())
    found = climb(target, place(target.model))
    _, gradient = target.log_density_and_gradient(found.z[None])
    assert found.decrement < 1e-6
    assert found.is_definite
    assert float((gradient[0] @ found.covariance_factor).norm()) < 1e-3
    around = found.z + 0.05 * torch.randn(200, target.size, dtype=torch.float64) @ found.covariance_factor.T
    assert float(target.log_density(around).max()) <= found.log_density + 1e-9
    assert found.steps <= 15


def test_climb_of_a_gaussian_finds_its_covariance():
    model = Gaussian(5)
    found = climb(Target(model), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found.z, model.mean)
    factor = found.covariance_factor
    torch.testing.assert_close(factor @ factor.T, model.covariance)


def test_factor_of_an_indefinite_matrix():
    factor, is_definite = factorise_information(torch.diag(torch.tensor([4.0, -0.25], dtype=torch.float64)))
    assert not is_definite
    torch.testing.assert_close(factor @ factor.T, torch.diag(torch.tensor([0.25, 4.0], dtype=torch.float64)))


def test_first_order_climbs():
    model = PoissonTemplates()
    target = Target(model)
    best = climb(target, torch.zeros(3, dtype=torch.float64))
    starts = torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, adam = climb_adam(target, starts, 250, 0.05)
    assert (adam > target.log_density(starts)).all()
    assert float(best.log_density - adam.median()) < 0.1
    points, density, slope = climb_quasi_newton(target, starts, (best.z, best.covariance_factor))
    assert float(best.log_density - density.min()) < 1e-2
    assert float(slope.max()) < 1e-2
    alone, _, _ = climb_quasi_newton(target, starts[3:4], (best.z, best.covariance_factor))
    torch.testing.assert_close(points[3], alone[0], rtol=1e-8, atol=1e-8)
