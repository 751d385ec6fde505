"""The target: batched, chunked, finite, counted."""

import pytest
import torch
from tests.contracts.toys import Gaussian, Patchy, PoissonField, PoissonTemplates

from skysift.errors import NumericsError
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import StandardNormal


def points(model, count=17, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, model.parameters.size, generator=generator, dtype=torch.float64)


def test_density_is_likelihood_and_prior():
    model = PoissonTemplates()
    z = points(model)
    values = model.parameters.values(z)
    expected = model.log_likelihood(values) + model.parameters.log_prior(values) + model.parameters.log_jacobian(z)
    torch.testing.assert_close(Target(model).log_density(z), expected)
    cold = Target(model).log_density(z, beta=0.25) - Target(model).log_density(z, beta=0.0)
    torch.testing.assert_close(cold, 0.25 * model.log_likelihood(values))
    torch.testing.assert_close(Target(model).log_likelihood(z), model.log_likelihood(values))


@pytest.mark.parametrize("chunk_bytes", [1, 3 * 8 * 200, 2**30])
def test_chunks_do_not_matter(chunk_bytes):
    model = PoissonField()
    z = points(model)
    density, gradient = Target(model, chunk_bytes).log_density_and_gradient(z)
    whole, slope = Target(model).log_density_and_gradient(z)
    torch.testing.assert_close(density, whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(Target(model, chunk_bytes).log_density(z), whole, rtol=1e-10, atol=1e-10)


def test_gradient_against_finite_differences():
    model = PoissonTemplates()
    z = points(model, 1)
    step = 1e-5 * torch.eye(3, dtype=torch.float64)
    target = Target(model)
    slope = (target.log_density(z + step) - target.log_density(z - step)) / 2e-5
    torch.testing.assert_close(target.log_density_and_gradient(z)[1][0], slope, rtol=1e-6, atol=1e-6)


def test_as_a_node_of_a_graph():
    model = PoissonTemplates()
    z = points(model, 6).reshape(2, 3, 3).requires_grad_()
    (3.0 * Target(model)(z)).sum().backward()
    density, gradient = Target(model).log_density_and_gradient(z.reshape(-1, 3))
    torch.testing.assert_close(z.grad.reshape(-1, 3), 3.0 * gradient)
    torch.testing.assert_close(Target(model)(z.detach()).reshape(-1), density)


def test_fused_gradient_is_used():
    class Fused(PoissonTemplates):
        asked = 0

        def log_likelihood_and_gradient(self, values):
            self.asked += 1
            pull = self.counts / self.expected(values) - 1.0
            slopes = pull @ self.templates.T
            return self.log_likelihood(values), dict(zip(self.parameters.names, slopes.unbind(-1), strict=True))

    model = Fused()
    z = points(model)
    for beta in (1.0, 0.3):
        density, gradient = Target(model).log_density_and_gradient(z, beta)
        plain, slope = Target(PoissonTemplates()).log_density_and_gradient(z, beta)
        torch.testing.assert_close(density, plain)
        torch.testing.assert_close(gradient, slope)
    assert model.asked == 2


def test_what_is_not_finite_is_counted_and_never_nan():
    model = Patchy()
    target = Target(model)
    z = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, -2.0], [torch.nan, 0.0]], dtype=torch.float64)
    density, gradient = target.log_density_and_gradient(z)
    assert torch.isfinite(density).tolist() == [True, False, False, False]
    assert (density[1:] == -torch.inf).all()
    assert (gradient[1:] == 0).all()
    assert target.non_finite == 3
    assert (target.log_density(z, beta=0.0)[1:] == -torch.inf).all()
    assert target.non_finite == 6
    assert target.cost() == {"calls": 4.0, "gradients": 4.0, "non_finite": 6.0}


def test_an_empty_batch():
    density, gradient = Target(Gaussian()).log_density_and_gradient(torch.zeros(0, 3))
    assert density.shape == (0,)
    assert gradient.shape == (0, 3)


def test_bad_starts_are_an_error_that_shows_them():
    target = Target(Patchy())
    good = torch.zeros(2, 2, dtype=torch.float64)
    bad = torch.full((3, 2), 7.0, dtype=torch.float64)
    assert torch.isfinite(target.check_starts(torch.cat([good, bad[:2]]))).sum() == 2
    with pytest.raises(NumericsError, match=r"3 of 5 starting points(.|\n)*x = \[7"):
        target.check_starts(torch.cat([good, bad]))


def test_a_likelihood_without_a_word_about_its_values_leaves_the_prior():
    class Silent:
        parameters = Parameters([Parameter("x", StandardNormal(), (2,))])

        def expected(self, values):
            return values["x"]

        def log_likelihood(self, values):
            return torch.full(values["x"].shape[:1], 3.0, dtype=torch.float64)

    z = torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)
    density, gradient = Target(Silent()).log_density_and_gradient(z)
    assert torch.equal(gradient, -z)
    torch.testing.assert_close(density, Target(Silent()).log_density(z))
