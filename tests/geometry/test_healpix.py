"""HEALPix order, resolution, frame and interpolation."""

import healpy
import numpy as np
import pytest

from skysift.geometry import (
    change_resolution,
    check_nside,
    interpolate,
    lonlat_deg,
    pixel_area_sr,
    pixel_vectors,
    reorder_to_ring,
    rotate_to_galactic,
    unit_vectors,
)


@pytest.mark.parametrize("length", [0, 1, 13, 12 * 3**2, 12 * 12**2, 196607])
def test_other_lengths_are_no_maps(length):
    with pytest.raises(ValueError, match=f"{length} pixels"):
        check_nside(length)


def test_pixel_area_of_the_shipped_maps():
    assert pixel_area_sr(128) == pytest.approx(6.3916e-5, rel=1e-5)


def test_reordering_agrees_with_healpy():
    nested = np.random.Generator(np.random.PCG64(3)).normal(size=(2, 12 * 8**2))
    np.testing.assert_array_equal(reorder_to_ring(nested), healpy.reorder(nested, n2r=True))


@pytest.mark.parametrize("nside", [4, 8, 16, 32])
def test_each_convention_keeps_what_it_should(nside):
    values = np.random.Generator(np.random.PCG64(4)).uniform(1.0, 2.0, (2, 12 * 16**2))
    summed = change_resolution(values, nside, "sum")
    assert summed.shape == (2, 12 * nside**2)
    np.testing.assert_allclose(summed.sum(axis=1), values.sum(axis=1))
    np.testing.assert_allclose(change_resolution(values, nside, "mean").mean(axis=1), values.mean(axis=1))
    np.testing.assert_allclose(
        change_resolution(values, nside, "mean"), [healpy.ud_grade(row, nside) for row in values], rtol=1e-12
    )


def test_a_coarse_pixel_is_masked_if_any_fine_one_is():
    mask = np.zeros(12 * 16**2, dtype=bool)
    mask[1000] = True
    coarse = change_resolution(mask, 8, "any")
    assert coarse.sum() == 1
    assert coarse[healpy.vec2pix(8, *pixel_vectors(16, np.array([1000]))[0])]


def test_a_change_of_resolution_never_touches_its_input():
    values = np.ones(12 * 8**2)
    change_resolution(values, 8, "sum")[:] = 7.0
    np.testing.assert_array_equal(values, 1.0)


def test_equatorial_maps_turn_by_the_known_place_of_the_galactic_centre():
    """The Galactic centre lies at right ascension 266.405 deg, declination -28.936 deg (Blaauw et al. 1960)."""
    nside = 64
    distance = np.arccos(pixel_vectors(nside) @ unit_vectors(266.405, -28.936))
    turned = rotate_to_galactic(distance, "mean")
    longitude, latitude = lonlat_deg(pixel_vectors(nside, np.array([turned.argmin()]))[0])
    assert abs(longitude) < 1.0
    assert abs(latitude) < 1.0
    nearest = rotate_to_galactic(distance < 0.1, "any")
    assert nearest[healpy.ang2pix(nside, 0.0, 0.0, lonlat=True)]


def test_interpolation_is_exact_at_pixel_centres():
    values = np.random.Generator(np.random.PCG64(5)).normal(size=(3, 12 * 8**2))
    np.testing.assert_allclose(interpolate(values, pixel_vectors(8)), values, atol=1e-12)
