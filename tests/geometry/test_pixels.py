"""Pixel numbers and centres in plain arrays, against healpy."""

import healpy
import numpy as np
import pytest

from skysift.geometry.pixels import find_pixels, nest_to_ring, nest_vectors, ring_to_nest, ring_vectors

RANDOM = np.random.default_rng(7)


def pixels_of(nside):
    """Return every pixel, or of fine maps both ends and some between."""
    whole = 12 * nside**2
    if whole < 60_000:
        return np.arange(whole)
    return np.concatenate([np.arange(50), whole - 1 - np.arange(50), RANDOM.integers(0, whole, 50_000)])


@pytest.mark.parametrize("nside", [1, 2, 8, 32, 8192])
def test_numbers_and_centres_agree_with_healpy(nside):
    pixels = pixels_of(nside)
    centres = np.stack(healpy.pix2vec(nside, pixels), axis=-1)
    assert np.abs(ring_vectors(nside, pixels) - centres).max() < 4e-15
    assert np.array_equal(ring_to_nest(nside, pixels), healpy.ring2nest(nside, pixels))
    assert np.array_equal(nest_to_ring(nside, pixels), healpy.nest2ring(nside, pixels))
    assert np.array_equal(find_pixels(nside, centres), pixels)
    nested = np.stack(healpy.pix2vec(nside, pixels, nest=True), axis=-1)
    assert np.abs(nest_vectors(nside, pixels) - nested).max() < 4e-15


@pytest.mark.parametrize("nside", [1, 4, 128])
def test_directions_lie_in_the_pixels_that_healpy_finds(nside):
    axes = np.concatenate([np.eye(3), 0.0 - np.eye(3), [[1, 1, 0], [1e-9, -1e-9, 1], [-1e-9, 1e-9, -1]]])
    for vectors in (RANDOM.normal(size=(20_000, 3)), axes):
        assert np.array_equal(find_pixels(nside, vectors), healpy.vec2pix(nside, *vectors.T))
