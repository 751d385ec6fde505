"""Regions: published pixel counts, wrap, expressions."""

import numpy as np
import pytest

from skysift.geometry import (
    AllOf,
    Annulus,
    AnyOf,
    Box,
    Disc,
    NamedMask,
    Not,
    PlaneBand,
    Region,
    pixel_vectors,
    unit_vectors,
)

GALACTIC_CENTER = (0.0, 0.0)


@pytest.fixture(scope="module")
def vectors():
    return pixel_vectors(128)


@pytest.mark.parametrize(
    ("radius", "mask", "counts"),
    [
        (20.0, "mask_3fgl_0p8deg", (5938, 5204, 4234)),
        (30.0, "fermidata_pscmask", (13174, 12062, 11265)),
    ],
)
def test_published_pixel_counts(vectors, data_folder, radius, mask, counts):
    maps = {"points": np.load(data_folder / "fermi" / f"{mask}.npy").astype(bool)}
    disc, band, points = Disc(GALACTIC_CENTER, radius), PlaneBand(2.0), NamedMask("points")
    masks = (AnyOf(()), band, AnyOf((band, points)))
    assert tuple(int(Region(disc, mask).contains(vectors, maps).sum()) for mask in masks) == counts


def test_disc_and_annulus_share_out_the_pixels(vectors):
    inner = Disc((45.0, 10.0), 5.0).contains(vectors, {})
    ring = Annulus((45.0, 10.0), 5.0, 12.0).contains(vectors, {})
    outer = Disc((45.0, 10.0), 12.0).contains(vectors, {})
    assert not (inner & ring).any()
    np.testing.assert_array_equal(inner | ring, outer)


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ((350.0, 10.0), [350.0, -10.0, 0.0, 10.0], [11.0, 349.0, 180.0]),
        ((-10.0, 10.0), [350.0, -10.0, 0.0, 10.0], [11.0, 349.0, 180.0]),
        ((170.0, -170.0), [170.0, 180.0, -180.0, 190.0], [169.0, 191.0, 0.0]),
        ((-180.0, 180.0), [-180.0, 0.0, 179.0], []),
        ((0.0, 360.0), [-180.0, 0.0, 179.0], []),
    ],
)
def test_box_wraps_in_longitude(window, inside, outside):
    box = Box(window, None)
    assert box.contains(unit_vectors(inside, 0.0), {}).all()
    assert not box.contains(unit_vectors(outside, 0.0), {}).any() if outside else True


def test_box_limits_latitude():
    box = Box(None, (0.0, 90.0))
    np.testing.assert_array_equal(box.contains(unit_vectors(0.0, [-1.0, 1.0, 89.0]), {}), [False, True, True])


def test_expressions_follow_de_morgan(vectors):
    north, disc = Box(None, (0.0, 90.0)), Disc(GALACTIC_CENTER, 30.0)
    joined = Not(AnyOf((north, disc))).contains(vectors, {})
    np.testing.assert_array_equal(joined, AllOf((Not(north), Not(disc))).contains(vectors, {}))
    assert 0 < joined.sum() < len(vectors)


def test_names_are_collected_from_the_whole_expression():
    mask = AnyOf((NamedMask("a"), AllOf((Not(NamedMask("b")), PlaneBand(1.0)))))
    assert Region(NamedMask("c"), mask).names() == {"a", "b", "c"}


def test_no_pixel_centre_lies_on_the_edge_of_the_band(vectors):
    latitude = np.degrees(np.arcsin(vectors[:, 2]))
    assert np.abs(np.abs(latitude) - 2.0).min() > 1e-3
