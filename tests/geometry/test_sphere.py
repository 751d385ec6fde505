"""Directions, angles and rotations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skysift.geometry import angular_separation_deg, lonlat_deg, rotation, unit_vectors

longitudes = st.floats(-179.9, 179.9)
latitudes = st.floats(-89.0, 89.0)


@settings(deadline=None)
@given(longitudes, latitudes)
def test_directions_survive_the_way_through_vectors(longitude, latitude):
    back = lonlat_deg(unit_vectors(longitude, latitude))
    assert back[0] == pytest.approx(longitude, abs=1e-9)
    assert back[1] == pytest.approx(latitude, abs=1e-9)


@pytest.mark.parametrize("separation", [0.0, 1e-9, 1e-4, 20.0, 90.0, 179.9999, 180.0])
def test_separation_is_exact_from_zero_to_opposite(separation):
    found = angular_separation_deg(unit_vectors(10.0, 0.0), unit_vectors(10.0 + separation, 0.0))
    # The coordinates themselves hold 1e-15 of 180 degrees.
    assert found == pytest.approx(separation, rel=1e-9, abs=1e-13)


@settings(deadline=None)
@given(longitudes, latitudes, longitudes, latitudes)
def test_rotation_moves_the_centre_and_keeps_angles(from_l, from_b, to_l, to_b):
    matrix = rotation((from_l, from_b), (to_l, to_b))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    np.testing.assert_allclose(matrix @ unit_vectors(from_l, from_b), unit_vectors(to_l, to_b), atol=1e-12)


def test_rotation_keeps_north_up():
    moved = rotation((0.0, 0.0), (60.0, 0.0)) @ unit_vectors(0.0, 10.0)
    np.testing.assert_allclose(moved, unit_vectors(60.0, 10.0), atol=1e-12)
