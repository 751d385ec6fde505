"""What every likelihood of independent data must pass; subclasses give the functions and inherit the tests."""

import math

import pytest
import torch

__all__ = ["LikelihoodContract"]


class LikelihoodContract:
    """A batched sum over data with the derivatives it claims, normalised, finite or -inf, never NaN."""

    #: means at which the probabilities of all data are summed
    means = (1e-3, 0.7, 12.0)

    def log_likelihood(self, data, expected):
        """(n,) and (batch, n) to (batch,)."""
        raise NotImplementedError

    def slope(self, data, expected):
        """Derivative in each expectation, (batch, n)."""
        raise NotImplementedError

    def curvature(self, data, expected, *, observed):
        """Minus the second derivative in each expectation, or its mean, (batch, n)."""
        raise NotImplementedError

    def support(self):
        """Every datum with a probability worth counting, (k,)."""
        raise NotImplementedError

    def reference(self, data, expected):
        """Log probability of each datum by other means, (batch, n)."""
        raise NotImplementedError

    def expected(self, rows, size=40, seed=1):
        generator = torch.Generator().manual_seed(seed)
        return 10.0 * torch.rand(rows, size, generator=generator, dtype=torch.float64) + 0.05

    def data(self, size=40, seed=2):
        return torch.poisson(self.expected(1, size)[0], generator=torch.Generator().manual_seed(seed))

    def probabilities(self, mean):
        every = self.support()
        means = torch.full((1, 1), mean, dtype=torch.float64)
        return torch.stack([self.log_likelihood(one[None], means)[0] for one in every]).exp()

    def test_agrees_with_another_implementation(self):
        data, expected = self.data(), self.expected(3)
        exact = torch.as_tensor(self.reference(data.numpy(), expected.numpy())).sum(-1)
        torch.testing.assert_close(self.log_likelihood(data, expected), exact, rtol=1e-12, atol=1e-9)

    @pytest.mark.parametrize("rows", [0, 1, 7])
    def test_batch_shape_and_precision(self, rows):
        likelihood = self.log_likelihood(self.data(), self.expected(rows))
        assert likelihood.shape == (rows,)
        assert likelihood.dtype == torch.float64

    def test_value_alone_is_value_in_a_batch(self):
        data, expected = self.data(), self.expected(5)
        alone = torch.cat([self.log_likelihood(data, row[None]) for row in expected])
        torch.testing.assert_close(self.log_likelihood(data, expected), alone, rtol=1e-13, atol=1e-11)

    def test_chunks_add_up(self):
        data, expected = self.data(), self.expected(3)
        parts = sum(self.log_likelihood(data[k::3], expected[:, k::3]) for k in range(3))
        torch.testing.assert_close(self.log_likelihood(data, expected), parts, rtol=1e-12, atol=1e-10)

    def test_slope_against_finite_differences(self):
        data, expected = self.data(), self.expected(1)
        step = 1e-6 * torch.diag(expected[0])
        rise = self.log_likelihood(data, expected + step) - self.log_likelihood(data, expected - step)
        found = rise / (2.0 * step.diagonal())
        torch.testing.assert_close(self.slope(data, expected)[0], found, rtol=1e-5, atol=1e-5)

    def test_slope_and_curvature_against_autograd(self):
        data, expected = self.data(), self.expected(1).requires_grad_()
        (slope,) = torch.autograd.grad(self.log_likelihood(data, expected).sum(), expected, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), expected)
        torch.testing.assert_close(self.slope(data, expected.detach()), slope.detach(), rtol=1e-12, atol=1e-12)
        found = self.curvature(data, expected.detach(), observed=True)
        torch.testing.assert_close(found, -bend, rtol=1e-12, atol=1e-12)

    def test_probabilities_sum_to_one(self):
        for mean in self.means:
            assert abs(float(self.probabilities(mean).sum()) - 1.0) < 1e-12, mean

    def test_mean_of_the_data_is_the_expectation(self):
        for mean in self.means:
            assert abs(float(self.probabilities(mean) @ self.support()) / mean - 1.0) < 1e-10, mean

    def test_expected_curvature_is_the_mean_curvature_and_the_variance_of_the_slope(self):
        every = self.support()
        for mean in self.means:
            share = self.probabilities(mean)
            means = torch.full((1, len(every)), mean, dtype=torch.float64)
            fisher = float(self.curvature(every, means, observed=False)[0, 0])
            assert abs(float(share @ self.curvature(every, means, observed=True)[0]) / fisher - 1.0) < 1e-10
            assert abs(float(share @ self.slope(every, means)[0] ** 2) / fisher - 1.0) < 1e-10

    def test_hostile_expectations_are_impossible_not_nan(self):
        data = self.data()
        for bad in (math.nan, math.inf, -1.0):
            expected = self.expected(2)
            expected[1, 3] = bad
            likelihood = self.log_likelihood(data, expected)
            assert torch.isfinite(likelihood[0]), bad
            assert likelihood[1] == -torch.inf, bad

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_devices_agree(self):
        data, expected = self.data(), self.expected(3)
        there = self.log_likelihood(data.cuda(), expected.cuda()).cpu()
        torch.testing.assert_close(there, self.log_likelihood(data, expected), rtol=1e-12, atol=1e-10)
