"""Hyper-parameters integrated out: quadrature against dense grids of the same evidence."""

import math

import numpy as np
import pytest
import torch
from tests.contracts.toys import Gaussian
from tests.inference.scales import SCALES, Scales

from skysift.inference.hyper import integrate, laplace_log_z
from skysift.inference.newton import climb
from skysift.inference.target import Target
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, StandardNormal


class Bumps:
    """Poisson counts of a template times exp(GP) along a line; variance and lengthscale are left to be integrated."""

    def __init__(self, names=("variance", "length"), counts=None, values=None, nodes=5):
        self.place = torch.linspace(0.0, 1.0, 40, dtype=torch.float64)
        self.values = {"variance": 0.1, "length": 0.15} | (values or {})
        points = torch.linspace(-0.1, 1.1, 16, dtype=torch.float64)
        gram = self._kernel(points, points) + 1e-8 * torch.eye(16, dtype=torch.float64)
        lower = torch.linalg.cholesky(gram)
        self.basis = torch.linalg.solve_triangular(lower, self._kernel(points, self.place), upper=False).T
        vector = Parameter("field", StandardNormal(), (16,), block="field")
        self.parameters = Parameters([Parameter("norm", LogNormal(30.0, 0.5)), vector])
        priors = {"variance": LogNormal(0.1, 1.0), "length": LogNormal(0.2, 0.4)}
        self.hyper = Parameters([Parameter(name, priors[name], block="hyper") for name in names]) if names else None
        self.hyper_nodes = nodes
        if counts is None:
            truth = 30.0 * torch.exp(0.4 * torch.sin(9.0 * self.place))
            counts = torch.poisson(truth, generator=torch.Generator().manual_seed(8))
        self.counts = counts

    def _kernel(self, x, y):
        square = ((x[:, None] - y) / self.values["length"]) ** 2
        return self.values["variance"] * torch.exp(-0.5 * square)

    def at(self, values):
        return Bumps((), self.counts, self.values | {name: float(value) for name, value in values.items()})

    def expected(self, values):
        return values["norm"][:, None] * torch.exp(values["field"] @ self.basis.T)

    def log_likelihood(self, values):
        mean = self.expected(values)
        return (torch.xlogy(self.counts, mean) - mean - torch.lgamma(self.counts + 1.0)).sum(-1)

    def information(self, values):
        return 1.0 / self.expected(values)


def tabulate(model, points, reach=4.0):
    """Laplace evidence times prior on a dense grid of standardised hyper-parameters: theta and log terms."""
    axis = np.linspace(-reach, reach, points)
    grid = np.stack(np.meshgrid(*[axis] * model.hyper.size, indexing="ij"), -1).reshape(-1, model.hyper.size)
    z = torch.zeros(model.parameters.size, dtype=torch.float64)
    terms = []
    for theta in torch.as_tensor(grid):
        optimum = climb(Target(model.at(model.hyper.values(theta))), z)
        terms.append(laplace_log_z(optimum) + float(model.hyper.log_density(theta[None])[0]))
        z = optimum.z
    return grid, np.array(terms) + model.hyper.size * math.log(axis[1] - axis[0])


@pytest.mark.parametrize(("names", "points"), [(("variance",), 41), (("variance", "length"), 15)])
def test_quadrature_against_a_dense_grid_of_a_gaussian_process(names, points):
    """log Z within 0.05 nat, mean of each standardised hyper-parameter within 0.1 of its sd, sd within 15 %."""
    model = Bumps(names)
    start = torch.zeros(model.parameters.size, dtype=torch.float64)
    found = integrate(model, start, 5)
    grid, terms = tabulate(model, points)
    total = np.logaddexp.reduce(terms)
    assert abs(found.log_z - total) < 0.05
    exact = np.exp(terms - total)
    mean = exact @ grid
    sd = np.sqrt(exact @ (grid - mean) ** 2)
    weights = np.exp([node.log_weight for node in found.nodes])
    theta = np.array([node.theta.numpy() for node in found.nodes])
    assert weights.sum() == pytest.approx(1.0)
    assert np.abs((weights @ theta - mean) / sd).max() < 0.1
    spread = np.sqrt(weights @ (theta - weights @ theta) ** 2)
    assert np.abs(np.log(spread / sd)).max() < 0.15
    assert len(found.nodes) == 5 ** len(names)
    assert found.gradient_norm < 0.15


@pytest.mark.parametrize("nodes", [3, 5])
def test_quadrature_of_a_known_evidence(nodes):
    """Given its scales the model is Gaussian but for the uniform level, which is far from its limits here."""
    model = Scales(nodes=nodes)
    found = integrate(model, torch.zeros(model.parameters.size, dtype=torch.float64), nodes)
    levels = np.linspace(-1.0, 0.6, 200)
    rows, _, _ = model.table(levels, points=80)
    exact = np.logaddexp.reduce(rows) + math.log((levels[1] - levels[0]) / 1.6)
    assert found.log_z == pytest.approx(exact, abs=0.12)


def test_one_node_stands_at_the_mode_of_the_evidence():
    model = Bumps(("variance",))
    found = integrate(model, torch.zeros(model.parameters.size, dtype=torch.float64), 1)
    grid, terms = tabulate(model, 41)
    best = float(grid[terms.argmax(), 0])
    assert len(found.nodes) == 1
    assert found.nodes[0].log_weight == pytest.approx(0.0, abs=1e-12)
    assert float(found.nodes[0].theta[0]) == pytest.approx(best, abs=0.25)
    assert found.nodes[0].model.hyper is None


def test_nodes_carry_their_values():
    model = Bumps(("variance",))
    found = integrate(model, torch.zeros(model.parameters.size, dtype=torch.float64), 3)
    for node in found.nodes:
        assert float(node.values["variance"]) == pytest.approx(node.model.values["variance"])
        expected = model.hyper.values(node.theta)["variance"]
        torch.testing.assert_close(node.values["variance"], expected)


def test_evidence_that_does_not_know_returns_the_prior():
    class Blind(Gaussian):
        hyper = Parameters([Parameter("scale", SCALES["signal"], block="hyper")])

        def at(self, values):
            return Gaussian()

    model = Blind()
    found = integrate(model, torch.zeros(3, dtype=torch.float64), 7)
    assert found.log_z == pytest.approx(model.log_z, abs=1e-6)
    weights = np.exp([node.log_weight for node in found.nodes])
    theta = np.array([float(node.theta[0]) for node in found.nodes])
    assert weights @ theta == pytest.approx(0.0, abs=1e-3)
    assert weights @ theta**2 == pytest.approx(1.0, abs=1e-3)


def test_laplace_evidence_of_a_gaussian():
    model = Gaussian()
    optimum = climb(Target(model), torch.zeros(3, dtype=torch.float64))
    assert laplace_log_z(optimum) == pytest.approx(model.log_z, abs=1e-10)
