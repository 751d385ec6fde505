"""What every guide must pass; subclasses give its name and inherit the tests."""

import math

import torch
from tests.contracts.toys import PoissonField

from skysift.inference import Start, Stream
from skysift.inference.guides import build_guide
from skysift.inference.guides.base import base_density, normal_noise

__all__ = ["GuideContract", "PoissonPatch", "find_start"]


class PoissonPatch(PoissonField):
    """The field toy with the hooks that guides may use: a summary of the field, and minibatches."""

    def __init__(self, pixels=80, numbers=6, seed=4):
        super().__init__(pixels, numbers, seed)
        self.scale = 1.0

    def context(self, values):
        factor = torch.exp(values["flat_field"] @ self.basis.T)
        shares = self.templates / self.templates.sum(1, keepdim=True)
        return torch.cat([factor @ shares.T, factor.mean(1, keepdim=True), factor.std(1, keepdim=True)], 1)

    def log_likelihood(self, values):
        return self.scale * super().log_likelihood(values)

    def minibatch(self, size, generator):
        index = torch.randperm(len(self.counts), generator=generator)[:size]
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.counts, part.templates, part.basis = self.counts[index], self.templates[:, index], self.basis[index]
        part.scale = len(self.counts) / size
        return part


def find_start(model):
    """The mode and the Laplace covariance of a model."""
    from skysift.inference import sequence

    result = sequence.run(model, [("map", {"starts": 8})], Stream(1))[0]
    return Start(mode=result.mode, covariance_factor=result.covariance_factor)


class GuideContract:
    """Draws, densities, gradients and state of one guide on a model of three norms and six field numbers."""

    guide: str
    published = False
    model = PoissonPatch()

    def start(self):
        if "_start" not in GuideContract.__dict__:
            GuideContract._start = find_start(self.model)
        return GuideContract._start

    def build(self, seed=1):
        return build_guide(self.guide, self.model, self.start(), Stream(seed), published=self.published)

    def train(self, guide, steps=5, seed=2):
        """Take a few wide steps towards a target that is far from Gaussian, so that nothing stays at its start."""

        def target(w):
            w = w.detach().requires_grad_()
            value = -0.5 * ((w - 0.2 * torch.roll(w, 1, 1) ** 2 - 0.2) ** 2).sum(1)
            (slope,) = torch.autograd.grad(value.sum(), w)
            return value.detach(), slope

        generator = torch.Generator().manual_seed(seed)
        weights = guide.parameters()
        optimiser = torch.optim.Adam(weights, lr=0.01) if weights else None
        for _ in range(steps):
            guide.climb(target, guide.noise(32, generator), 0.2, 1.0)
            if optimiser is not None:
                optimiser.step()
        return guide

    def test_starts_as_the_gaussian_of_the_start(self):
        guide = self.build()
        noise = normal_noise(50, guide.size, torch.Generator().manual_seed(3))
        draw = guide.draw(noise)
        assert torch.allclose(draw.w, noise, atol=1e-10)
        assert torch.allclose(draw.log_q, base_density(noise), atol=1e-10)

    def test_draws_and_density_agree(self, seed):
        """The mean of reference over guide is one, whatever the guide."""
        guide = self.train(self.build())
        draw = guide.draw(normal_noise(4000, guide.size, torch.Generator().manual_seed(seed), antithetic=False))
        spread = 0.6 * torch.linalg.cholesky(torch.cov(draw.w.T))
        offset = torch.linalg.solve_triangular(spread, (draw.w - draw.w.mean(0)).T, upper=False).T
        reference = base_density(offset) - spread.diagonal().log().sum()
        weights = torch.exp(reference - draw.log_q)
        error = float(weights.std()) / math.sqrt(len(weights))
        assert error < 0.15
        assert abs(float(weights.mean()) - 1.0) < 5.0 * error
        # control: a density that is off by a factor of two is seen
        assert abs(2.0 * float(weights.mean()) - 1.0) > 5.0 * error

    def test_density_of_draws_through_the_inverse(self, seed):
        guide = self.train(self.build())
        draw = guide.draw(normal_noise(20, guide.size, torch.Generator().manual_seed(seed)))
        assert torch.allclose(guide.log_density(draw.w), draw.log_q, atol=1e-7)

    def test_density_against_the_jacobian(self, seed):
        guide = self.train(self.build())
        noise = normal_noise(1, guide.size, torch.Generator().manual_seed(seed))
        step = 1e-5 * torch.eye(guide.size, dtype=torch.float64)
        jacobian = (guide.draw(noise + step).w - guide.draw(noise - step).w) / 2e-5
        expected = base_density(noise) - torch.linalg.slogdet(jacobian).logabsdet
        assert torch.allclose(guide.draw(noise).log_q, expected, atol=1e-5)

    def test_every_parameter_gets_a_gradient_and_the_frame_moves(self):
        guide = self.train(self.build())
        assert all(weight.grad is not None and bool((weight.grad != 0).any()) for weight in guide.parameters())
        fresh = self.build().state()
        still = [name for name, value in guide.state().items() if value.numel() and torch.equal(value, fresh[name])]
        masks = [
            name for name in still if name.endswith(("mask", "order", "permutation", "summary.mean", "summary.sd"))
        ]
        # the frame of the norms' flow leaves scales to the flow
        assert set(still) - set(masks) <= {"first.factor"}

    def test_state_round_trip(self, seed):
        guide, other = self.train(self.build()), self.build(seed=9)
        other.load(guide.state())
        noise = normal_noise(5, guide.size, torch.Generator().manual_seed(seed))
        assert torch.equal(guide.draw(noise).w, other.draw(noise).w)

    def test_same_seed_same_guide_and_no_trace_in_the_global_generator(self):
        before = torch.random.get_rng_state()
        first, again = self.train(self.build()), self.train(self.build())
        assert torch.equal(before, torch.random.get_rng_state())
        noise = normal_noise(5, first.size, torch.Generator().manual_seed(1))
        assert torch.equal(first.draw(noise).w, again.draw(noise).w)
        if first.parameters():
            other = self.train(self.build(seed=8))
            assert not torch.equal(first.draw(noise).w, other.draw(noise).w)
