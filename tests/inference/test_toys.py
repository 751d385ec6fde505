"""The toys obey the Model contract, and their known answers are right."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf
from tests.contracts.model_contract import ModelContract
from tests.contracts.toys import (
    Banana,
    Constant,
    Gaussian,
    PoissonField,
    PoissonTemplates,
    Rosenbrock,
    TwoModes,
    grid_log_z,
)


class TestPoissonTemplates(ModelContract):
    def make(self):
        return PoissonTemplates()


class TestPoissonField(ModelContract):
    def make(self):
        return PoissonField()


class TestGaussian(ModelContract):
    poisson = False

    def make(self):
        return Gaussian()


class TestRosenbrock(ModelContract):
    poisson = False

    def make(self):
        return Rosenbrock()


class TestBanana(ModelContract):
    poisson = False

    def make(self):
        return Banana()


class TestConstant(ModelContract):
    poisson = False

    def make(self):
        return Constant()


@pytest.mark.parametrize(("model", "edge"), [(Gaussian(2), 6.0), (TwoModes(), 10.0)])
def test_evidence_by_quadrature(model, edge):
    assert abs(grid_log_z(model, -edge, edge) - model.log_z) < 1e-6


def test_moments_of_the_gaussian_by_quadrature():
    model = Gaussian(2)
    axis = torch.linspace(-6.0, 6.0, 1200, dtype=torch.float64)
    x = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    weight = torch.softmax(model.log_likelihood({"x": x}) + model.parameters.log_prior({"x": x}), 0)
    mean = weight @ x
    torch.testing.assert_close(mean, model.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close((x - mean).T @ ((x - mean) * weight[:, None]), model.covariance, rtol=0, atol=1e-6)


def test_evidence_of_the_rosenbrock_valley():
    x = np.linspace(-5.0, 5.0, 20_001)
    across = 0.25 * np.sqrt(np.pi) * (erf(2.0 * (5.0 - x**2)) - erf(2.0 * (-5.0 - x**2)))
    exact = math.log(np.trapezoid(np.exp(-((1.0 - x) ** 2)) * across, x) / 100.0)
    assert abs(grid_log_z(Rosenbrock(), -5.0, 5.0) - exact) < 1e-4
