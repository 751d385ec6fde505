"""Correlation functions on the sphere: closed forms, gradients at coincidence, and where they are positive definite."""

import math

import healpy
import mpmath
import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh

from skysift.errors import InputError
from skysift.sky.gaussian_process import Projection
from skysift.sky.kernels import KERNELS, correlate, separation

ORDERS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}


def sphere(nside):
    """Pixel centres of the full sky, (P, 3)."""
    return torch.as_tensor(np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2)), 1))


@pytest.mark.parametrize("kernel", ORDERS)
def test_matern_kernels_are_bessel_functions(kernel):
    """The closed forms against the general definition, 2^(1-nu)/Gamma(nu) x^nu K_nu(x), x = sqrt(2 nu) r."""
    order = ORDERS[kernel]
    for r in (1e-3, 0.1, 1.0, 2.7, 9.0):
        x = mpmath.sqrt(2 * order) * r
        exact = 2 ** (1 - mpmath.mpf(order)) / mpmath.gamma(order) * x**order * mpmath.besselk(order, x)
        found = correlate(kernel, torch.tensor(0.3 * r, dtype=torch.float64), 0.3)
        assert float(found) == pytest.approx(float(exact), rel=1e-12)


def test_squared_exponential():
    distance = torch.tensor([0.0, 0.2, 0.6], dtype=torch.float64)
    exact = [1.0, math.exp(-0.5), math.exp(-4.5)]
    assert correlate("rbf", distance, 0.2).tolist() == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_at_zero_and_falling(kernel):
    values = correlate(kernel, torch.linspace(0.0, 3.0, 200, dtype=torch.float64), torch.tensor(0.4))
    assert values[0] == 1.0
    assert (values.diff() < 0).all()


def test_distances_are_exact():
    turn = torch.tensor([1e-6, 0.01, 1.0, math.pi / 2, math.pi - 1e-3, math.pi], dtype=torch.float64)
    pole = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    away = torch.stack([turn.sin(), torch.zeros_like(turn), turn.cos()], 1)
    torch.testing.assert_close(separation(pole, away, "geodesic")[0], turn, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(separation(pole, away)[0], 2.0 * (0.5 * turn).sin(), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(separation(pole, away)[0, 1:], 2.0 * (0.5 * turn[1:]).sin(), rtol=1e-11, atol=0)


@pytest.mark.parametrize("distance", ["chord", "geodesic"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_values_and_gradients_are_finite_where_points_coincide_or_are_antipodes(kernel, distance):
    points = sphere(2).requires_grad_()
    length = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    gram = correlate(kernel, separation(points, points.detach().clone(), distance), length)
    assert (gram.diagonal() == 1.0).all()
    weight = torch.linspace(-1.0, 1.0, len(points), dtype=torch.float64)
    pulled = torch.autograd.grad(weight @ gram @ weight.flip(0), [points, length])
    assert all(torch.isfinite(part).all() for part in pulled)


@pytest.mark.parametrize("kernel", ["matern32", "matern52", "rbf"])
def test_gradient_off_the_diagonal_is_the_derivative(kernel):
    points = sphere(1)[:4].clone().requires_grad_()
    torch.autograd.gradcheck(lambda x: correlate(kernel, separation(x, sphere(1)[6:9]), 0.7), points)


@pytest.mark.parametrize("length", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_chord_distance_is_positive_definite_on_the_full_sphere(kernel, length):
    places = sphere(8)
    gram = correlate(kernel, separation(places, places), length)
    assert float(torch.linalg.eigvalsh(gram)[0]) > -1e-11


def test_great_circle_distance_is_not():
    """A Matern 5/2 kernel of 1 rad on 3072 points: lowest eigenvalue -0.02; on chords it has a Cholesky factor."""
    places = sphere(16)
    gram = correlate("matern52", separation(places, places, "geodesic"), 1.0).numpy()
    begin = np.random.default_rng(1).normal(size=len(gram))
    (lowest,) = eigsh(gram, k=1, which="SA", tol=1e-2, v0=begin, return_eigenvectors=False)
    assert lowest == pytest.approx(-0.0218, abs=5e-4)
    chord = correlate("matern52", separation(places, places), 1.0)
    assert int(torch.linalg.cholesky_ex(chord + 1e-8 * torch.eye(len(chord)))[1]) == 0


def test_great_circle_distance_is_refused_where_it_is_indefinite():
    places = sphere(8)
    with pytest.raises(InputError, match="distance: chord") as caught:
        Projection(places[:5], places, "matern52", 1.0, "geodesic")
    assert caught.value.field == "modulate.distance"
    assert "lowest eigenvalue of K_zz -6.5" in caught.value.found
    assert Projection(places[:5], places, "matern12", 1.0, "geodesic").size == len(places)
    near = places[places[:, 0] > math.cos(math.radians(25.0))]
    on_cap = [Projection(near[:9], near, "matern52", 0.2, distance).rows(0, 9) for distance in ("chord", "geodesic")]
    assert float((on_cap[0] - on_cap[1]).abs().max()) < 0.01


def test_chord_and_great_circle_differ_little_on_the_region():
    """Correlations within 20 deg of the centre at 0.2 rad differ by less than 0.003."""
    angle = torch.linspace(0.0, math.radians(40.0), 500, dtype=torch.float64)
    chord = correlate("matern52", 2.0 * (0.5 * angle).sin(), 0.2)
    assert float((chord - correlate("matern52", angle, 0.2)).abs().max()) < 0.003


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'matern52'"):
        correlate("matern_52", torch.zeros(1), 1.0)
    with pytest.raises(InputError, match="did you mean 'geodesic'"):
        separation(sphere(1), sphere(1), "geodesics")
