"""The synthetic sky: the halo's integral, likeness to the Fermi data set, independence of resolution."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad

from skysift.geometry import Disc, PlaneBand, Region, change_resolution, pixel_area_sr, pixel_vectors
from skysift.sky.synthetic import MASKS, TEMPLATES, SyntheticSky
from skysift.sky.synthetic.profiles import SUN_KPC, exponential_disc, halo_squared_profile

NSIDE = 32
# Mean counts per pixel at nside 128 of the shipped templates, region of 20 deg.
FERMI_MEANS = {
    "p6v11": 1.225, "isotropic": 1.013, "bubbles": 1.172, "nfw_squared": 1.503, "disk": 1.325, "model_o_gas": 1.144,
    "model_o_ics": 1.191,
}  # fmt: skip


@pytest.fixture(scope="module")
def sky():
    return SyntheticSky(NSIDE)


@pytest.fixture(scope="module")
def region():
    return Region(Disc((0.0, 0.0), 20.0), PlaneBand(2.0)).contains(pixel_vectors(NSIDE), {})


@pytest.mark.parametrize("angle_deg", [0.2, 2.0, 20.0, 90.0, 170.0])
def test_halo_integral_against_adaptive_quadrature(angle_deg):
    angle = np.radians(angle_deg)

    def density_squared(distance):
        radius = np.sqrt((SUN_KPC * np.sin(angle)) ** 2 + (distance - SUN_KPC * np.cos(angle)) ** 2) / 20.0
        return radius**-2.4 * (1 + radius) ** (2 * (1.2 - 3))

    nearest = max(SUN_KPC * np.cos(angle), 0.0)
    cuts = sorted({0.0, nearest, nearest + 1.0, nearest + 30.0, 1e4, *(nearest - d for d in (1.0, 0.1) if d < nearest)})
    wanted = sum(
        quad(density_squared, low, high, epsabs=0, epsrel=1e-10, limit=400)[0] for low, high in itertools.pairwise(cuts)
    )
    assert float(halo_squared_profile(np.asarray(angle))) == pytest.approx(wanted, rel=1e-6)


def test_disc_towards_the_pole_is_a_known_integral():
    towards_pole = exponential_disc(np.array([[0.0, 0.0, 1.0]]), 5.0, 0.3)
    assert float(towards_pole[0]) == pytest.approx(0.3 * np.exp(-SUN_KPC / 5.0), rel=5e-3)


@pytest.mark.parametrize("name", sorted(FERMI_MEANS))
def test_unit_norms_mean_what_they_mean_for_the_real_data(sky, region, name):
    fine_pixels = (128 / NSIDE) ** 2
    assert sky.template(name)[0, region].mean() / fine_pixels == pytest.approx(FERMI_MEANS[name], rel=0.1)


def test_exposure_is_like_the_real_one(sky, region):
    exposure = sky.exposure_cm2_s()
    assert exposure.mean() == pytest.approx(6.595e10, rel=0.02)
    assert exposure[:, region].mean() == pytest.approx(7.05e10, rel=0.06)
    assert 5.0e10 < exposure.min() < exposure.max() < 9.5e10


def test_the_two_diffuse_skies_differ_by_a_tenth(sky, region):
    truth = 8 * sky.template("diffuse_gas") + 4 * sky.template("diffuse_ics")
    ratio = (truth / sky.template("diffuse"))[0, region]
    assert ratio.mean() == pytest.approx(11.1, rel=0.1)
    assert 0.05 < np.log(ratio).std() < 0.16


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_fit_for_use_at_any_resolution(sky, region, name):
    template = sky.template(name)
    assert template.shape == (1, 12 * NSIDE**2)
    assert np.isfinite(template).all()
    assert template.min() >= 0
    assert template[:, region].sum() > 0
    finer = change_resolution(SyntheticSky(2 * NSIDE).template(name), NSIDE, "sum")
    assert finer.sum() == pytest.approx(template.sum(), rel=0.05)


def test_names_of_the_real_data_set_mean_the_same_maps(sky):
    np.testing.assert_array_equal(sky.template("p6v11"), sky.template("diffuse"))
    np.testing.assert_array_equal(sky.template("model_o_gas"), sky.template("diffuse_gas"))


@pytest.mark.parametrize("name", MASKS)
def test_masks_take_the_bright_sources_out(name):
    sky = SyntheticSky(64)
    mask, sources = sky.mask(name), sky.template("point_sources")[0]
    assert 0 < mask.mean() < 0.02
    assert sources[mask].sum() > 0.3 * sources.sum()


def test_bins_share_out_the_photons():
    whole, split = SyntheticSky(8), SyntheticSky(8, (2.0, 5.0, 20.0))
    assert split.template("isotropic").shape == (2, 12 * 8**2)
    assert split.exposure_cm2_s().shape == (2, 12 * 8**2)
    # The exposure grows slowly with energy, so photons agree to a few per cent only.
    assert split.template("bubbles").sum() == pytest.approx(whole.template("bubbles").sum(), rel=0.05)
    flux = split.template("isotropic") / split.exposure_cm2_s() / pixel_area_sr(8)
    assert flux.sum(axis=0) == pytest.approx(2.25e-7)
    assert flux[0, 0] > flux[1, 0]


def test_the_same_sky_every_time():
    np.testing.assert_array_equal(SyntheticSky(8).template("diffuse"), SyntheticSky(8).template("diffuse"))


@pytest.mark.parametrize("name", ["diffuse", "nfw_squared"])
def test_northern_halves_are_the_northern_half(sky, region, name):
    whole, half = sky.template(name)[0, region], sky.template(f"{name}_north")[0, region]
    is_north = pixel_vectors(NSIDE)[region, 2] > 0
    np.testing.assert_array_equal(half, np.where(is_north, whole, 0))
