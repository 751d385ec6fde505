"""Profiles of lenses: limits, derivatives against finite differences at all the places where formulas break."""

import math

import pytest
import torch
from tests.sky.lens_profiles import LIGHT_RANGES, MASS_RANGES, draw_values, lift, tensor

from skysift.errors import InputError
from skysift.sky.lenses import LIGHTS, MASSES, count_terms, distort, find_light, find_mass
from skysift.sky.lenses.nfw import nfw_convergence
from skysift.sky.lenses.power_law import epl_convergence, epl_deflection, epl_potential
from skysift.sky.lenses.power_series import sum_series
from skysift.sky.lenses.sersic import half_light_constant, sersic_brightness
from skysift.sky.lenses.shapelets import shapelet_basis

SETTINGS = {"soft": 1e-3, "terms": 60, "order": 3, "half_light": "linear"}
#: places where a formula divides by zero: round, isothermal, at the scale radius, pure Gaussian, without a core
SINGULAR = {
    "e1": 0.0, "e2": 0.0, "gamma": 2.0, "scale_radius": 0.5, "truncation_radius": 0.5,
    "index": 0.5, "slope": 0.0, "x": 0.0, "y": 0.0, "g1": 0.0, "g2": 0.0,
}  # fmt: skip


def evaluate(name, values, x, y):
    """All numbers that a profile gives at points, one tensor."""
    if name in MASSES:
        return torch.stack(find_mass(name).deflect(x, y, lift(values), SETTINGS), 1)
    return find_light(name).basis(x, y, lift(values), SETTINGS)


def points():
    """Among others the centre, its neighbourhood, and X = 1 for scale radii of one half."""
    return tensor(0.0, 2e-3, 0.5, 0.3, -1.3)[None, None], tensor(0.0, 1e-3, 0.0, 0.4, 0.7)[None, None]


def middle(ranges, singular):
    values = {name: tensor(0.4 * low + 0.6 * high) for name, (low, high) in ranges.items()}
    return {name: tensor(SINGULAR[name]) if singular and name in SINGULAR else one for name, one in values.items()}


@pytest.mark.parametrize("singular", [False, True], ids=["generic", "singular"])
@pytest.mark.parametrize("name", [*MASSES, *LIGHTS])
def test_derivatives_of_both_modes_are_those_of_finite_differences(name, singular):
    values = middle((MASS_RANGES | LIGHT_RANGES)[name], singular)
    names = list(values)
    x, y = points()
    base = torch.cat([values[one] for one in names])

    def function(vector):
        return evaluate(name, {one: vector[k : k + 1] for k, one in enumerate(names)}, x, y).flatten()

    reverse = torch.autograd.functional.jacobian(function, base)
    steps = 1e-5 * torch.eye(len(names), dtype=torch.float64)
    found = torch.stack([
        (8.0 * (function(base + step) - function(base - step)) - function(base + 2 * step) + function(base - 2 * step))
        / (12.0 * step.sum())
        for step in steps
    ], 1)  # fmt: skip
    assert torch.isfinite(reverse).all()
    scale = found.abs().amax(0).clamp_min(1e-3)
    assert float(((reverse - found).abs() / scale).max()) < 1e-6
    # forward: how data follow each number, by the transpose of the pull-back, as engines take it
    point = base.clone().requires_grad_()
    data = function(point)
    dummy = torch.zeros_like(data, requires_grad=True)
    (pulled,) = torch.autograd.grad(data, point, dummy, create_graph=True)
    forward = torch.stack([torch.autograd.grad(one, dummy, retain_graph=True)[0] for one in pulled], 1)
    torch.testing.assert_close(forward, reverse, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [*MASSES, *LIGHTS])
def test_second_derivatives_are_finite_and_symmetric(name):
    values = middle((MASS_RANGES | LIGHT_RANGES)[name], True)
    names, (x, y) = list(values), points()

    def total(vector):
        found = evaluate(name, {one: vector[k : k + 1] for k, one in enumerate(names)}, x, y).flatten()
        return (found * torch.linspace(0.3, 1.0, len(found), dtype=torch.float64)).sum()

    hessian = torch.autograd.functional.hessian(total, torch.cat([values[one] for one in names]))
    assert torch.isfinite(hessian).all()
    torch.testing.assert_close(hessian, hessian.T, rtol=1e-8, atol=1e-8 * float(hessian.abs().max()))


def test_series_is_the_sum_of_powers():
    generator = torch.Generator().manual_seed(3)
    real, imaginary, a = (
        torch.rand(shape, generator=generator).double() - 0.5 for shape in ((2, 3, 4),) * 2 + ((2, 7),)
    )
    z = torch.complex(real, imaginary)
    exact = sum(a[:, n, None, None] * z**n for n in range(7))
    found = torch.complex(*sum_series(real, imaginary, a))
    assert float((found - exact).abs().max()) < 1e-14
    inputs = tuple(part.requires_grad_() for part in (real, imaginary, a))
    assert torch.autograd.gradcheck(sum_series, inputs)
    assert torch.autograd.gradgradcheck(sum_series, inputs)


def test_terms_leave_the_error_that_was_asked_for():
    x, y = points()
    for c in (0.1, 0.3, 0.6):
        values = lift({"theta_e": tensor(1.0), "gamma": tensor(1.7), "e1": tensor(0.6 * c), "e2": tensor(-0.8 * c)})
        few, many = (
            torch.stack(epl_deflection(x, y, **values, soft=1e-6, terms=n)) for n in (count_terms(c, 1e-7), 200)
        )
        assert 0.0 < float((few - many).abs().max()) < 1e-7


def test_a_power_law_is_the_divergence_of_its_deflection_and_gradient_of_its_potential():
    values = draw_values(MASS_RANGES["epl"], 5, 4)
    values = lift({name: value for name, value in values.items() if name not in "xy"})
    x, y = (torch.linspace(-1.7, 1.6, 7).double()[None, None], torch.linspace(-1.2, 1.5, 6).double()[None, :, None])
    x, y = (part.expand(5, 6, 7) for part in (x, y))
    found = distort(lambda x, y: epl_deflection(x, y, **values, soft=1e-8, terms=80), x, y)
    exact = epl_convergence(x, y, **values, soft=1e-8)
    torch.testing.assert_close(found.convergence, exact, rtol=1e-9, atol=1e-9)
    assert float(found.rotation.abs().max()) < 1e-9
    x, y = (part.clone().requires_grad_() for part in (x, y))
    slopes = torch.autograd.grad(epl_potential(x, y, **values, soft=1e-8, terms=80).sum(), (x, y))
    for slope, part in zip(slopes, epl_deflection(x, y, **values, soft=1e-8, terms=80), strict=True):
        torch.testing.assert_close(slope, part.detach(), rtol=1e-8, atol=1e-8)


def test_an_isothermal_sphere_deflects_by_its_einstein_radius():
    x, y = tensor(0.3, -1.0)[None, None], tensor(0.4, 2.0)[None, None]
    for name in ("epl", "sie", "sis"):
        values = middle(MASS_RANGES[name], True) | {"theta_e": tensor(1.3)}
        along, across = find_mass(name).deflect(x, y, lift(values), {"soft": 1e-9})
        torch.testing.assert_close(torch.hypot(along, across), torch.full_like(along, 1.3), rtol=1e-12, atol=0.0)


def test_halos_are_the_divergence_of_their_deflection_and_agree_without_truncation():
    values = middle(MASS_RANGES["nfw"], True)
    x = torch.cat([torch.logspace(-3, 1, 30).double(), 0.5 * tensor(1.0, 1.0 + 1e-9, 0.99, 1.03)])[None, None]
    given = lift({name: values[name] for name in ("scale_radius", "alpha_rs")})
    found = distort(lambda x, y: find_mass("nfw").deflect(x, y, lift(values), {"soft": 1e-9}), x, 0.0 * x)
    exact = nfw_convergence(x, 0.0 * x, **given, soft=1e-9)
    torch.testing.assert_close(found.convergence, exact, rtol=1e-7, atol=1e-9)
    endless = lift(values | {"truncation_radius": tensor(1e5)})
    whole = find_mass("nfw").deflect(x, 0.0 * x, lift(values), {"soft": 1e-9})[0]
    torch.testing.assert_close(
        find_mass("truncated_nfw").deflect(x, 0.0 * x, endless, {"soft": 1e-9})[0], whole, rtol=1e-6, atol=1e-12
    )


def test_half_of_the_light_is_within_the_half_light_radius():
    for index, kind, within in ((1.0, "series", 2e-4), (4.0, "series", 1e-3), (4.0, "linear", 5e-3)):
        b = float(half_light_constant(tensor(index), kind))
        assert abs(float(torch.special.gammainc(tensor(2.0 * index), tensor(b))) - 0.5) < within
    one = sersic_brightness(
        tensor(0.5)[None, None], tensor(0.0)[None, None], radius=tensor(0.5), index=tensor(3.0), soft=1e-9
    )
    assert float(one) == pytest.approx(1.0, abs=1e-12)


def test_shapelets_are_orthonormal():
    axis = torch.linspace(-12.0, 12.0, 241, dtype=torch.float64)
    basis = shapelet_basis(axis[None, None], axis[None, :, None], beta=tensor(1.0)[:, None, None], order=6)[0]
    gram = torch.einsum("kyx,lyx->kl", basis, basis) * 0.1**2
    torch.testing.assert_close(gram, torch.eye(28, dtype=torch.float64), rtol=0.0, atol=1e-10)


def test_there_is_no_ellipse_of_negative_axis_ratio():
    values = middle(MASS_RANGES["epl"], False) | {"e1": tensor(0.9), "e2": tensor(0.6)}
    assert torch.isnan(evaluate("epl", values, *points())).all()


def test_unknown_profiles_are_named():
    for find in (find_mass, find_light):
        with pytest.raises(InputError, match="sersik"):
            find("sersik")


def test_magnification_is_infinite_on_the_einstein_ring():
    values = lift({"theta_e": tensor(1.0), "x": tensor(0.0), "y": tensor(0.0)})
    angle = torch.linspace(0.0, 2.0 * math.pi, 9).double()[None, None]
    for radius, is_inside in ((0.9, True), (1.1, False)):
        found = distort(
            lambda x, y: find_mass("sis").deflect(x, y, values, {"soft": 1e-9}),
            radius * angle.cos(),
            radius * angle.sin(),
        )
        assert bool((found.inverse_magnification < 0).all()) == is_inside
