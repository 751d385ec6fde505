"""Spectra: integrals against quadrature, gradients against finite differences."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from skysift.errors import InputError
from skysift.sky.spectra import BrokenPowerLaw, ExponentialCutoff, LogParabola, PowerLaw, TableSpectrum

EDGES = np.geomspace(0.1, 100.0, 14)
SPECTRA = {
    "power law": (PowerLaw, [1.5, 2.3, 1.2]),
    "index one": (PowerLaw, [1.5, 1.0, 1.2]),
    "broken": (BrokenPowerLaw, [1.5, 1.7, 3.1, 2.0]),
    "cutoff": (ExponentialCutoff, [1.5, 1.4, 1.7, 0.08]),
    "log-parabola": (LogParabola, [1.5, 2.0, 0.2, 1.3]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_integrals_are_those_of_the_density(name):
    kind, values = SPECTRA[name]
    spectrum = kind(*values)
    wanted = []
    for low, high in pairwise(EDGES):
        inner = [2.0] if low < 2.0 < high else None
        wanted.append(quad(lambda e: float(spectrum.density([e])), low, high, points=inner, epsabs=0)[0])
    np.testing.assert_allclose(spectrum.integrals(EDGES), wanted, rtol=1e-10)
    np.testing.assert_allclose(spectrum.integrals(EDGES[[0, -1]]), np.sum(wanted), rtol=1e-10)


@pytest.mark.parametrize("name", SPECTRA)
def test_gradients_are_finite_differences(name):
    kind, values = SPECTRA[name]
    inputs = tuple(torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values)
    for evaluate in (lambda *v: kind(*v).integrals(EDGES), lambda *v: kind(*v).density(EDGES)):
        assert torch.autograd.gradcheck(evaluate, inputs, eps=1e-6, atol=1e-9, rtol=1e-6)


def test_power_law_is_smooth_through_index_one():
    index = torch.tensor(1.0 + np.array([-2e-3, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 2e-3]), requires_grad=True)
    flux = PowerLaw(1.0, index, 1.0).integrals([1.0, 2.0])[:, 0]
    (slope,) = torch.autograd.grad(flux.sum(), index)
    expected = [quad(lambda e, i=i: e**-i, 1, 2, epsrel=1e-13)[0] for i in index.tolist()]
    np.testing.assert_allclose(flux.detach(), expected, rtol=1e-12)
    expected = [quad(lambda e, i=i: -math.log(e) * e**-i, 1, 2, epsrel=1e-13)[0] for i in index.tolist()]
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


@pytest.mark.parametrize("name", SPECTRA)
def test_a_batch_is_its_members(name):
    kind, values = SPECTRA[name]
    others = [0.9 * value for value in values]
    batch = kind(*(torch.tensor(pair, dtype=torch.float64) for pair in zip(values, others, strict=True)))
    for method, at in (("integrals", EDGES), ("density", EDGES)):
        alone = [getattr(kind(*member), method)(at) for member in (values, others)]
        torch.testing.assert_close(getattr(batch, method)(at), torch.stack(alone), rtol=1e-14, atol=0)


def test_table_joins_points_by_power_laws():
    energies = np.geomspace(0.05, 50.0, 9)
    table = TableSpectrum(energies, 3.0 * energies**-2.2, norm=2.0)
    truth = PowerLaw(6.0, 2.2, 1.0)
    inside = np.geomspace(0.05, 50.0, 40)
    np.testing.assert_allclose(table.integrals(inside), truth.integrals(inside), rtol=1e-12)
    np.testing.assert_allclose(table.density(inside[1:-1]), truth.density(inside[1:-1]), rtol=1e-12)
    assert table.density([0.04, 51.0]).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(table.integrals([1e-3, 1e3]), truth.integrals([0.05, 50.0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("energies", "values", "field"),
    [([1, 1], [1, 1], "energies_tev, row 1"), ([1, 2], [1, 0], "densities, row 1"), ([1], [1], "points")],
)
def test_table_that_cannot_be_joined_is_refused(energies, values, field):
    with pytest.raises(InputError, match=field):
        TableSpectrum(np.array(energies, float), np.array(values, float))
