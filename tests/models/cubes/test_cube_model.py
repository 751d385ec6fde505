"""Counts cubes as a Model: derivatives in closed form, links, limits and frozen values, batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.cubes.small_cubes import bind, declare, observe, shipped
from tests.peers import import_peer

from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Stream

LINKED = """
components:
- name: a
  type: SkyModel
  spectral:
    type: pl
    parameters:
    - {name: index, value: 2.2, min: 1.0, max: 4.0, link: one}
    - {name: amplitude, value: 2.0e-11, unit: cm-2 s-1 TeV-1, min: 0.0, max: 1.0e-10}
    - {name: reference, value: 1.0, unit: TeV, frozen: true}
  spatial: {type: point, frame: icrs, parameters: [{name: lon_0, value: 266.4, unit: deg, min: 266, max: 267}, \
{name: lat_0, value: -28.9, unit: deg, frozen: true}]}
- name: b
  type: SkyModel
  spectral:
    type: pl
    parameters:
    - {name: index, value: 2.2, link: one}
    - {name: amplitude, value: 1.0e-11, unit: cm-2 s-1 TeV-1}
    - {name: reference, value: 1.0, unit: TeV, frozen: true}
  spatial: {type: gauss, frame: galactic, parameters: [{name: lon_0, value: 0.5, unit: deg, frozen: true}, \
{name: lat_0, value: -0.3, unit: deg, frozen: true}, {name: sigma, value: 0.2, unit: deg, min: 0.1, max: 0.5}]}
skysift:
  format_version: 1
  expressions: {b.spectral.amplitude: 'a.spectral.amplitude ** 2 / 4e-11 [cm-2 s-1 TeV-1]'}
"""


def starting(model):
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in model.tree.starts.items()}


@pytest.fixture(scope="module")
def looked_at():
    return observe()


@pytest.fixture(scope="module", params=["three sources", "linked"])
def fitted(request, looked_at):
    """A model with data drawn from it, away from its optimum."""
    declared = shipped() if request.param == "three sources" else declare(LINKED)
    drawn = bind(declared, looked_at)
    counts = drawn.simulate(starting(drawn), torch.Generator().manual_seed(3))[0].reshape(drawn.cubes[0].base.shape)
    return bind(declared, looked_at, counts)


def test_derivatives_in_closed_form(fitted):
    """Gradient and information are the derivatives of the value, by differences of five points and of the gradient."""
    packed = fitted.parameters.pack(starting(fitted))[0]
    found = fitted.curvature(starting(fitted), True)
    _, gradient = fitted.log_likelihood_and_gradient(starting(fitted))
    assert torch.allclose(fitted.parameters.pack(gradient)[0], found.gradient, rtol=1e-10, atol=0)
    assert float(found.value) == pytest.approx(float(fitted.log_likelihood(starting(fitted))), rel=1e-14)
    scale = fitted.curvature(starting(fitted), False).information.diagonal().rsqrt()

    def moved(at, step):
        shifted = packed.clone()
        shifted[at] += step * 1e-3 * scale[at]
        return fitted.parameters.unpack(shifted[None])

    for at in range(len(packed)):
        steps = {step: fitted.curvature(moved(at, step), True) for step in (-2, -1, 1, 2)}
        by_value = (8 * (steps[1].value - steps[-1].value) - (steps[2].value - steps[-2].value)) / 12e-3
        assert float(by_value) == pytest.approx(float(found.gradient[at] * scale[at]), rel=1e-5, abs=1e-5)
        slopes = {step: one.gradient * scale for step, one in steps.items()}
        by_slope = (8 * (slopes[1] - slopes[-1]) - (slopes[2] - slopes[-2])) / 12e-3
        assert torch.allclose(-by_slope, found.information[at] * scale[at] * scale, atol=2e-6)


def test_expected_information_is_the_mean_of_the_observed_one(fitted):
    mean = fitted.expected(starting(fitted))[0].reshape(fitted.cubes[0].base.shape)
    exact = replace(fitted, cubes=(replace(fitted.cubes[0], counts=mean),))
    one, other = (exact.curvature(starting(fitted), observed).information for observed in (True, False))
    scale = other.diagonal().rsqrt()
    assert torch.allclose(scale[:, None] * one * scale, scale[:, None] * other * scale, atol=1e-9)


def test_links_expressions_and_frozen_values(looked_at):
    model = bind(declare(LINKED), looked_at)
    assert model.parameters.names == (
        "a.spectral.index", "a.spectral.amplitude", "a.spatial.lon_0", "b.spatial.sigma"
    )  # fmt: skip
    values = starting(model) | {"a.spectral.amplitude": torch.tensor([4e-11], dtype=torch.float64)}
    full = model.tree.resolve(values)
    assert float(full["b.spectral.amplitude"]) == pytest.approx(4e-11)
    assert full["b.spectral.index"] is full["a.spectral.index"]
    assert float(full["a.spatial.lat_0"]) == -28.9


def test_a_batch_is_its_rows(fitted):
    drawn = fitted.starting_points(3, torch.Generator().manual_seed(1))
    together, slopes = fitted.log_likelihood_and_gradient(drawn)
    for row in range(3):
        alone, slope = fitted.log_likelihood_and_gradient({name: part[row : row + 1] for name, part in drawn.items()})
        assert float(alone) == pytest.approx(float(together[row]), rel=1e-12)
        assert all(float(slope[name]) == pytest.approx(float(slopes[name][row]), rel=1e-9) for name in slope)
    assert torch.allclose(fitted.log_likelihood(drawn), together, rtol=1e-12)


def test_masked_bins_have_no_say(looked_at):
    cube = looked_at.datasets[0]
    mask = np.ones(cube.shape, dtype=bool)
    mask[:, :, 10:] = False
    masked = replace(looked_at, datasets=(replace(cube, mask=mask),))
    counts = np.ones(cube.shape)
    model, point = bind(shipped(), masked, counts), starting(bind(shipped(), masked))
    counts[~mask] = 1000.0
    other = bind(shipped(), masked, counts)
    assert float(model.log_likelihood(point)) == float(other.log_likelihood(point))
    assert torch.equal(model.curvature(point, True).information, other.curvature(point, True).information)
    whole = bind(shipped(), looked_at, counts)
    assert float(whole.log_likelihood(point)) != float(other.log_likelihood(point))


def test_the_fit_finds_what_was_drawn(fitted):
    """Every number within 5 sd of its truth: by chance outside once in 1e5 for all of them."""
    result = sequence.run(fitted, [("laplace", {"importance": 0, "draws": 10})], Stream(1))[0]
    assert all(check.colour == "green" for check in result.checks if "gain" in check.name or "definite" in check.name)
    truth = fitted.parameters.unconstrain(starting(fitted))[0]
    pulls = torch.linalg.solve_triangular(result.covariance_factor, (truth - result.mode)[:, None], upper=False)[:, 0]
    assert float(pulls.square().sum()) < 60


def test_a_free_number_without_prior_is_fitted_but_not_drawn(looked_at):
    model = bind(declare(LINKED.replace("min: 0.1, max: 0.5", "min: 0.1")), looked_at)
    assert any("b.spatial.sigma" in text for text in model.warnings)
    with pytest.raises(InputError, match="optimise"):
        model.starting_points(2, torch.Generator())
    assert float(model.starting_points(1, torch.Generator())["b.spatial.sigma"]) == 0.2


@pytest.mark.parametrize("method", ["scoring", "minuit", "scipy"])
def test_best_fit_and_errors(looked_at, method):
    """Without priors: no gradient of the likelihood in physical values, and its inverse Hessian for covariance."""
    if method == "minuit":
        import_peer("iminuit")
    text = LINKED.replace(", max: 0.5", "").replace("min: 266, max: 267", "error: 0.01").replace(", max: 1.0e-10", "")
    free = bind(declare(text), looked_at)
    counts = free.simulate(starting(free), torch.Generator().manual_seed(3))[0].reshape(free.cubes[0].base.shape)
    model = bind(declare(text), looked_at, counts)
    result = sequence.run(model, [("optimise", {"method": method, "draws": 10})], Stream(1))[0]
    assert result.is_converged
    values = {name: part[None] for name, part in model.parameters.values(result.mode).items()}
    there = model.curvature(values, True)
    covariance = torch.linalg.inv(there.information)
    assert float(there.gradient @ covariance @ there.gradient) < 1e-5
    first = torch.diag(model.parameters.derivatives(result.mode).first)
    found = first @ result.covariance_factor @ result.covariance_factor.T @ first
    # a prior flat between limits is flat inside them, but not quite towards their ends
    assert torch.allclose(found.diagonal().sqrt(), covariance.diagonal().sqrt(), rtol=1e-3)
