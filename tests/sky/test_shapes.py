"""Shapes: pixel integrals against finer grids and drawn positions, on the plane, across l = 0 and around poles."""

import numpy as np
import pytest
from scipy.stats import chi2

from skysift.errors import InputError
from skysift.geometry.grids import LonLatGrid
from skysift.sky.shapes import Disk, Gaussian, Point, Ring, Shell, place_on_sphere

GRID = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)
SHAPES = {
    "gaussian": Gaussian(0.3, 0.2, 0.5),
    "narrow gaussian": Gaussian(0.3, 0.2, 0.01),
    "elongated gaussian": Gaussian(360.3, 0.2, 0.5, 0.2, 30.0),
    "needle": Gaussian(0.3, 0.2, 0.4, 0.05, 70.0),
    "disk": Disk(0.3, 0.2, 1.0),
    "elongated disk": Disk(-359.7, 0.2, 1.0, 0.3, 40.0),
    "small disk": Disk(0.3, 0.2, 0.05),
    "ring": Ring(0.3, 0.2, 0.5, 1.0),
    "thin shell": Shell(0.3, 0.2, 0.95, 1.0),
    "thick shell": Shell(0.3, 0.2, 0.3, 1.0),
}


def refine(grid, times):
    def edges(given):
        return np.interp(np.arange(times * (len(given) - 1) + 1) / times, np.arange(len(given)), given)

    return LonLatGrid(edges(grid.lon_edges_deg), edges(grid.lat_edges_deg))


def gather(shares, grid, times):
    rows, columns = grid.shape
    return shares.reshape(rows, times, columns, times).sum(axis=(1, 3)).reshape(-1)


@pytest.mark.parametrize("name", SHAPES)
def test_pixels_sum_to_one_and_to_their_parts(name):
    shape = SHAPES[name]
    shares = shape.integrate(GRID)
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)
    parts = gather(shape.integrate(refine(GRID, 5)), GRID, 5)
    np.testing.assert_allclose(shares, parts, atol=1e-5 * shares.max(), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in SHAPES if "small" not in name and "narrow" not in name])
def test_pixels_integrate_the_density(name):
    """Midpoints of a grid fine enough; edges of disks and shells limit how well midpoints can do."""
    shape, times = SHAPES[name], 40
    fine = refine(GRID, times)
    midpoint = gather(shape.density(fine.lon_deg, fine.lat_deg) * fine.areas_deg2, GRID, times)
    shares = shape.integrate(GRID)
    limit = {"Gaussian": 1e-3, "Shell": 2e-3}.get(type(shape).__name__, 4e-3)
    np.testing.assert_allclose(shares, midpoint, atol=limit * shares.max())


def draw(shape, count, seed, beyond_deg=0.0):
    """Longitudes and latitudes (count,) that the sphere keeps."""
    generator, kept = np.random.default_rng(seed), np.zeros((2, 0))
    while kept.shape[1] < count:
        lon, lat, likely = place_on_sphere(shape, generator.random((3, count)), beyond_deg)
        kept = np.append(kept, np.stack((lon, lat))[:, generator.random(count) < likely], axis=1)
    return kept[:, :count]


@pytest.mark.statistics
@pytest.mark.parametrize("name", SHAPES)
def test_drawn_positions_fill_pixels(name, seed):
    """Chi-square over pixels with ten or more expected: false failures below 1e-6 in all; a shifted map must fail."""
    shape, count = SHAPES[name], 100_000
    pixels = GRID.find(*draw(shape, count, seed))
    counts = np.bincount(pixels[pixels >= 0], minlength=GRID.size)
    shares = shape.integrate(GRID)

    def chance(shares):
        many = shares * count > 10
        expected = count * shares[many]
        return chi2.sf(((counts[many] - expected) ** 2 / expected).sum(), many.sum())

    assert chance(shares) > 1e-7
    assert chance(np.roll(shares, 1)) < 1e-12


@pytest.mark.parametrize(
    "shape",
    [
        Gaussian(40.0, 89.5, 2.0), Gaussian(10.0, 0.0, 60.0), Disk(40.0, 88.5, 3.0), Disk(40.0, -88.5, 3.0),
        Disk(10.0, -88.5, 3.0, 0.3, 20.0), Ring(181.0, -80.0, 5.0, 12.0), Shell(170.0, 80.0, 9.0, 15.0),
    ],
)  # fmt: skip
def test_the_whole_sky_holds_everything_also_around_poles(shape, seed):
    sky = LonLatGrid(np.linspace(-180.0, 180.0, 73), np.linspace(-90.0, 90.0, 37))
    shares = shape.integrate(sky)
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)
    pixels = sky.find(*draw(shape, 20_000, seed))
    found = np.bincount(pixels, minlength=sky.size) / 20_000
    # A binomial count beyond 6 sigma: below 1e-5 over all pixels.
    assert np.all(np.abs(found - shares) < 6 * np.sqrt(shares / 20_000) + 6e-4)


@pytest.mark.statistics
@pytest.mark.parametrize(
    "shape",
    [Gaussian(40.0, 20.0, 30.0, 0.5), Disk(40.0, 0.0, 60.0, 0.7), Ring(1.0, 2.0, 50.0, 80.0), Shell(1, 2, 50, 80)],
)
def test_the_sphere_keeps_the_share_of_places_that_it_says(shape, seed):
    *_, likely = place_on_sphere(shape, np.random.default_rng(seed).random((3, 40_000)))
    assert abs(likely.mean() - shape.share_on_sphere) < 5 * likely.std() / 200
    assert shape.share_on_sphere < 0.97


@pytest.mark.statistics
def test_places_far_from_the_centre_are_as_many_as_without_the_others(seed):
    shape, far, count = Gaussian(0.0, 0.0, 0.4, 0.6), 0.9, 40_000
    found = []
    for beyond in (0.0, far):
        lon, lat = draw(shape, count, seed, beyond)
        found.append(np.hypot(lon, lat) > far)
    expected = found[0].mean()
    assert abs(found[1].mean() * shape.share_beyond(far) - expected) < 5 * np.sqrt(expected / count)
    assert shape.share_beyond(far) < 0.1


def test_shapes_are_cut_at_the_grid_and_do_not_care_for_full_turns():
    half = Gaussian(3.4, 0.0, 0.3).integrate(GRID)
    assert half.sum() == pytest.approx(0.5, abs=1e-8)
    turned = LonLatGrid(GRID.lon_edges_deg + 360.0, GRID.lat_edges_deg)
    for shape in SHAPES.values():
        np.testing.assert_allclose(shape.integrate(turned), shape.integrate(GRID), atol=1e-12)
    assert Gaussian(30.0, 0.0, 0.3).integrate(GRID).sum() == 0.0


def test_point_lies_in_one_pixel():
    shares = Point(359.9, 0.1).integrate(GRID)
    assert shares.sum() == 1.0
    assert shares[GRID.find(-0.1, 0.1)] == 1.0
    assert Point(10.0, 0.0).integrate(GRID).sum() == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gaussian(0, 0, 0.0), lambda: Gaussian(0, 0, 1.0, -1.0), lambda: Disk(0, 0, float("nan")),
        lambda: Disk(0, 0, 91.0), lambda: Ring(0, 0, 1.0, 1.0), lambda: Shell(0, 0, 0.0, 1.0),
    ],
)  # fmt: skip
def test_sizes_without_meaning_are_refused(make):
    with pytest.raises(InputError):
        make()
