"""What every Model must pass; subclasses give ``make`` and inherit the tests."""

import torch

from skysift.contract import Model, hook

__all__ = ["ModelContract"]


class ModelContract:
    """The likelihood is a batched function with a gradient, hooks agree with it, and simulations with ``expected``."""

    #: whether data are Poisson counts: then their variance is their mean
    poisson = True
    simulations = 400

    def make(self):
        raise NotImplementedError

    def values(self, model, count, seed=0):
        """Points near the middle of the prior, {name: (count, ...)}."""
        u = torch.rand(count, model.parameters.cube_size, generator=torch.Generator().manual_seed(seed)).double()
        return model.parameters.from_cube(0.3 + 0.4 * u)

    def test_is_a_model(self):
        assert isinstance(self.make(), Model)

    def test_batch_shapes(self):
        model = self.make()
        for count in (1, 5):
            values = self.values(model, count)
            likelihood = model.log_likelihood(values)
            assert likelihood.shape == (count,)
            assert likelihood.dtype == torch.float64
            assert model.expected(values).shape[0] == count
            assert model.simulate(values, torch.Generator().manual_seed(1)).shape == model.expected(values).shape

    def test_value_alone_is_value_in_a_batch(self):
        model = self.make()
        values = self.values(model, 4)
        alone = [model.log_likelihood({name: value[k : k + 1] for name, value in values.items()}) for k in range(4)]
        torch.testing.assert_close(model.log_likelihood(values), torch.cat(alone), rtol=1e-12, atol=1e-9)

    def test_gradient_against_finite_differences(self):
        model = self.make()
        point = model.parameters.pack(self.values(model, 1))
        axes = torch.eye(point.shape[1], dtype=torch.float64)[:12]
        step = 1e-5 * point.abs().clamp_min(0.1)
        ahead = model.log_likelihood(model.parameters.unpack(point + step * axes))
        behind = model.log_likelihood(model.parameters.unpack(point - step * axes))
        slope = (ahead - behind) / (2.0 * (step * axes).sum(-1))
        torch.testing.assert_close(self.gradient(model, point)[0, :12], slope, rtol=1e-4, atol=1e-4)

    def gradient(self, model, point):
        point = point.detach().requires_grad_()
        likelihood = model.log_likelihood(model.parameters.unpack(point))
        return torch.autograd.grad(likelihood.sum(), point)[0]

    def test_fused_gradient_against_autograd(self):
        model = self.make()
        fused = hook(model, "log_likelihood_and_gradient")
        if fused is None:
            return
        values = self.values(model, 3)
        likelihood, slopes = fused(values)
        torch.testing.assert_close(likelihood, model.log_likelihood(values), rtol=1e-12, atol=1e-9)
        exact = self.gradient(model, model.parameters.pack(values))
        torch.testing.assert_close(model.parameters.pack(slopes), exact, rtol=1e-9, atol=1e-9)

    def test_closed_curvature_against_autograd(self):
        model = self.make()
        if hook(model, "curvature") is None:
            return
        point = model.parameters.pack(self.values(model, 1))
        found = model.curvature(model.parameters.unpack(point), True)
        value = model.log_likelihood(model.parameters.unpack(point))[0]
        hessian = torch.autograd.functional.hessian(
            lambda one: model.log_likelihood(model.parameters.unpack(one[None]))[0], point[0]
        )
        torch.testing.assert_close(found.value, value, rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(found.gradient, self.gradient(model, point)[0], rtol=1e-9, atol=1e-7)
        torch.testing.assert_close(found.information, -hessian, rtol=1e-8, atol=1e-6)

    def test_expected_information_is_positive(self):
        model = self.make()
        if hook(model, "curvature") is None:
            return
        information = model.curvature(self.values(model, 1), False).information
        scale = information.diagonal().clamp_min(1e-300).sqrt()
        assert float(torch.linalg.eigvalsh(information / scale / scale[:, None]).min()) > -1e-9

    def test_starting_points_are_possible(self):
        model = self.make()
        if hook(model, "starting_points") is None:
            return
        values = model.starting_points(3, torch.Generator().manual_seed(1))
        assert torch.isfinite(model.log_likelihood(values) + model.parameters.log_prior(values)).all()

    def test_simulations_agree_with_expected(self):
        model = self.make()
        values = {
            name: value.expand(self.simulations, *value.shape[1:]) for name, value in self.values(model, 1).items()
        }
        data = model.simulate(values, torch.Generator().manual_seed(1)).double().flatten(1)
        mean = model.expected(values)[0].flatten()
        error = (mean if self.poisson else torch.ones_like(mean)).clamp_min(1e-12).sqrt() / self.simulations**0.5
        # the largest of n pulls exceeds 6 with probability below n 2e-9
        assert float(((data.mean(0) - mean) / error).abs().max()) < 6.0
        if self.poisson:
            ratio = float(data.var(0).sum() / mean.sum())
            assert abs(ratio - 1.0) < 6.0 * (3.0 / (self.simulations * min(len(mean), 50))) ** 0.5

    def test_simulations_repeat(self):
        model = self.make()
        values = self.values(model, 2)
        first, second = (model.simulate(values, torch.Generator().manual_seed(4)) for _ in range(2))
        assert torch.equal(first, second)
