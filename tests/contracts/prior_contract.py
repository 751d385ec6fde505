"""What every prior must pass; subclasses give ``make`` and inherit the tests."""

import numpy as np
import torch
from scipy import stats

__all__ = ["PriorContract", "ScalarPriorContract"]

FALSE_FAILURES = 1e-5


class PriorContract:
    """Three coordinates of one quantity agree, and so do its densities."""

    def make(self):
        raise NotImplementedError

    def reference(self, count, generator):
        """Draws from the same distribution by other means, (count, value_size)."""
        raise NotImplementedError

    def free(self, x):
        """The coordinates of x with respect to which densities are meant: all of them, unless x is constrained."""
        return x

    def shape(self, count, size):
        return (count,) if self.make().scalar else (count, size)

    def draw_z(self, seed, count=50, spread=1.5):
        generator = torch.Generator().manual_seed(seed)
        shape = self.shape(count, self.make().z_size)
        return spread * torch.randn(shape, generator=generator, dtype=torch.float64)

    def draw_u(self, seed, count=50):
        generator = torch.Generator().manual_seed(seed + 1)
        return torch.rand(self.shape(count, self.make().cube_size), generator=generator, dtype=torch.float64)

    def test_values_come_back(self, seed):
        prior = self.make()
        x = prior.from_cube(self.draw_u(seed, 500))
        torch.testing.assert_close(prior.from_z(prior.to_z(x)), x, rtol=1e-12, atol=1e-12)

    def test_unconstrained_come_back(self, seed):
        prior = self.make()
        z = self.draw_z(seed, 500)
        torch.testing.assert_close(prior.to_z(prior.from_z(z)), z, rtol=1e-10, atol=1e-10)

    def test_log_jacobian_against_autograd(self, seed):
        prior = self.make()
        for row in self.draw_z(seed, 8):
            matrix = torch.autograd.functional.jacobian(lambda z: self.free(prior.from_z(z)).reshape(-1), row)
            exact = torch.linalg.slogdet(matrix.reshape(prior.z_size, prior.z_size)).logabsdet
            torch.testing.assert_close(prior.log_jacobian(row), exact, rtol=1e-12, atol=1e-12)

    def test_density_of_z_is_density_of_x_times_jacobian(self, seed):
        prior = self.make()
        z = self.draw_z(seed)
        expected = prior.log_density(prior.from_z(z)) + prior.log_jacobian(z)
        torch.testing.assert_close(prior.z_log_density(z), expected, rtol=1e-10, atol=1e-10)

    def test_cube_draws_the_distribution(self, seed):
        prior = self.make()
        size = prior.value_size
        ours = prior.from_cube(self.draw_u(seed, 4000)).reshape(-1, size).numpy()
        theirs = np.asarray(self.reference(4000, np.random.default_rng(seed))).reshape(-1, size)
        for mine, other in zip(ours.T, theirs.T, strict=True):
            assert stats.ks_2samp(mine, other).pvalue > FALSE_FAILURES
            shifted = other + 0.3 * other.std()
            assert stats.ks_2samp(mine, shifted).pvalue < FALSE_FAILURES, "the control passed: the test is blind"

    def test_gradients_stay_finite_far_out(self):
        prior = self.make()
        for far in (-30.0, -10.0, 0.0, 10.0, 30.0):
            z = torch.full(self.shape(1, prior.z_size), far, dtype=torch.float64, requires_grad=True)
            total = prior.from_z(z).sum() + prior.z_log_density(z).sum()
            (gradient,) = torch.autograd.grad(total, z)
            assert torch.isfinite(total)
            assert torch.isfinite(gradient).all()

    def test_gradients_stay_finite_at_the_edges_of_the_cube(self):
        prior = self.make()
        for edge in (0.0, 1e-300, 1e-15, 1.0 - 1e-15, 1.0):
            u = torch.full(self.shape(1, prior.cube_size), edge, dtype=torch.float64, requires_grad=True)
            x = prior.from_cube(u)
            (gradient,) = torch.autograd.grad(x.sum(), u, allow_unused=True)
            assert torch.isfinite(x).all()
            assert gradient is None or not torch.isnan(gradient).any()

    def test_edges_of_the_support_are_infinitely_far(self):
        prior = self.make()
        assert not torch.isnan(prior.to_z(prior.from_z(self.draw_z(1, 20, spread=40.0)))).any()


class ScalarPriorContract(PriorContract):
    """Also: the density integrates to one and to the cube, derivatives, limits."""

    low, high = -np.inf, np.inf

    def test_density_integrates_to_the_cube_coordinate(self):
        prior = self.make()
        grid = torch.linspace(-60.0, 60.0, 240_001, dtype=torch.float64)
        mass = torch.cumulative_trapezoid(prior.z_log_density(grid).exp(), grid)
        assert abs(float(mass[-1]) - 1.0) < 1e-8
        u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
        place = prior.to_z(prior.from_cube(u)).numpy()
        np.testing.assert_allclose(np.interp(place, grid[1:].numpy(), mass.numpy()), u.numpy(), atol=1e-6)

    def test_derivatives_against_autograd(self, seed):
        prior = self.make()
        z = self.draw_z(seed).requires_grad_()
        (first,) = torch.autograd.grad(prior.from_z(z).sum(), z, create_graph=True)
        (slope,) = torch.autograd.grad(prior.z_log_density(z).sum(), z, create_graph=True)
        # some of these are constant: adding nothing keeps autograd from complaining
        (second,) = torch.autograd.grad(first.sum() + 0.0 * (z**2).sum(), z)
        (bend,) = torch.autograd.grad(slope.sum() + 0.0 * (z**2).sum(), z)
        found = prior.derivatives(z.detach())
        for mine, exact in zip(found, (first, second, slope, -bend), strict=True):
            torch.testing.assert_close(mine, exact.detach(), rtol=1e-9, atol=1e-9)

    def test_nothing_outside_the_support(self):
        prior = self.make()
        for limit, step in ((self.low, -1e-6), (self.high, 1e-6)):
            if np.isfinite(limit):
                x = torch.tensor(limit + step, dtype=torch.float64)
                assert prior.log_density(x) == -torch.inf
                assert not torch.isnan(prior.to_z(x))

    def test_standardised(self):
        prior = self.make()
        middle = prior.to_z(prior.from_cube(torch.tensor([0.16, 0.5, 0.84], dtype=torch.float64)))
        assert abs(float(middle[1])) < 1.0
        assert 0.3 < 0.5 * float(middle[2] - middle[0]) < 3.0
