"""Small models with known answers, for tests of engines; each obeys the Model contract and nothing more."""

from __future__ import annotations

import math

import torch

from skysift.contract import Curvature
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, Normal, StandardNormal, Uniform

__all__ = [
    "Banana",
    "Constant",
    "Gaussian",
    "Patchy",
    "PoissonField",
    "PoissonTemplates",
    "Rosenbrock",
    "TwoModes",
    "grid_log_z",
]


class _Toy:
    """A model whose likelihood is a function of one vector named ``x``; its data are that vector."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def expected(self, values):
        return self.parameters.pack(values)

    def simulate(self, values, generator):
        x = self.expected(values)
        return x + torch.randn(x.shape, generator=generator, dtype=x.dtype)


class Gaussian(_Toy):
    """N(x; centre, C) as likelihood, N(0, 1) as prior: posterior and evidence in closed form."""

    def __init__(self, size: int = 3, correlation: float = 0.6, width: float = 0.3) -> None:
        super().__init__(Parameters([Parameter("x", Normal(0.0, 1.0), (size,))]))
        self.centre = torch.linspace(-1.0, 1.5, size, dtype=torch.float64)
        spread = width * torch.linspace(1.0, 2.0, size, dtype=torch.float64)
        matrix = torch.full((size, size), correlation, dtype=torch.float64)
        matrix.fill_diagonal_(1.0)
        self.noise = spread[:, None] * matrix * spread
        self.precision = torch.linalg.inv(self.noise)
        self.covariance = torch.linalg.inv(self.precision + torch.eye(size, dtype=torch.float64))
        self.mean = self.covariance @ self.precision @ self.centre
        total = self.noise + torch.eye(size, dtype=torch.float64)
        self.log_z = -0.5 * float(
            self.centre @ torch.linalg.solve(total, self.centre) + torch.logdet(total) + size * math.log(2 * math.pi)
        )
        self.constant = -0.5 * float(torch.logdet(self.noise) + size * math.log(2 * math.pi))

    def log_likelihood(self, values):
        offset = values["x"] - self.centre
        return self.constant - 0.5 * torch.einsum("bi,ij,bj->b", offset, self.precision, offset)


class Constant(_Toy):
    """A likelihood that knows nothing: the posterior is the prior, the evidence one."""

    log_z = 0.0

    def __init__(self) -> None:
        super().__init__(
            Parameters(
                [
                    Parameter("flat", Uniform(-1.0, 3.0)),
                    Parameter("positive", LogNormal(2.0, 0.5)),
                    Parameter("cut", Normal(0.5, 0.5, low=0.0)),
                    Parameter("field", StandardNormal(), (2,)),
                ]
            )
        )

    def log_likelihood(self, values):
        return 0.0 * values["flat"]


class TwoModes(_Toy):
    """30 % of the posterior at x = -4, 70 % at x = +4 in every dimension: engines must not miss one silently."""

    log_z = 0.0

    def __init__(self, size: int = 2, share: float = 0.3, width: float = 0.4) -> None:
        super().__init__(Parameters([Parameter("x", Uniform(-10.0, 10.0), (size,))]))
        self.width, self.share, self.size = width, share, size
        self.volume = 20.0**size

    def log_likelihood(self, values):
        parts = []
        for share, centre in ((self.share, -4.0), (1.0 - self.share, 4.0)):
            square = (((values["x"] - centre) / self.width) ** 2).sum(-1)
            constant = math.log(share * self.volume) - self.size * math.log(self.width * math.sqrt(2 * math.pi))
            parts.append(constant - 0.5 * square)
        return torch.logsumexp(torch.stack(parts), 0)


class Rosenbrock(_Toy):
    """The curved valley -(1 - x)² - 4 (y - x²)², in a flat box; its evidence by `grid_log_z`."""

    def __init__(self) -> None:
        super().__init__(Parameters([Parameter("x", Uniform(-5.0, 5.0), (2,))]))

    def log_likelihood(self, values):
        x, y = values["x"].unbind(-1)
        return -((1.0 - x) ** 2) - 4.0 * (y - x**2) ** 2


class Banana(_Toy):
    """A Gaussian bent by its first coordinate, y ~ N(b (x² - 1), s); x ~ N(0, 1): moments in closed form."""

    def __init__(self, bend: float = 0.5, width: float = 0.3) -> None:
        super().__init__(Parameters([Parameter("x", Normal(0.0, 1.0)), Parameter("y", Uniform(-10.0, 10.0))]))
        self.bend, self.width = bend, width
        self.log_z = -math.log(20.0)

    def log_likelihood(self, values):
        offset = (values["y"] - self.bend * (values["x"] ** 2 - 1.0)) / self.width
        return -0.5 * offset**2 - math.log(self.width * math.sqrt(2 * math.pi))


class Patchy(_Toy):
    """A Gaussian that is NaN in one corner and flat -inf in another: engines must survive both."""

    def __init__(self) -> None:
        super().__init__(Parameters([Parameter("x", Normal(0.0, 1.0), (2,))]))

    def log_likelihood(self, values):
        x = values["x"]
        value = -0.5 * ((x - 0.3) ** 2).sum(-1) / 0.04
        value = torch.where(x[..., 0] > 1.5, torch.nan, value)
        return torch.where(x[..., 1] < -1.5, -torch.inf, value)


class PoissonTemplates:
    """Counts from a few templates with log-normal norms; the Fisher weights are offered, the curvature is not."""

    def __init__(self, pixels: int = 60, seed: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        phase = torch.linspace(0.0, 1.0, pixels, dtype=torch.float64)
        self.templates = torch.stack([torch.ones_like(phase), torch.exp(-(((phase - 0.4) / 0.04) ** 2)), phase])
        self.truth = torch.tensor([4.0, 9.0, 3.0], dtype=torch.float64)
        self.counts = torch.poisson(self.truth @ self.templates, generator=generator)
        names = ("flat", "bump", "slope")
        self.parameters = Parameters([Parameter(f"{name}_norm", LogNormal(5.0, 0.5)) for name in names])

    def expected(self, values):
        return self.parameters.pack(values) @ self.templates

    def log_likelihood(self, values):
        mean = self.expected(values)
        return (torch.xlogy(self.counts, mean) - mean - torch.lgamma(self.counts + 1.0)).sum(-1)

    def information(self, values):
        return 1.0 / self.expected(values)

    def simulate(self, values, generator):
        return torch.poisson(self.expected(values), generator=generator)


class PoissonField(PoissonTemplates):
    """A template times exp(field) plus two more templates, with every closed form a model may offer."""

    def __init__(self, pixels: int = 200, numbers: int = 30, seed: int = 4) -> None:
        super().__init__(pixels, seed)
        phase = torch.linspace(0.0, 1.0, pixels, dtype=torch.float64)
        nodes = torch.linspace(0.0, 1.0, numbers, dtype=torch.float64)
        kernel = 0.1 * torch.exp(-0.5 * ((nodes[:, None] - nodes) / 0.1) ** 2)
        lower = torch.linalg.cholesky(kernel + 1e-6 * torch.eye(numbers, dtype=torch.float64))
        cross = 0.1 * torch.exp(-0.5 * ((phase[:, None] - nodes) / 0.1) ** 2)
        self.basis = torch.linalg.solve_triangular(lower, cross.T, upper=False).T
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(numbers, generator=generator, dtype=torch.float64)
        mean = self.truth @ self.templates + self.truth[0] * torch.expm1(self.basis @ draw)
        self.counts = torch.poisson(10.0 * mean, generator=generator)
        self.templates = 10.0 * self.templates
        field = Parameter("flat_field", StandardNormal(), (numbers,), block="field")
        self.parameters = Parameters([*self.parameters, field])

    def _rates(self, values):
        norms = torch.stack([values[f"{name}_norm"] for name in ("flat", "bump", "slope")], -1)
        rates = norms[..., None] * self.templates
        modulated = rates[..., 0, :] * torch.exp(values["flat_field"] @ self.basis.T)
        return torch.cat([modulated[..., None, :], rates[..., 1:, :]], -2), norms

    def expected(self, values):
        return self._rates(values)[0].sum(-2)

    def starting_points(self, count, generator):
        rows = self.truth * torch.exp(0.2 * torch.randn(count, 3, generator=generator, dtype=torch.float64))
        field = torch.zeros(count, self.basis.shape[1], dtype=torch.float64)
        return self.parameters.unpack(torch.cat([rows, field], -1))

    def curvature(self, values, observed):
        rates, norms = self._rates(values)
        rates, norms = rates[0], norms[0]
        mean = rates.sum(0)
        slope = torch.cat([rates / norms[:, None], (rates[0][:, None] * self.basis).T])
        pull = self.counts / mean - 1.0
        weight = self.counts / mean**2 if observed else 1.0 / mean
        information = (slope * weight) @ slope.T
        if observed:
            field = slice(len(norms), None)
            bend = (self.basis * (pull * rates[0])[:, None]).T
            information[field, field] -= bend @ self.basis
            cross = bend.sum(-1) / norms[0]
            information[0, field] -= cross
            information[field, 0] -= cross
        value = (torch.xlogy(self.counts, mean) - mean - torch.lgamma(self.counts + 1.0)).sum()
        return Curvature(value, slope @ pull, information)


def grid_log_z(model, low: float, high: float, points: int = 1500) -> float:
    """Integrate likelihood times prior of a two-dimensional toy on a square grid of the vector ``x``."""
    axis = torch.linspace(low, high, points, dtype=torch.float64)
    x = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    values = {"x": x}
    total = model.log_likelihood(values) + model.parameters.log_prior(values)
    return float(torch.logsumexp(total, 0) + 2 * torch.log(axis[1] - axis[0]))
