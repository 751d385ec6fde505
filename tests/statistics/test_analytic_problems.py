"""Engines meet means to 0.1 sd, sds to a tenth and evidences to three of their own errors, or say that they do not."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.statistics.accuracy import CANNOT, CELLS, QUICK, fit, measure
from tests.statistics.analytic_problems import FieldGaussian, GammaPoisson, solve
from tests.statistics.ensembles import FIXED_SEED

pytestmark = pytest.mark.statistics

SEEDS = 5


def check(cell, row, seed):
    """Right, or flagged by one that cannot; where seeds roam, evidences have five errors: 3e-3 a row is too often."""
    is_right = row.is_right(3.0 if seed == FIXED_SEED else 5.0)
    assert is_right or (cell in CANNOT and not row.is_converged), row


@pytest.mark.parametrize("cell", QUICK, ids="-".join)
def test_engines_are_right_or_say_so(cell, seed):
    check(cell, measure(*cell, seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_engines_are_right_or_say_so_whatever_the_seed(cell, seed):
    rows = [measure(*cell, seed + k) for k in range(SEEDS)]
    for row in rows:
        check(cell, row, seed)
    # whoever can is not flagged as a rule
    assert cell in CANNOT or sum(row.is_converged for row in rows) > SEEDS / 2


def test_a_lost_mode_looks_sound_from_inside_and_is_not_converged(seed):
    """Seven or three tenths of the mass are gone: no number of the guide is red, but that of the search of modes is."""
    result = fit("svi-mvn", "two-modes", seed)[-1]
    shift, ratio, gap, error = solve("two-modes").judge(result)
    assert shift > 0.5
    assert ratio > 5.0
    assert min(abs(gap - math.log(0.7)), abs(gap - math.log(0.3))) < 0.01
    assert error < 0.01
    colours = {check.name: check.colour for check in result.checks}
    assert colours["svi ESS fraction"] == colours["ELBO still rising"] == "green"
    assert [name for name in colours if colours[name] == "red"] == ["modes: starts"]
    assert not result.is_converged


def test_the_table_sees_what_is_wrong(seed):
    """The control: a posterior that is shifted, narrow, or off in its evidence."""
    row = measure("laplace", "gaussian-2", seed)
    problem, result = solve("gaussian-2"), fit("laplace", "gaussian-2", seed)[-1]
    assert row.is_right()
    mean = torch.as_tensor(problem.mean)
    for draws, log_z in (
        (result.draws + 0.2 * torch.as_tensor(problem.sd), result.log_z),
        (mean + 0.8 * (result.draws - mean), result.log_z),
        (result.draws, result.log_z + math.log(2.0)),
    ):
        wrong = type(result)("laplace", draws, result.log_weights, log_z=log_z, log_z_error=result.log_z_error)
        shift, ratio, gap, error = problem.judge(wrong)
        assert shift > 0.1 or ratio > 1.1 or abs(gap) > 3.0 * error


def test_gamma_posteriors_by_sums():
    model, (mean, sd, log_z) = GammaPoisson(), GammaPoisson().answer()
    total = 0.0
    for k, item in enumerate(model.parameters):
        u = (np.arange(200_000) + 0.5) / 200_000
        rate = item.prior.from_cube(torch.as_tensor(u)).numpy()
        weights = stats.poisson.pmf(model.COUNTS[k], model.EXPOSURES[k] * rate)
        total += math.log(weights.mean())
        weights /= weights.sum()
        assert weights @ rate == pytest.approx(mean[k], rel=1e-6)
        assert math.sqrt(weights @ (rate - weights @ rate) ** 2) == pytest.approx(sd[k], rel=1e-5)
    assert total == pytest.approx(log_z, abs=1e-6)


def test_the_field_posterior_has_the_density_of_a_gaussian():
    """Likelihood times prior over the posterior's density is the evidence, at any point."""
    model, (mean, sd, log_z) = FieldGaussian(), FieldGaussian().answer()
    design = model.design.numpy()
    spread = np.array([1.0, 2.0] + [1.0] * 7)
    covariance = np.linalg.inv(design.T @ design / model.NOISE**2 + np.diag(spread**-2))
    point = mean + 0.7 * sd
    values = model.parameters.unpack(torch.as_tensor(point)[None])
    joint = float(model.log_likelihood(values) + model.parameters.log_prior(values))
    assert joint - stats.multivariate_normal(mean, covariance).logpdf(point) == pytest.approx(log_z, abs=1e-8)
