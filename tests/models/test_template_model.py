"""Template models of every kind against plain torch expressions, and blind to how the pixels are cut."""

import dataclasses

import healpy
import numpy as np
import pytest
import torch
from tests.contracts.model_contract import ModelContract
from tests.models.skies import PIXELS, SKIES, hand_phi, make, plain_expected, plain_log_likelihood
from torch.utils._python_dispatch import TorchDispatchMode

from skysift.models import template as template_module
from skysift.models.fields import Field, Term
from skysift.models.template import Component, TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, StandardNormal
from skysift.sky import gaussian_process


def point(model, seed=0):
    """A packed point off the middle of the prior, (D,)."""
    generator = torch.Generator().manual_seed(seed)
    cube = 0.2 + 0.6 * torch.rand(1, model.parameters.cube_size, generator=generator, dtype=torch.float64)
    return model.parameters.pack(model.parameters.from_cube(cube))[0]


def batch(model, rows, seed=0):
    return model.parameters.unpack(torch.stack([point(model, seed + k) for k in range(rows)]))


@pytest.mark.parametrize("kind", SKIES)
class TestTemplateModel(ModelContract):
    simulations = 200

    @pytest.fixture(autouse=True)
    def _choose(self, kind):
        self.kind = kind

    def make(self):
        return make(self.kind)

    def test_value_and_gradient_against_plain_torch(self):
        model = self.make()
        at = point(model).requires_grad_()
        plain = plain_log_likelihood(model, at)
        (slope,) = torch.autograd.grad(plain, at)
        at = at.detach()
        value, slopes = model.log_likelihood_and_gradient(model.parameters.unpack(at[None]))
        torch.testing.assert_close(value[0], plain.detach(), rtol=1e-11, atol=1e-9)
        torch.testing.assert_close(model.parameters.pack(slopes)[0], slope, rtol=1e-8, atol=1e-8)

    def test_closed_curvature_against_autograd(self):
        model = self.make()
        at = point(model)
        values = {name: value[0] for name, value in model.parameters.unpack(at[None]).items()}
        found = {flag: model.curvature(model.parameters.unpack(at[None]), flag) for flag in (True, False)}
        mean = plain_expected(model, values).flatten()
        jacobian = torch.autograd.functional.jacobian(
            lambda one: plain_expected(
                model, {name: value[0] for name, value in model.parameters.unpack(one[None]).items()}
            ).flatten(),
            at,
        )
        fisher = jacobian.T @ (jacobian / mean[:, None])
        torch.testing.assert_close(found[False].information, fisher, rtol=1e-8, atol=1e-7)
        # models that sample kernel settings have no closed Hessian and answer with the Fisher matrix
        hessian = -torch.autograd.functional.hessian(lambda one: plain_log_likelihood(model, one), at)
        exact = fisher if self.kind == "sampled" else hessian
        torch.testing.assert_close(found[True].information, exact, rtol=1e-8, atol=1e-7)
        for one in found.values():
            torch.testing.assert_close(one.value, plain_log_likelihood(model, at), rtol=1e-11, atol=1e-9)
            slope = torch.autograd.functional.jacobian(lambda one: plain_log_likelihood(model, one), at)
            torch.testing.assert_close(one.gradient, slope, rtol=1e-8, atol=1e-7)
            torch.testing.assert_close(one.information, one.information.T, rtol=1e-12, atol=1e-9)

    def test_component_counts_add_up(self):
        model = self.make()
        values = batch(model, 3)
        parts = model.component_counts(values)
        assert list(parts) == [item.name for item in model.components]
        torch.testing.assert_close(sum(parts.values()), model.expected(values), rtol=1e-13, atol=1e-12)

    def test_modulation_is_counts_over_counts_of_the_bare_template(self):
        model = self.make()
        values = batch(model, 2)
        parts, factors = model.component_counts(values), model.modulation(values)
        assert set(factors) == {item.name for item in model.components if item.field is not None}
        for item in model.components:
            bare = (item.amplitude(values) * item.template).expand(2, -1, -1)
            lit = parts[item.name].reshape(bare.shape)
            torch.testing.assert_close(bare * factors.get(item.name, 1.0), lit, rtol=1e-12, atol=1e-12)

    def test_order_of_components_is_irrelevant(self):
        model = self.make()
        values = batch(model, 2)
        turned = dataclasses.replace(model, components=model.components[::-1])
        torch.testing.assert_close(turned.log_likelihood(values), model.log_likelihood(values), rtol=1e-12, atol=0)
        first, second = (one.curvature(batch(model, 1), True) for one in (model, turned))
        torch.testing.assert_close(first.information, second.information, rtol=1e-10, atol=1e-9)

    def test_second_derivatives_by_autograd_are_refused(self):
        model = self.make()
        at = point(model)[None].requires_grad_()
        (slope,) = torch.autograd.grad(model.log_likelihood(model.parameters.unpack(at)).sum(), at, create_graph=True)
        with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
            torch.autograd.grad(slope.sum(), at)


def answers(model):
    """Everything that a model computes by going through its pixels."""
    values = batch(model, 3)
    likelihood, slopes = model.log_likelihood_and_gradient(values)
    curvature = model.curvature(batch(model, 1), True)
    parts = [likelihood, model.parameters.pack(slopes), *curvature, model.expected(values)]
    return [*parts, *model.component_counts(values).values(), *model.modulation(values).values()]


def assert_same(found, wanted, tolerance=1e-10):
    for mine, other in zip(found, wanted, strict=True):
        scale = float(other.abs().max())
        assert float((mine - other).abs().max()) <= tolerance * max(scale, 1.0)


@pytest.mark.parametrize("kind", ["rigid", "two scales", "sampled", "everything"])
def test_blocks_and_streaming_do_not_change_answers(kind, monkeypatch):
    wanted = answers(make(kind))
    monkeypatch.setattr(template_module, "LEAST_BLOCK", 7)
    monkeypatch.setattr(template_module, "BLOCK_BYTES", 1)
    assert len(list(make(kind)._blocks(3))) == -(-PIXELS // 7)
    assert_same(answers(make(kind)), wanted)
    monkeypatch.setattr(gaussian_process, "CACHE_BYTES", 0)
    streamed = make(kind)
    assert all(
        table.cached is None for item in streamed.fields.values() for term in item.terms for table in term.tables
    )
    assert_same(answers(streamed), wanted)
    monkeypatch.setattr(gaussian_process, "STREAM_BYTES", 2000)
    assert len(list(streamed._blocks(3))) > -(-PIXELS // 7) or kind == "rigid"
    assert_same(answers(streamed), wanted)


class Largest(TorchDispatchMode):
    """Remember the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for one in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.numel())
        return result


def full_sky():
    """A modulated template on 12288 pixels with 192 inducing points."""
    places = torch.as_tensor(np.stack(healpy.pix2vec(32, np.arange(12 * 32**2)), 1))
    grid = torch.as_tensor(gaussian_process.inducing_points(places.numpy(), 1.0))
    term = Term(
        "sky_field", (gaussian_process.Projection(places, grid, "matern52", 1.0),), torch.zeros(1).double(), 0.1
    )
    flat = torch.ones(1, len(places), dtype=torch.float64)
    vector = Parameter("sky_field", StandardNormal(), (len(grid),), block="field")
    parameters = Parameters([Parameter("sky_norm", LogNormal(1.0, 0.5)), vector])
    return TemplateModel(parameters, 2.0 * flat, (Component("sky", flat, "sky_norm", "sky"),), {"sky": Field((term,))})


def test_a_full_sky_never_holds_pixels_times_pixels_nor_the_whole_projection(monkeypatch):
    monkeypatch.setattr(gaussian_process, "CACHE_BYTES", 2**20)
    monkeypatch.setattr(gaussian_process, "STREAM_BYTES", 2**23)
    with Largest() as seen:
        model = full_sky()
        model.log_likelihood_and_gradient(batch(model, 1))
        model.curvature(batch(model, 1))
    points = model.parameters["sky_field"].shape[0]
    assert points == 192
    assert 910 * points == seen.numbers < model.pixel_count * points / 10


def test_threads_do_not_change_answers():
    """On arrays long enough for torch to share them out."""
    model, before = full_sky(), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            likelihood, slopes = model.log_likelihood_and_gradient(batch(model, 4))
            curvature = model.curvature(batch(model, 1))
            found.append([likelihood, model.parameters.pack(slopes), *curvature])
    finally:
        torch.set_num_threads(before)
    assert_same(found[1], found[0])


@pytest.mark.statistics
def test_minibatches_estimate_the_full_likelihood(seed):
    """Each batch is unbiased: the mean of 400 lies within 4.5 errors of it (7e-6); without N/B it must not."""
    model = make("one field")
    values = batch(model, 1)
    full = float(model.log_likelihood(values)[0])
    generator = torch.Generator().manual_seed(seed)
    parts = [model.minibatch(20, generator) for _ in range(400)]
    assert all(part.pixel_count == 20 for part in parts)
    found = torch.cat([part.log_likelihood(values) for part in parts])
    error = float(found.std()) / 20.0
    assert abs(float(found.mean()) - full) < 4.5 * error
    assert abs(float(found.mean()) / 3.0 - full) > 20.0 * error, "the control passed: the test is blind"


@pytest.mark.parametrize("kind", ["coarse", "two scales", "everything"])
def test_minibatch_gradient_and_curvature_are_scaled_sums_of_its_pixels(kind):
    model = make(kind)
    values = batch(model, 1)
    index = torch.tensor([3, 8, 9, 21, 40])
    part = model.take(index, 12.0)
    at = model.parameters.pack(values)[0].requires_grad_()
    plain = 12.0 * plain_log_likelihood(part, at)
    (slope,) = torch.autograd.grad(plain, at)
    value, slopes = part.log_likelihood_and_gradient(values)
    torch.testing.assert_close(value[0], plain.detach(), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(part.parameters.pack(slopes)[0], slope, rtol=1e-8, atol=1e-7)
    torch.testing.assert_close(part.curvature(values).gradient, slope, rtol=1e-8, atol=1e-7)


def test_a_minibatch_of_everything_is_everything():
    model = make("everything")
    values = batch(model, 2)
    whole = model.minibatch(PIXELS, torch.Generator().manual_seed(1))
    torch.testing.assert_close(whole.log_likelihood(values), model.log_likelihood(values), rtol=1e-12, atol=0)


def test_context_is_what_it_says():
    model = make("two fields")
    values = batch(model, 3)
    templates = torch.stack([item.template.sum(0) for item in model.components])
    shares = templates / templates.sum(1, keepdim=True)
    rows = []
    for name in ("glow", "haze"):
        factor = torch.exp(model.fields[name].evaluate(values, 0, PIXELS))[:, 0]
        rows += [factor @ shares.T, factor.mean(1, keepdim=True), factor.std(1, keepdim=True)]
    found = model.context(values)
    assert found.shape == (3, 2 * (len(model.components) + 2))
    torch.testing.assert_close(found, torch.cat(rows, 1), rtol=1e-12, atol=1e-12)


def test_context_on_super_pixels_keeps_the_templates_weights():
    model = make("coarse")
    groups = model.fields["glow"].groups
    grouped = dataclasses.replace(model, groups=groups)
    values = batch(model, 2)
    # the field is constant over these super-pixels: template sums do not change, only plain means over pixels do
    assert groups.bincount().unique().tolist() == [4]
    count = len(model.components)
    torch.testing.assert_close(grouped.context(values)[:, : count + 1], model.context(values)[:, : count + 1])


def test_starting_points_begin_at_the_rigid_norms():
    model = dataclasses.replace(make("one field"), norm_starts={"flat_norm": torch.tensor(2.5, dtype=torch.float64)})
    starts = model.starting_points(50, torch.Generator().manual_seed(1))
    assert starts["flat_norm"][0] == 2.5
    assert 0.05 < float((starts["flat_norm"] / 2.5).log().std()) < 0.2
    assert (starts["glow_field"] == 0).all()
    torch.testing.assert_close(starts["slope_norm"], torch.full((50,), 3.0, dtype=torch.float64))


def test_impossible_values_are_minus_infinity_with_a_zero_push():
    model = make("rigid")
    values = {"flat_norm": torch.tensor([-50.0, 2.0]), "slope_norm": torch.tensor([3.0, 3.0])}
    values = {name: value.double() for name, value in values.items()}
    value, slopes = model.log_likelihood_and_gradient(values)
    assert value[0] == -torch.inf
    assert torch.isfinite(value[1])
    assert all(torch.isfinite(slope).all() for slope in slopes.values())


def test_phi_is_the_textbook_projection():
    table = make("one field").fields["glow"].terms[0].tables[0]
    torch.testing.assert_close(table.rows(0, PIXELS), hand_phi(table), rtol=1e-7, atol=1e-8)
