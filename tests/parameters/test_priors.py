"""Every prior obeys the prior contract."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.prior_contract import PriorContract, ScalarPriorContract

from skysift.errors import InputError
from skysift.parameters.priors import (
    Angle,
    Dirichlet,
    LogNormal,
    LogUniform,
    Normal,
    OrderedBreaks,
    StandardNormal,
    Uniform,
)


class TestStandardNormal(ScalarPriorContract):
    def make(self):
        return StandardNormal()

    def reference(self, count, generator):
        return generator.normal(size=count)


class TestNormal(ScalarPriorContract):
    def make(self):
        return Normal(0.5, 0.1)

    def reference(self, count, generator):
        return generator.normal(0.5, 0.1, count)


class TestPositiveNormal(ScalarPriorContract):
    low = 0.0

    def make(self):
        return Normal(0.5, 0.3, low=0.0)

    def reference(self, count, generator):
        return stats.truncnorm.rvs(-0.5 / 0.3, np.inf, 0.5, 0.3, count, random_state=generator)


class TestTailNormal(TestPositiveNormal):
    low = 1.0

    def make(self):
        return Normal(-1.0, 0.5, low=1.0)

    def reference(self, count, generator):
        return stats.truncnorm.rvs(4.0, np.inf, -1.0, 0.5, count, random_state=generator)


class TestUpperNormal(ScalarPriorContract):
    high = 0.7

    def make(self):
        return Normal(0.5, 0.3, high=0.7)

    def reference(self, count, generator):
        return stats.truncnorm.rvs(-np.inf, 0.2 / 0.3, 0.5, 0.3, count, random_state=generator)


class TestBoxedNormal(ScalarPriorContract):
    low, high = 0.0, 2.0

    def make(self):
        return Normal(0.5, 0.3, low=0.0, high=2.0)

    def reference(self, count, generator):
        return stats.truncnorm.rvs(-0.5 / 0.3, 5.0, 0.5, 0.3, count, random_state=generator)


class TestWideBoxedNormal(ScalarPriorContract):
    low, high = 0.0, 1e3

    def make(self):
        return Normal(0.5, 0.1, low=0.0, high=1e3)

    def reference(self, count, generator):
        return stats.truncnorm.rvs(-5.0, np.inf, 0.5, 0.1, count, random_state=generator)


class TestLogNormal(ScalarPriorContract):
    low = 0.0

    def make(self):
        return LogNormal(12.3, 0.5)

    def reference(self, count, generator):
        return generator.lognormal(math.log(12.3), 0.5, count)


class TestCutLogNormal(ScalarPriorContract):
    low, high = 5.0, 20.0

    def make(self):
        return LogNormal(12.3, 0.5, low=5.0, high=20.0)

    def reference(self, count, generator):
        edges = [(math.log(x) - math.log(12.3)) / 0.5 for x in (5.0, 20.0)]
        return np.exp(stats.truncnorm.rvs(*edges, math.log(12.3), 0.5, count, random_state=generator))


class TestUniform(ScalarPriorContract):
    low, high = -1.0, 1.5

    def make(self):
        return Uniform(-1.0, 1.5)

    def reference(self, count, generator):
        return generator.uniform(-1.0, 1.5, count)


class TestAngle(ScalarPriorContract):
    low, high = 0.0, math.pi

    def make(self):
        return Angle(0.0, math.pi)

    def reference(self, count, generator):
        return generator.uniform(0.0, math.pi, count)

    def test_wraps(self):
        assert self.make().periodic
        assert not Uniform(0.0, 1.0).periodic


class TestLogUniform(ScalarPriorContract):
    low, high = 0.1, 100.0

    def make(self):
        return LogUniform(0.1, 100.0)

    def reference(self, count, generator):
        return np.exp(generator.uniform(math.log(0.1), math.log(100.0), count))


class _DirichletContract(PriorContract):
    alpha: tuple[float, ...]

    def make(self):
        return Dirichlet(self.alpha)

    def free(self, x):
        return x[..., :-1]

    def reference(self, count, generator):
        return generator.dirichlet(self.alpha, count)

    def test_density_against_torch(self, seed):
        x = self.make().from_cube(self.draw_u(seed))
        exact = torch.distributions.Dirichlet(torch.tensor(self.alpha, dtype=torch.float64)).log_prob(x)
        torch.testing.assert_close(self.make().log_density(x), exact)

    def test_fractions_sum_to_one(self, seed):
        prior = self.make()
        for x in (prior.from_cube(self.draw_u(seed)), prior.from_z(self.draw_z(seed))):
            torch.testing.assert_close(x.sum(-1), torch.ones(len(x), dtype=torch.float64))
        assert prior.log_density(torch.full((len(self.alpha),), 0.9, dtype=torch.float64)) == -torch.inf

    def test_integrates_to_one(self):
        if len(self.alpha) == 3:
            assert abs(integrate_plane(self.make()) - 1.0) < 1e-6


class TestFlatDirichlet(_DirichletContract):
    alpha = (1.0, 1.0, 1.0)

    def test_log_jacobian_is_that_of_the_isometric_ratio(self, seed):
        z = self.draw_z(seed)
        exact = self.make().from_z(z).log().sum(-1) + 0.5 * math.log(3.0)
        torch.testing.assert_close(self.make().log_jacobian(z), exact)

    def test_no_fraction_is_special(self):
        torch.testing.assert_close(
            self.make().from_z(torch.zeros(2, dtype=torch.float64)), torch.full((3,), 1 / 3, dtype=torch.float64)
        )


class TestDirichlet(_DirichletContract):
    alpha = (2.5, 1.0, 4.0)


class TestSparseDirichlet(_DirichletContract):
    alpha = (0.5, 0.7, 1.0, 2.0)


class TestConcentratedDirichlet(_DirichletContract):
    alpha = (200.0, 50.0, 100.0)


class TestOrderedBreaks(PriorContract):
    def make(self):
        return OrderedBreaks(LogUniform(1.0, 100.0), 2, 0.1, 0.9)

    def reference(self, count, generator):
        top = np.exp(generator.uniform(0.0, math.log(100.0), count))
        return np.stack([top, top * generator.uniform(0.1, 0.9, count)], -1)

    def test_breaks_never_cross(self, seed):
        x = self.make().from_z(self.draw_z(seed, 200, spread=5.0))
        assert (x.diff(dim=-1) < 0).all()
        assert self.make().log_density(x.flip(-1)).eq(-torch.inf).all()

    def test_integrates_to_one(self):
        assert abs(integrate_plane(self.make()) - 1.0) < 1e-6


def integrate_plane(prior):
    axis = torch.linspace(-40.0, 40.0, 2001, dtype=torch.float64)
    plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    return float(prior.z_log_density(plane).exp().sum() * (axis[1] - axis[0]) ** 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normal(0.0, -1.0),
        lambda: Normal(float("nan"), 1.0),
        lambda: Normal(0.0, 1.0, low=2.0, high=1.0),
        lambda: Normal(0.0, 1.0, low=50.0),
        lambda: LogNormal(-1.0, 0.5),
        lambda: LogNormal(1.0, 0.5, high=0.0),
        lambda: Uniform(1.0, 1.0),
        lambda: LogUniform(0.0, 1.0),
        lambda: Dirichlet((1.0,)),
        lambda: Dirichlet((1.0, 0.0)),
        lambda: OrderedBreaks(LogUniform(1.0, 2.0), 2, 0.5, 1.5),
    ],
)
def test_bad_numbers_are_refused(make):
    with pytest.raises(InputError, match="wanted"):
        make()
