"""A conjugate model whose evidence is known for every value of its hyper-parameters."""

import math

import numpy as np
import torch
from scipy import stats

from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, StandardNormal, Uniform

__all__ = ["SCALES", "Scales"]

#: priors of the standard deviations of what is looked for and of the noise
SCALES = {"signal": LogNormal(1.0, 0.6), "noise": LogNormal(0.5, 0.4)}


class Scales:
    r"""Data y = a + signal v + noise e with v and e standard normal: :math:`y \sim N(a, signal^2 + noise^2)`.

    ``level`` (a) is a norm, ``v`` a field; the two standard deviations, or only the first, are hyper-parameters.
    """

    def __init__(self, data=None, names=("signal", "noise"), values=None, nodes=5):
        drawn = np.random.default_rng(3).normal(0.4, math.hypot(0.8, 0.5), 12)
        self.data = torch.as_tensor(drawn) if data is None else data
        self.scales = {"signal": 1.0, "noise": 0.5} | (values or {})
        level = Parameter("level", Uniform(-1.0, 0.6))
        field = Parameter("v", StandardNormal(), (len(self.data),), block="field")
        self.parameters = Parameters([level, field])
        self.hyper = Parameters([Parameter(name, SCALES[name], block="hyper") for name in names]) if names else None
        self.hyper_nodes = nodes

    def at(self, values):
        return Scales(self.data, (), self.scales | {name: float(value) for name, value in values.items()})

    def expected(self, values):
        return values["level"][:, None] + self.scales["signal"] * values["v"]

    def log_likelihood(self, values):
        offset = (self.data - self.expected(values)) / self.scales["noise"]
        constant = len(self.data) * (math.log(self.scales["noise"]) + 0.5 * math.log(2 * math.pi))
        return -0.5 * offset.square().sum(-1) - constant

    def simulate(self, values, generator):
        mean = self.expected(values)
        return mean + self.scales["noise"] * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)

    def table(self, levels, points=160):
        """Return ln L(level) with v and hyper-parameters integrated out, (n,), and the posterior of (ln scale)."""
        names = self.hyper.names if self.hyper is not None else ()
        axes = [math.log(SCALES[name].median) + SCALES[name].sd * np.linspace(-5, 5, points) for name in names]
        grids = dict(zip(names, np.meshgrid(*axes, indexing="ij"), strict=True)) if names else {}
        logs = {name: grids.get(name, np.log(value)) for name, value in self.scales.items()}
        spread = np.sqrt(np.exp(2 * logs["signal"]) + np.exp(2 * logs["noise"]))
        prior = sum(
            stats.norm.logpdf(grids[name], math.log(SCALES[name].median), SCALES[name].sd)
            + math.log(axes[k][1] - axes[k][0])
            for k, name in enumerate(names)
        )
        rows = np.array(
            [
                stats.norm.logpdf(self.data.numpy()[:, None, None], level, spread).sum(0) + prior
                for level in np.atleast_1d(levels)
            ]
        )
        whole = np.logaddexp.reduce(rows.reshape(len(rows), -1), axis=1)
        return whole, rows, logs
