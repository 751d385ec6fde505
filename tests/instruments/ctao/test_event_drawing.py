"""Events drawn through a response, against its fold and direct integrals; false failures of one in 10 000 per test."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tests.instruments.ctao.small_field import (
    SEEN,
    background,
    chi_square,
    disc_of_light,
    irf,
    make_observation,
    make_response,
    point,
    spectrum,
)

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.instruments.ctao import Axes, Pointing
from skysift.instruments.ctao.background_counts import integrate_background
from skysift.instruments.ctao.drawing import SHARES, Source, draw_background, draw_shares, draw_source
from skysift.sky.light import Light
from skysift.sky.shapes import Disk, Gaussian, Ring, Shell
from skysift.streams import numpy_stream

pytestmark = pytest.mark.statistics
TRIES = 60_000
LEAST = 1e-4


@pytest.fixture(scope="module")
def observation():
    return make_observation()


@pytest.fixture(scope="module")
def response(observation):
    return make_response(observation)


def fold(light, observation, response):
    pointing = observation.pointings[0]
    cube = response.fold((light.cube * response.area_cm2 * pointing.live_time_s)[:, :, None])[..., 0]
    for (lon, lat), flux in zip(light.points_deg, light.point_flux, strict=True):
        counts = flux * response.area_at(lon, lat) * pointing.live_time_s
        cube = cube + response.fold_point(lon, lat, counts[:, None])[..., 0]
    return cube


def draw(light, observation, seed, *names, count=TRIES):
    pointing = observation.pointings[0]
    source = Source.of(light, irf(), observation.true, pointing)
    drawn = draw_source(source, irf(), pointing, draw_shares(numpy_stream(seed, *names), 0, count, SHARES))
    return source, drawn


@pytest.mark.parametrize("make", [disc_of_light, point], ids=["extended", "point"])
def test_histogram_of_a_source_is_its_fold(observation, response, seed, make):
    light = make(observation)
    source, drawn = draw(light, observation, seed, "source", make.__name__)
    inside = drawn.take(drawn.inside(SEEN))
    expected = fold(light, observation, response)
    assert chi_square(inside, expected) > LEAST
    # a source 0.05 deg away must be told from it
    moved = fold(make(observation, 0.25, -0.15), observation, response)
    assert chi_square(inside, moved) < 1e-6
    # and how many are seen at all
    share = expected.sum() / (source.total * observation.pointings[0].live_time_s)
    assert stats.binomtest(len(inside.energy), TRIES, share).pvalue > LEAST


def test_true_energies_and_directions_are_those_of_the_light(observation, seed):
    light = disc_of_light(observation)
    source, drawn = draw(light, observation, seed, "true")
    cells = observation.true.find(drawn.true_energy, drawn.true_lon, drawn.true_lat)
    assert (cells >= 0).all()
    energies = np.bincount(cells // observation.true.grid.size, minlength=observation.true.energy.size)
    wanted = np.diff(source.running, prepend=0.0).reshape(observation.true.shape).sum(1)
    kept = wanted / wanted.sum() * TRIES > 10
    rest = wanted[~kept].sum(), energies[~kept].sum()
    seen, model = np.append(energies[kept], rest[1]), np.append(wanted[kept], rest[0])
    assert stats.chisquare(seen, model / model.sum() * TRIES).pvalue > LEAST


def light_of(shape, observation):
    """The light of a shape, whose events are drawn from itself."""
    flux = spectrum(observation)
    return Light(shape.integrate(observation.true.grid)[None]).with_spectrum(flux), ((shape, flux),)


def chance_of_squares(light, observation, seed, sigma):
    """The p-value of distances of true places from the centre of a Gaussian."""
    _, drawn = draw(light, observation, seed, "narrow", count=8000)
    kept = np.isfinite(drawn.true_energy)
    apart = angular_separation_deg(unit_vectors(drawn.true_lon[kept], drawn.true_lat[kept]), unit_vectors(0.21, -0.13))
    return stats.kstest(-np.expm1(-0.5 * (apart / sigma) ** 2), "uniform").pvalue


def test_true_places_of_a_narrow_gaussian_are_continuous(observation, seed):
    light, shapes = light_of(Gaussian(0.21, -0.13, 0.03), observation)
    assert chance_of_squares(replace(light, shapes=shapes), observation, seed, 0.03) > LEAST
    # the controls: pixels in place of the shape, and a shape of another width
    assert chance_of_squares(light, observation, seed, 0.03) < 1e-8
    assert chance_of_squares(replace(light, shapes=shapes), observation, seed, 0.033) < 1e-6


@pytest.mark.parametrize(
    "shape",
    [
        Gaussian(0.9, 0.1, 0.3, 0.5, 30.0), Gaussian(3.1, 0.2, 0.35), Disk(360.3, 1.4, 0.9), Ring(0.1, -0.2, 0.3, 0.5),
        Shell(-1.2, 0.1, 0.4, 0.5),
    ],
    ids=["gaussian", "gaussian outside", "disk", "ring", "shell"],
)  # fmt: skip
def test_events_of_a_shape_are_as_many_and_where_its_cube_says(observation, seed, shape):
    light, shapes = light_of(shape, observation)
    pixelwise = Source.of(light, irf(), observation.true, observation.pointings[0])
    source, drawn = draw(replace(light, shapes=shapes), observation, seed, "shape", str(shape))
    kept = np.isfinite(drawn.true_energy)
    assert stats.binomtest(int(kept.sum()), TRIES, pixelwise.total / source.total).pvalue > LEAST
    wanted = np.diff(pixelwise.running, prepend=0.0).reshape(observation.true.shape)
    true = drawn.take(kept)._replace(energy=drawn.true_energy[kept], lon=drawn.true_lon[kept], lat=drawn.true_lat[kept])
    assert chi_square(true, wanted, observation.true) > LEAST
    assert chi_square(true, np.roll(wanted, 1, axis=1), observation.true) < 1e-6


def test_point_source_stays_at_its_exact_place(observation, seed):
    _, drawn = draw(point(observation), observation, seed, "place", count=100)
    assert np.unique(drawn.true_lon).tolist() == [-0.31]
    assert np.unique(drawn.true_lat).tolist() == [0.22]


def test_distance_from_a_point_is_that_of_the_point_spread_function(observation, seed):
    _, drawn = draw(point(observation), observation, seed, "psf", count=4000)
    apart = angular_separation_deg(unit_vectors(drawn.lon, drawn.lat), unit_vectors(-0.31, 0.22))
    offset = observation.pointings[0].offset_deg([-0.31], [0.22])
    weights, sigmas = irf().psf_components(drawn.true_energy, offset)
    assert weights.shape[-1] == 1 or weights[:, 1:].max() == 0
    shares = -np.expm1(-0.5 * (apart / sigmas[:, 0]) ** 2)
    assert stats.kstest(shares, "uniform").pvalue > LEAST
    assert stats.kstest(-np.expm1(-0.5 * (apart / (1.1 * sigmas[:, 0])) ** 2), "uniform").pvalue < 1e-6


@pytest.mark.parametrize("pointing", [(0.0, 0.0), (1.5, -1.0)], ids=["centred", "at an edge"])
def test_histogram_of_background_is_its_integral_also_within_bins(seed, pointing):
    coarse = Axes(EnergyAxis.from_bins(0.4, 20.0, 3), LonLatGrid.from_step(-0.9, 0.9, -0.6, 0.6, 0.6))
    fine = Axes(EnergyAxis.from_bins(0.4, 20.0, 12), LonLatGrid.from_step(-1.05, 1.05, -0.75, 0.75, 0.3))
    towards = Pointing(*pointing, 3600.0)
    rates = integrate_background(irf(), coarse, towards)
    places = draw_shares(numpy_stream(seed, "places", str(pointing)), 0, TRIES, 1)[0]

    def again(number):
        return draw_shares(numpy_stream(seed, "background", str(pointing), str(number)), 0, TRIES, 4)

    drawn = draw_background(irf(), coarse, towards, rates, places, again)
    assert len(drawn.energy) == TRIES
    assert drawn.inside(coarse).all()
    assert np.isnan([drawn.true_energy, drawn.true_lon, drawn.true_lat]).all()
    assert chi_square(drawn, integrate_background(irf(), fine, towards), fine) > LEAST
    elsewhere = Pointing(pointing[0] + 1.0, pointing[1], 3600.0)
    assert chi_square(drawn, integrate_background(irf(), fine, elsewhere), fine) < 1e-6


def test_integral_of_background_is_a_plain_sum(observation):
    pointing = observation.pointings[0]
    energy = np.geomspace(0.4, 20.0, 401)
    middle = np.sqrt(energy[1:] * energy[:-1])
    places = np.linspace(-0.75, 0.75, 31)
    lon, lat = np.meshgrid(0.5 * (places[1:] + places[:-1]), 0.5 * (places[1:] + places[:-1]))
    rate = irf().background_at(middle[:, None], lon.ravel(), lat.ravel(), pointing)
    direct = (np.diff(energy) @ rate) @ (np.cos(np.radians(lat.ravel())) * 0.05**2)
    assert background(observation)[0].sum() == pytest.approx(direct, rel=1e-4)


def test_same_stream_same_events(observation, seed):
    light = disc_of_light(observation)
    first, again, other = (draw(light, observation, seed, name, count=50)[1] for name in ("a", "a", "b"))
    assert np.array_equal(first.energy, again.energy)
    assert not np.array_equal(first.energy, other.energy)
