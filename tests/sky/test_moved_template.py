"""The signal's profile moved to the sidebands."""

import numpy as np
import pytest

from skysift.geometry import AnyOf, Disc, Region, pixel_vectors
from skysift.sky.synthetic import SyntheticSky
from skysift.sky.templates import SIDEBAND_LONGITUDES_DEG, moved_template, sideband_name

NSIDE = 32


@pytest.fixture(scope="module")
def sky():
    return SyntheticSky(NSIDE)


def around(longitude, radius=15.0):
    return Region(Disc((longitude, 0.0), radius), AnyOf(())).contains(pixel_vectors(NSIDE), {})


@pytest.mark.parametrize("longitude", SIDEBAND_LONGITUDES_DEG)
def test_moved_intensity_is_kept(sky, longitude):
    """The profile is symmetric: total intensity around the new centre is that around the old one."""
    exposure, template = sky.exposure_cm2_s(), sky.template("nfw_squared")
    moved = moved_template(template, exposure, NSIDE, (0.0, 0.0), (longitude, 0.0))
    before = (template / exposure)[:, around(0.0)].sum()
    after = (moved / exposure)[:, around(longitude)].sum()
    assert after == pytest.approx(before, rel=0.05)
    assert moved[0].argmax() != template[0].argmax()


def test_exposure_is_that_of_the_new_place(sky):
    exposure = sky.exposure_cm2_s()
    moved = moved_template(2.0 * exposure, exposure, NSIDE, (0.0, 0.0), (90.0, 0.0))
    np.testing.assert_allclose(moved, 2.0 * exposure, rtol=1e-12)


def test_not_moving_changes_nothing(sky):
    template = sky.template("nfw_squared")
    moved = moved_template(template, sky.exposure_cm2_s(), NSIDE, (0.0, 0.0), (0.0, 0.0))
    np.testing.assert_allclose(moved, template, rtol=1e-9)


def test_pixels_without_exposure_stay_empty(sky):
    exposure = sky.exposure_cm2_s().copy()
    exposure[:, :100] = 0.0
    moved = moved_template(sky.template("isotropic"), exposure, NSIDE, (0.0, 0.0), (30.0, 0.0))
    assert np.isfinite(moved).all()
    assert not moved[:, :100].any()


def test_names_of_sidebands_are_those_of_the_configuration():
    from skysift.config.systematics import Sidebands

    assert list(Sidebands().regions) == [sideband_name(longitude) for longitude in SIDEBAND_LONGITUDES_DEG]
