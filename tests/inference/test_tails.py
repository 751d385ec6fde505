"""Evidences of guides whose tails are thinner than the posterior's."""

import math

import torch

from skysift.inference import Start, Stream
from skysift.inference.guides import build_guide
from skysift.inference.guides.restarts import weigh
from skysift.inference.guides.tails import reach_tails
from skysift.inference.psis import smooth_weights
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal


class Exponential:
    """A Laplace distribution in each of two real numbers, under a wide prior: log Z in closed form to 1e-3."""

    parameters = Parameters([Parameter("x", Normal(0.0, 30.0), (2,))])
    log_z = 2.0 * math.log(2.0 / (30.0 * math.sqrt(2.0 * math.pi)))

    def expected(self, values):
        return values["x"]

    def log_likelihood(self, values):
        return -values["x"].abs().sum(-1)

    def simulate(self, values, generator):
        return values["x"]


def test_exponential_tails_of_a_gaussian_guide(seed):
    """A Gaussian a third as wide misses what it does not reach, and does not know it; the wider draws find it."""
    model = Exponential()
    target = Target(model)
    start = Start(
        mode=torch.zeros(2, dtype=torch.float64), covariance_factor=0.5 / 30.0 * torch.eye(2, dtype=torch.float64)
    )
    guide = build_guide("mvn", model, start, Stream(seed), published=False)
    told, alone = [], []
    for k in range(15):
        weighed = weigh(guide, target, 4000, torch.Generator().manual_seed(seed + k))
        log_z, error = reach_tails(guide, target, weighed, torch.Generator().manual_seed(seed + 100 + k))
        assert abs(log_z - model.log_z) < 5.0 * error + 2e-3
        told.append(log_z - model.log_z)
        alone.append(smooth_weights(weighed.log_ratio).log_mean - model.log_z)
    # the control: from the guide alone it is low as a rule, and scatters more
    told, alone = torch.tensor(told), torch.tensor(alone)
    assert abs(float(told.median())) < 0.05
    assert float(alone.median()) < -0.05
    assert float(alone.std()) > float(told.std())
