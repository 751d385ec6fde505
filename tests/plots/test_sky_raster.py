"""Sky rasters: every pixel lands where its longitude and latitude say, longitude growing to the left."""

import healpy
import numpy as np
import pytest

from skysift.plots.sky import SkyView, draw_sky, frame_pixels, new_sky_panels, rasterise

NSIDE = 64


def disc(lon_deg, lat_deg, radius_deg):
    pixels = np.sort(healpy.query_disc(NSIDE, healpy.ang2vec(lon_deg, lat_deg, lonlat=True), np.radians(radius_deg)))
    lon, lat = healpy.pix2ang(NSIDE, pixels, lonlat=True)
    return pixels, lon, lat


@pytest.mark.parametrize("center", [(0.0, 0.0), (180.0, 5.0), (120.0, 60.0), (30.0, -75.0)])
def test_raster_holds_the_value_of_the_pixel_at_each_place(center):
    pixels, lon, lat = disc(*center, 12)
    view = frame_pixels(lon, lat)
    image = rasterise(view, pixels, NSIDE, lat, size=120)
    x, y, _ = view.grid(120)
    raster_lat = view.to_sky(*np.meshgrid(x, y))[1]
    seen = np.isfinite(image.values)
    assert seen.sum() > 0.4 * seen.size
    assert np.abs(image.values - raster_lat)[seen].max() < 1.2


def test_longitude_grows_to_the_left_and_latitude_upwards():
    pixels, lon, lat = disc(0.0, 0.0, 10)
    image = rasterise(frame_pixels(lon, lat), pixels, NSIDE, (lon + 180) % 360 - 180, size=80)
    row = image.values[40]
    assert row[10] > 5
    assert row[-10] < -5
    up = rasterise(frame_pixels(lon, lat), pixels, NSIDE, lat, size=80).values
    assert up[-8, 40] > 5
    assert up[8, 40] < -5


@pytest.mark.parametrize("center", [0.0, 180.0, 359.0])
def test_window_crosses_the_seam_of_longitude(center):
    _, lon, lat = disc(center, 0.0, 10)
    view = frame_pixels(lon, lat)
    assert view.half_width_deg == pytest.approx(11, abs=0.6)
    assert abs((view.center_deg[0] - center + 180) % 360 - 180) < 0.6


def test_missing_pixels_are_empty():
    pixels, lon, lat = disc(0.0, 0.0, 10)
    keep = np.abs(lat) >= 2
    image = rasterise(frame_pixels(lon, lat), pixels[keep], NSIDE, np.ones(keep.sum()), size=80)
    assert np.isnan(image.values[40]).all()


def test_the_whole_sky_fits():
    pixels = np.arange(12 * 16**2)
    lon, lat = healpy.pix2ang(16, pixels, lonlat=True)
    image = rasterise(frame_pixels(lon, lat), pixels, 16, lat, size=90)
    assert np.isfinite(image.values).mean() > 0.95


def test_gnomonic_centre_and_pole():
    view = SkyView((40.0, 85.0), 10.0, 10.0, "gnomonic")
    lon, lat = view.to_sky(np.array([0.0, 0.0]), np.array([0.0, 8.0]))
    assert (lon[0], lat[0]) == (pytest.approx(40.0), pytest.approx(85.0))
    # Eight degrees up from b = 85: over the pole, down the other side.
    assert (lon[1], lat[1]) == (pytest.approx(220.0), pytest.approx(87.0))


@pytest.mark.parametrize("center", [(0.0, 0.0), (120.0, 60.0)])
def test_axes_name_coordinates_and_the_bar_its_unit(center):
    pixels, lon, lat = disc(*center, 12)
    view = frame_pixels(lon, lat)
    figure, places = new_sky_panels(view, 1)
    axes, bar = places[0]
    draw_sky(axes, bar, rasterise(view, pixels, NSIDE, lat, size=60), "photons per pixel")
    assert "Galactic" in axes.get_xlabel()
    assert bar.get_ylabel() == "photons per pixel"
    figure.draw_without_rendering()
    # Fixed places hold the panels in the shape of the sky, and what is written around them.
    width, height = axes.get_position().size * figure.get_size_inches()
    assert height / width == pytest.approx(view.half_height_deg / view.half_width_deg)
    page = figure.get_window_extent()
    for place in (axes, bar):
        written = place.get_tightbbox()
        assert page.x0 <= written.x0 < written.x1 <= page.x1
        assert page.y0 <= written.y0 < written.y1 <= page.y1
