"""From configured kernels to fields: which parameters appear, and what the table of projections is worth."""

import math

import healpy
import numpy as np
import pytest
import torch

from skysift.config import Modulation
from skysift.errors import InputError
from skysift.models.kernels import Grain, make_field
from skysift.parameters import Parameters
from skysift.parameters.priors import LogNormal
from skysift.sky.gaussian_process import Projection
from skysift.sky.kernels import correlate, separation


def grain(nside=16, energies=1, radius_deg=20.0):
    inside = healpy.query_disc(nside, [1.0, 0.0, 0.0], math.radians(radius_deg))
    places = torch.as_tensor(np.stack(healpy.pix2vec(nside, inside), 1))
    energy_gev = 2.0 * 2.0 ** torch.arange(energies, dtype=torch.float64)
    return Grain(places, torch.ones(len(places), dtype=torch.float64), energy_gev)


def kernel(**keys):
    return Modulation.model_validate({"lengthscale": "0.4 rad", "variance": 0.3, **keys})


def names(listed):
    return [item.name for item in listed]


def test_fixed_numbers_leave_only_the_whitened_vector():
    made = make_field("diffuse", [kernel()], grain())
    assert names(made.latent) == ["diffuse_field"]
    assert made.latent[0].block == "field"
    assert not made.hyper
    assert not made.sampled
    assert made.nodes == 1
    (term,) = made.terms
    assert term.variance == 0.3
    assert term.lengthscale is None
    assert made.latent[0].shape == (term.tables[0].size,)


@pytest.mark.parametrize(("hyper", "bucket", "nodes"), [
    ("marginalised", "hyper", 5), ("maximised", "hyper", 1), ("sampled", "sampled", 1)])  # fmt: skip
def test_hyper_parameters_go_where_the_configuration_says(hyper, bucket, nodes):
    keys = {"lengthscale": {"lognormal": ["0.5 rad", 0.2]}, "variance": {"lognormal": [0.1, 1.0]}, "hyper": hyper}
    made = make_field("diffuse", [kernel(), kernel(**keys)], grain(8))
    found = getattr(made, bucket)
    assert names(found) == ["diffuse_variance_2", "diffuse_lengthscale_2"]
    assert [item.prior for item in found] == [LogNormal(0.1, 1.0), LogNormal(0.5, 0.2)]
    assert {item.block for item in found} == {"hyper"}
    assert found[1].unit == "rad"
    assert made.nodes == nodes
    assert names(made.latent) == ["diffuse_field", "diffuse_field_2"]


def test_marginalised_settings_are_fixed_by_at():
    keys = {"lengthscale": {"lognormal": ["0.5 rad", 0.2]}, "variance": {"lognormal": [0.1, 1.0]}}
    made = make_field("glow", [kernel(**keys)], grain(8))
    values = {"glow_lengthscale": torch.tensor(0.61), "glow_variance": torch.tensor(0.2)}
    term = made.terms[0].at(values)
    exact = Projection(
        term.tables[0].pixels, made.terms[0].tables[0].points, "matern52", float(values["glow_lengthscale"])
    )
    count = len(term.tables[0].pixels)
    vector = torch.randn(1, exact.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = term.evaluate({"glow_field": vector}, 0, count)[0, 0]
    torch.testing.assert_close(found, float(values["glow_variance"]) ** 0.5 * exact.rows(0, count) @ vector[0])
    assert term.hyper_names == ()


@pytest.mark.parametrize(("sd", "bound"), [(0.5, 1e-2), (0.3, 5e-4)])
def test_between_the_tables_of_a_sampled_lengthscale(sd, bound):
    """Covariances made from interpolated projections are within the bound of exact ones, to 2.4 sd of the prior."""
    place = grain(8)
    keys = {"lengthscale": {"lognormal": ["0.6 rad", sd]}, "hyper": "sampled"}
    made = make_field("glow", [kernel(**keys)], place)
    (term,) = made.terms
    count = len(place.places)
    worst = 0.0
    for number in np.linspace(-2.4, 2.4, 9):
        length = torch.tensor([0.6 * math.exp(number * sd)], dtype=torch.float64)
        weights, _ = term.weights({"glow_lengthscale": length})
        phi = sum(float(weights[0, k]) * table.rows(0, count) for k, table in enumerate(term.tables))
        exact = Projection(place.places, term.tables[0].points, "matern52", float(length)).rows(0, count)
        worst = max(worst, float((phi @ phi.T - exact @ exact.T).abs().max()))
        assert abs(float(weights.sum()) - 1.0) < 1e-12
    assert 1e-3 * bound < worst < bound


def test_beyond_the_tables_the_lengthscale_stands_still():
    keys = {"lengthscale": {"lognormal": ["0.6 rad", 0.3]}, "hyper": "sampled"}
    (term,) = make_field("glow", [kernel(**keys)], grain(8)).terms
    lengths = torch.tensor([1e-3, 50.0], dtype=torch.float64)
    weights, slopes = term.weights({"glow_lengthscale": lengths})
    assert (slopes == 0).all()
    exact = torch.zeros(2, len(term.tables), dtype=torch.float64)
    exact[0, 0] = exact[1, -1] = 1.0
    torch.testing.assert_close(weights, exact)


def test_inducing_points_suit_the_shortest_length_that_matters():
    fixed = make_field("glow", [kernel()], grain()).terms[0].tables[0]
    moving = kernel(lengthscale={"lognormal": ["0.4 rad", 0.7]})
    assert make_field("glow", [moving], grain()).terms[0].tables[0].size > fixed.size
    sampled = kernel(lengthscale={"lognormal": ["0.4 rad", 0.7]}, hyper="sampled")
    tables = make_field("glow", [sampled], grain()).terms[0].tables
    assert all(table.check() is None for table in tables)
    assert all(table.points is tables[0].points for table in tables)


def test_every_pixel_as_inducing_point_is_exact():
    place = grain(8)
    table = make_field("glow", [kernel(inducing={"points": "all"})], place).terms[0].tables[0]
    exact = correlate("matern52", separation(place.places, place.places), 0.4)
    phi = table.rows(0, len(place.places))
    torch.testing.assert_close(phi @ phi.T, exact, rtol=0, atol=2e-8)
    assert table.check() is None


def test_learned_points_beat_the_grid_they_start_from():
    place = grain(16)
    place = Grain(place.places, torch.exp(-20.0 * (1.0 - place.places[:, 0])), place.energy_gev)
    share = place.weights / place.weights.sum()
    losses = []
    for learn in (False, True):
        made = make_field("glow", [kernel(inducing={"spacing": 0.6, "learn": learn})], place)
        losses.append(float(share @ made.terms[0].tables[0].loss()))
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.parametrize("energies", ["shared", "independent", "separable"])
def test_covariance_between_energies(energies):
    """The field's covariance is that of the sky times that of the energies, for each choice."""
    place = grain(4, energies=3, radius_deg=40.0)
    made = make_field("glow", [kernel(energies=energies, energy_lengthscale=1.5)], place)
    (term,) = made.terms
    count, shape = len(place.places), made.latent[0].shape
    size = math.prod(shape)
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    response = term.evaluate({"glow_field": basis}, 0, count).expand(-1, 3, -1)
    covariance = torch.einsum("kep,kfq->epfq", response, response)
    phi = term.tables[0].rows(0, count)
    apart = place.energy_gev.log()[:, None] - place.energy_gev.log()
    between = {
        "shared": torch.ones(3, 3, dtype=torch.float64),
        "independent": torch.eye(3, dtype=torch.float64),
        "separable": correlate("matern52", apart.abs(), 1.5),
    }[energies]
    exact = torch.einsum("ef,pq->epfq", between, 0.3 * phi @ phi.T)
    torch.testing.assert_close(covariance, exact, rtol=1e-9, atol=1e-9)


def test_one_energy_bin_needs_no_energy_kernel():
    (term,) = make_field("glow", [kernel(energies="separable")], grain(4, radius_deg=40.0)).terms
    assert term.mixing is None


def test_a_lossy_grid_is_announced_and_a_poor_one_refused():
    place = grain(16)
    with pytest.raises(InputError, match="prior variance left out") as caught:
        make_field("glow", [kernel(kernel="matern12", inducing={"spacing": 0.6})], place)
    assert caught.value.exit_code == 2
    made = make_field("glow", [kernel(kernel="matern32", inducing={"spacing": 0.6})], place)
    assert any("glow: inducing points leave out" in text for text in made.warnings)
    assert not make_field("glow", [kernel()], place).warnings


def test_parameters_of_two_kernels_fit_in_one_collection():
    made = make_field("glow", [kernel(), kernel(lengthscale="0.2 rad")], grain())
    assert Parameters(made.latent).names == ("glow_field", "glow_field_2")
