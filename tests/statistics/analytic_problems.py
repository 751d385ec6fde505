"""Problems whose evidence, means and standard deviations are known, for every engine."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import special
from tests.contracts.toys import Gaussian, Rosenbrock, TwoModes
from tests.models.mixture.events import draw_events, integrate_evidence, line_densities

from skysift.models.mixture import MixtureModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogUniform, Normal, StandardNormal, Uniform

__all__ = ["PROBLEMS", "FieldGaussian", "GammaPoisson", "Problem", "solve"]


@dataclass(frozen=True)
class Problem:
    """A model with its exact answer: moments of physical values, (D,) each; ``scalar``: a parameter for the grid."""

    model: Any
    mean: np.ndarray
    sd: np.ndarray
    log_z: float
    scalar: str | None = None

    def values(self, result):
        """Return the physical values of draws, (n, D), and their weights, (n,)."""
        draws = result.draws.reshape(-1, result.draws.shape[-1])
        weights = torch.full((len(draws),), 1.0 / len(draws), dtype=torch.float64)
        if result.log_weights is not None:
            weights = torch.softmax(result.log_weights.reshape(-1), 0)
        parameters = self.model.parameters
        values = parameters.values(draws)
        if hasattr(self.model, "component_fractions"):
            return self.model.component_fractions(values).numpy(), weights.numpy()
        return parameters.pack(values).numpy(), weights.numpy()

    def judge(self, result):
        """Return the largest shift in sd, the largest ratio of sds (above one), and the gap of log Z in its errors."""
        values, weights = self.values(result)
        mean = weights @ values
        sd = np.sqrt(weights @ (values - mean) ** 2)
        shift = float(np.abs((mean - self.mean) / self.sd).max())
        ratio = float(np.exp(np.abs(np.log(sd / self.sd)).max()))
        if result.log_z is None:
            return shift, ratio, math.nan, math.nan
        return shift, ratio, result.log_z - self.log_z, math.nan if result.log_z_error is None else result.log_z_error


class GammaPoisson:
    """Counts of four sources with exposures: Gamma posteriors, cut by the limits of uniform and log-uniform priors."""

    COUNTS, EXPOSURES = (2.0, 9.0, 30.0, 200.0), (1.0, 2.0, 1.0, 4.0)
    LIMITS = ((0.0, 30.0), (0.1, 50.0), (0.0, 300.0), (1.0, 500.0))

    def __init__(self):
        priors = [Uniform(*self.LIMITS[0]), LogUniform(*self.LIMITS[1])]
        priors += [Uniform(*self.LIMITS[2]), LogUniform(*self.LIMITS[3])]
        names = ("faint", "weak", "plain", "bright")
        self.parameters = Parameters([Parameter(name, prior) for name, prior in zip(names, priors, strict=True)])
        self.counts = torch.tensor(self.COUNTS, dtype=torch.float64)
        self.exposures = torch.tensor(self.EXPOSURES, dtype=torch.float64)

    def expected(self, values):
        return self.parameters.pack(values) * self.exposures

    def log_likelihood(self, values):
        mean = self.expected(values)
        return (torch.xlogy(self.counts, mean) - mean - torch.lgamma(self.counts + 1.0)).sum(-1)

    def simulate(self, values, generator):
        return torch.poisson(self.expected(values), generator=generator)

    def answer(self):
        """Return mean, sd and log Z: with prior density c r^-k, the integrals of r^(n - k + m) exp(-e r)."""
        means, sds, log_z = [], [], 0.0
        for n, e, (low, high), k in zip(self.COUNTS, self.EXPOSURES, self.LIMITS, (0, 1, 0, 1), strict=True):
            constant = math.log(math.log(high / low)) if k else math.log(high - low)
            moments = []
            for m in range(3):
                shape = n - k + m + 1.0
                share = special.gammainc(shape, e * high) - special.gammainc(shape, e * low)
                moments.append(special.gammaln(shape) - shape * math.log(e) + math.log(share))
            mean = math.exp(moments[1] - moments[0])
            means.append(mean)
            sds.append(math.sqrt(math.exp(moments[2] - moments[0]) - mean**2))
            log_z += moments[0] - constant + n * math.log(e) - math.lgamma(n + 1.0)
        return np.array(means), np.array(sds), float(log_z)


class FieldGaussian:
    """Data y = T a + F v + noise with two norms a and a field v: a Gaussian in nine numbers, with a context."""

    NOISE = 0.3

    def __init__(self, pixels=24, numbers=7):
        phase = torch.linspace(0.0, 1.0, pixels, dtype=torch.float64)
        nodes = torch.linspace(0.0, 1.0, numbers, dtype=torch.float64)
        self.templates = torch.stack([torch.ones_like(phase), torch.exp(-(((phase - 0.4) / 0.15) ** 2))], 1)
        self.basis = 0.7 * torch.exp(-0.5 * ((phase[:, None] - nodes) / 0.12) ** 2)
        self.parameters = Parameters(
            [
                Parameter("flat_norm", Normal(1.0, 1.0)),
                Parameter("bump_norm", Normal(0.0, 2.0)),
                Parameter("flat_field", StandardNormal(), (numbers,), block="field"),
            ]
        )
        drawn = np.random.default_rng(11).normal(0.0, 1.0, numbers + pixels)
        truth = 0.6 * self.templates[:, 0] + 1.5 * self.templates[:, 1] + self.basis @ torch.as_tensor(drawn[:numbers])
        self.data = truth + self.NOISE * torch.as_tensor(drawn[numbers:])
        self.design = torch.cat([self.templates, self.basis], 1)

    def expected(self, values):
        return self.parameters.pack(values) @ self.design.T

    def context(self, values):
        field = values["flat_field"] @ self.basis.T
        return torch.cat([field @ self.templates / len(self.data), field.mean(1, keepdim=True)], 1)

    def log_likelihood(self, values):
        offset = (self.data - self.expected(values)) / self.NOISE
        constant = len(self.data) * math.log(self.NOISE * math.sqrt(2.0 * math.pi))
        return -0.5 * offset.square().sum(-1) - constant

    def simulate(self, values, generator):
        mean = self.expected(values)
        return mean + self.NOISE * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)

    def answer(self):
        """Return mean, sd and log Z of a Gaussian in Gaussian noise."""
        design, data = self.design.numpy(), self.data.numpy()
        centre = np.array([1.0, 0.0] + [0.0] * self.basis.shape[1])
        spread = np.array([1.0, 2.0] + [1.0] * self.basis.shape[1])
        covariance = np.linalg.inv(design.T @ design / self.NOISE**2 + np.diag(spread**-2))
        mean = covariance @ (design.T @ data / self.NOISE**2 + centre / spread**2)
        total = self.NOISE**2 * np.eye(len(data)) + (design * spread**2) @ design.T
        offset = data - design @ centre
        log_z = -0.5 * (offset @ np.linalg.solve(total, offset) + np.linalg.slogdet(2.0 * math.pi * total)[1])
        return mean, np.sqrt(np.diag(covariance)), float(log_z)


def _gaussian(size):
    model = Gaussian(size)
    return Problem(model, model.mean.numpy(), model.covariance.diagonal().sqrt().numpy(), model.log_z)


def _closed(model, scalar):
    return Problem(model, *model.answer(), scalar)


def _rosenbrock(points=2000):
    """Sums over a grid that ends where the posterior is below 1e-12 of its peak."""
    model = Rosenbrock()
    axes = np.linspace(-5.0, 5.0, points), np.linspace(-5.0, 5.0, points)
    x, y = np.meshgrid(*axes, indexing="ij")
    flat = torch.as_tensor(np.stack([x.ravel(), y.ravel()], -1))
    density = np.exp(model.log_likelihood({"x": flat}).numpy())
    cell = (10.0 / (points - 1)) ** 2 / 100.0
    mean = density @ flat.numpy() / density.sum()
    sd = np.sqrt(density @ (flat.numpy() - mean) ** 2 / density.sum())
    return Problem(model, mean, sd, math.log(density.sum() * cell))


def _two_modes():
    model = TwoModes()
    mean = np.full(2, (1.0 - 2.0 * model.share) * 4.0)
    sd = np.full(2, math.sqrt(model.width**2 + 64.0 * model.share * (1.0 - model.share)))
    return Problem(model, mean, sd, model.log_z)


def _simplex():
    x, _ = draw_events(np.array([0.6, 0.1, 0.3]), 300, np.random.default_rng(5))
    logs = line_densities(x, 3)
    log_z, mean, sd = integrate_evidence(logs)
    return Problem(MixtureModel.of(("background", "diffuse", "catalogue"), logs), mean, sd, float(log_z))


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "gaussian-2": lambda: _gaussian(2),
    "gaussian-10": lambda: _gaussian(10),
    "gaussian-30": lambda: _gaussian(30),
    "field": lambda: _closed(FieldGaussian(), "bump_norm"),
    "gamma-poisson": lambda: _closed(GammaPoisson(), "weak"),
    "simplex": _simplex,
    "rosenbrock": _rosenbrock,
    "two-modes": _two_modes,
}


@cache
def solve(name):
    """Return the problem of a name with its exact answer."""
    return PROBLEMS[name]()
