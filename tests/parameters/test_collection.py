"""Named parameters and their flat vectors."""

import pytest
import torch

from skysift.errors import InputError
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Dirichlet, LogNormal, LogUniform, Normal, OrderedBreaks, StandardNormal, Uniform

BATCHES = [(), (0,), (1,), (7,), (2, 3), (0, 4)]


def scalars():
    return [
        Parameter("diffuse_norm", LogNormal(12.3, 0.5), (2,)),
        Parameter("gce_norm", Uniform(0.0, 1.5), unit="1", label="GCE"),
        Parameter("bubbles_norm", Normal(0.5, 0.1, low=0.0)),
        Parameter("diffuse_field", StandardNormal(), (40,), block="field"),
        Parameter("diffuse_lengthscale", LogUniform(0.1, 1.0), block="hyper"),
    ]


@pytest.fixture
def parameters():
    coupled = [
        Parameter("fractions", Dirichlet((1.0, 2.0, 0.5)), (2, 3)),
        Parameter("breaks", OrderedBreaks(LogUniform(1.0, 100.0), 3)),
    ]
    return Parameters([*scalars(), *coupled])


def test_sizes(parameters):
    assert parameters.size == 2 + 1 + 1 + 40 + 1 + 4 + 3
    assert parameters.cube_size == parameters.size
    assert parameters.packed_size == parameters.size + 2
    assert parameters["breaks"].shape == (3,)
    assert [parameters.slices[name].start for name in parameters.names] == [0, 2, 3, 4, 44, 45, 49]
    assert len(parameters.element_names()) == parameters.size
    assert parameters.element_names()[1:4] == ["diffuse_norm[1]", "gce_norm", "bubbles_norm"]
    assert int(parameters.block_mask("field").sum()) == 40


@pytest.mark.parametrize("batch", BATCHES)
def test_pack_and_unpack_are_inverse(parameters, batch):
    packed = torch.rand(*batch, parameters.packed_size, dtype=torch.float64)
    values = parameters.unpack(packed)
    for item in parameters:
        assert values[item.name].shape == (*batch, *item.shape)
    assert torch.equal(parameters.pack(values), packed)


@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_shape(parameters, batch):
    z = torch.randn(*batch, parameters.size, dtype=torch.float64)
    values = parameters.values(z)
    for item in parameters:
        assert values[item.name].shape == (*batch, *item.shape)
    torch.testing.assert_close(parameters.unconstrain(values), z, rtol=1e-9, atol=1e-9)
    for density in (parameters.log_density(z), parameters.log_jacobian(z), parameters.log_prior(values)):
        assert density.shape == batch
    u = torch.rand(*batch, parameters.cube_size, dtype=torch.float64)
    assert parameters.from_cube(u)["fractions"].shape == (*batch, 2, 3)


def test_density_is_prior_times_jacobian(parameters):
    z = torch.randn(6, parameters.size, dtype=torch.float64)
    expected = parameters.log_prior(parameters.values(z)) + parameters.log_jacobian(z)
    torch.testing.assert_close(parameters.log_density(z), expected)


def test_density_of_a_row_does_not_depend_on_the_batch(parameters):
    z = torch.randn(6, parameters.size, dtype=torch.float64)
    alone = torch.cat([parameters.log_density(row[None]) for row in z])
    torch.testing.assert_close(parameters.log_density(z), alone, rtol=1e-14, atol=1e-12)


def test_draws_are_those_of_the_prior_and_repeat(parameters):
    first, second = (parameters.draw(500, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in parameters.names)
    assert torch.isfinite(parameters.log_prior(first)).all()
    assert abs(float(first["diffuse_field"].mean())) < 5 / (500 * 40) ** 0.5


def test_derivatives_against_autograd():
    parameters = Parameters(scalars())
    z = torch.randn(parameters.size, dtype=torch.float64)
    found = parameters.derivatives(z)
    jacobian = torch.autograd.functional.jacobian(lambda point: parameters.pack(parameters.values(point)), z)
    hessian = torch.autograd.functional.hessian(parameters.log_density, z)
    bends = torch.autograd.functional.hessian(lambda point: parameters.pack(parameters.values(point)).sum(), z)
    (slope,) = torch.autograd.grad(parameters.log_density(point := z.clone().requires_grad_()), point)
    torch.testing.assert_close(torch.diag(found.first), jacobian)
    torch.testing.assert_close(torch.diag(found.second), bends)
    torch.testing.assert_close(found.gradient, slope)
    torch.testing.assert_close(torch.diag(found.curvature), -hessian)


def test_derivatives_refuse_coupled_priors(parameters):
    assert not parameters.is_elementwise
    with pytest.raises(InputError, match="fractions"):
        parameters.derivatives(torch.zeros(parameters.size, dtype=torch.float64))


@pytest.mark.parametrize("listed", [[], [Parameter("a", StandardNormal()), Parameter("a", StandardNormal())]])
def test_names_are_needed_and_differ(listed):
    with pytest.raises(InputError, match="names"):
        Parameters(listed)


def test_unknown_name_suggests_the_nearest(parameters):
    with pytest.raises(InputError, match="gce_norm"):
        parameters["gce_nrom"]
    assert "gce_norm" in parameters
    assert len(parameters) == 7


def test_shape_must_end_in_the_size_of_the_prior():
    with pytest.raises(InputError, match="ends in 3"):
        Parameter("fractions", Dirichlet((1.0, 1.0, 1.0)), (2,))


def test_outside_the_support_is_impossible():
    parameters = Parameters([Parameter("a", Uniform(0.0, 1.0), (3,))])
    inside = torch.full((2, 3), 0.5, dtype=torch.float64)
    inside[1, 2] = 1.5
    assert parameters.log_prior({"a": inside}).tolist() == [0.0, -torch.inf]
