import numpy as np
import pytest

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid


def test_quick_start_axes_have_the_points_as_centres():
    axis = EnergyAxis.from_points(0.1, 100.0, 50)
    assert axis.size == 50
    np.testing.assert_allclose(axis.centres_tev[[0, -1]], [0.1, 100.0], rtol=1e-12)
    np.testing.assert_allclose(axis.edges_tev[[0, -1]], [0.0932, 107.3], rtol=1e-3)
    grid = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)
    np.testing.assert_allclose(grid.lon_edges_deg[[0, -1]], [-3.4, 3.4])
    np.testing.assert_array_equal(grid.lat_edges_deg, -grid.lat_edges_deg[::-1])


def test_areas_of_the_whole_sphere():
    grid = LonLatGrid(np.linspace(0, 360, 37), np.linspace(-90, 90, 19))
    np.testing.assert_allclose(grid.areas_deg2.sum(), 4 * np.pi * (180 / np.pi) ** 2, rtol=1e-13)


def test_pixels_find_their_own_centres_and_longitudes_wrap():
    grid = LonLatGrid(np.array([350.0, 355.0, 361.0, 364.0]), np.array([-2.0, 1.0, 5.0]))
    np.testing.assert_array_equal(grid.find(grid.lon_deg, grid.lat_deg), np.arange(6))
    np.testing.assert_array_equal(grid.find(grid.lon_deg - 720.0, grid.lat_deg), np.arange(6))
    np.testing.assert_array_equal(grid.find([np.nan, 0.0, 4.0, 10.0], [0.0, np.nan, 0.0, 0.0]), -1)


def test_lower_edges_are_inside_and_upper_ones_not():
    assert EnergyAxis(np.array([1.0, 2.0, 3.0])).find([1.0, 2.0, 3.0]).tolist() == [0, 1, -1]


def test_separations():
    grid = LonLatGrid.from_step(9.0, 11.0, 39.0, 41.0, 1.0)
    assert grid.separations_deg(10.0, 40.0)[4] < 1e-12
    np.testing.assert_allclose(grid.separations_deg(370.0, 40.0)[1], 1.0, rtol=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EnergyAxis(np.array([0.0, 1.0])),
        lambda: EnergyAxis(np.array([1.0, 1.0])),
        lambda: EnergyAxis(np.array([1.0, np.nan])),
        lambda: EnergyAxis.from_points(1.0, 10.0, 1),
        lambda: EnergyAxis.from_bins(10.0, 1.0, 3),
        lambda: LonLatGrid.from_step(0.0, 1.0, 0.0, 1.0, 0.3),
        lambda: LonLatGrid.from_step(0.0, 1.0, 0.0, 1.0, -1.0),
        lambda: LonLatGrid(np.array([0.0, 361.0]), np.array([0.0, 1.0])),
        lambda: LonLatGrid(np.array([0.0, 1.0]), np.array([89.0, 91.0])),
    ],
)
def test_broken_axes_are_refused(make):
    with pytest.raises(InputError):
        make()
