"""Diffuse and user maps: exact pixel integrals, coverage, units, energies, and the Fermi-LAT model's central cut."""

import os
from dataclasses import dataclass

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.geometry.grids import LonLatGrid
from skysift.geometry.healpix import pixel_vectors
from skysift.geometry.sphere import lonlat_deg
from skysift.sky.diffuse import GAGGERO_NORM, SyntheticDiffuse, fermi_shape, mean_one, synthetic_diffuse
from skysift.sky.map_cubes import band_integral, energies_tev, integrate_cube
from skysift.sky.plate_maps import PlateMap
from skysift.sky.sky_maps import ProjectedMap, integrate_samples, share_of_pixels
from skysift.sky.template_maps import interpret_healpix, interpret_image
from skysift.storage.sky_files import read_fits_image, read_hdf5_map

GRID = LonLatGrid.from_step(-2.8, 2.8, -2.8, 2.8, 0.4)


@dataclass(frozen=True)
class Image:
    array: np.ndarray
    cards: dict
    place: str = "made"


def plate_cards(step_lon=0.25, count=(41, 31), **more):
    return {
        "CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRPIX1": (count[0] + 1) / 2, "CRPIX2": (count[1] + 1) / 2,
        "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": step_lon, "CDELT2": 0.25, "CUNIT1": "deg", "CUNIT2": "deg",
    } | more  # fmt: skip


def wavy(lon, lat):
    return 3 + np.sin(lon) + 0.5 * lat + 0.2 * lon * lat


def plate(step_lon=0.25):
    lon, lat = step_lon * (np.arange(41) - 20), 0.25 * (np.arange(31) - 15)
    return interpret_image(Image(wavy(lon, lat[:, None]), plate_cards(step_lon)))


def test_a_map_is_integrated_exactly():
    truth = integrate_samples(plate(), GRID, 0.04, "made")
    np.testing.assert_allclose(plate().integrate(GRID), truth, rtol=2e-5)
    flat = PlateMap(np.array([-5.0, 5.0]), np.array([-5.0, 5.0]), np.full((2, 2), 7.0))
    np.testing.assert_allclose(flat.integrate(GRID), 7.0 * GRID.areas_deg2, rtol=1e-12)


def test_longitude_may_rise_or_fall_and_turn():
    np.testing.assert_allclose(plate(-0.25).integrate(GRID), plate(0.25).integrate(GRID), rtol=1e-12)
    turned = LonLatGrid(GRID.lon_edges_deg + 360, GRID.lat_edges_deg)
    np.testing.assert_allclose(plate().integrate(turned), plate().integrate(GRID), rtol=1e-12)


def test_a_full_turn_has_no_seam():
    lon, lat = np.arange(0.5, 360.0), np.arange(-89.5, 90.0)
    values = 2 + np.cos(np.radians(lon - 10.0)) * np.cos(np.radians(lat[:, None]))
    whole = PlateMap(lon, lat, values)
    for middle in (0.0, 180.0, 90.0, -360.0):
        grid = LonLatGrid(middle + np.linspace(-3.0, 3.0, 7), np.linspace(-2.0, 2.0, 5))
        wanted = 2 + np.cos(np.radians(grid.lon_deg - 10.0)) * np.cos(np.radians(grid.lat_deg))
        np.testing.assert_allclose(whole.integrate(grid) / grid.areas_deg2, wanted, rtol=1e-3)
        np.testing.assert_allclose(whole.sample(grid.lon_deg, grid.lat_deg), wanted, rtol=1e-3)
    sky = LonLatGrid(np.linspace(-180, 180, 25), np.linspace(-90, 90, 13))
    assert whole.integrate(sky).sum() == pytest.approx(2 * sky.areas_deg2.sum(), rel=1e-3)


def test_uncovered_pixels_are_named():
    wide = LonLatGrid.from_step(-4.8, 4.8, -4.0, 4.0, 0.4)
    with pytest.raises(InputError) as caught:
        plate().integrate(wide)
    text = str(caught.value)
    assert "50 of 525 pixels" in text
    assert "0 (l -4.8, b -4)" in text
    assert "b -3.875 .. 3.875 deg" in text
    lon, lat = 0.25 * (np.arange(41) - 20), 0.25 * (np.arange(31) - 15)
    longer = PlateMap(lon, lat, wavy(lon, lat[:, None]), extend_deg=0.5)
    assert np.isfinite(longer.integrate(wide)).all()


def test_any_projection_gives_the_same_flux():
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

    cards = plate_cards(-0.125, (121, 121), CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=266.4, CRVAL2=-28.94)
    cards["CDELT2"] = 0.125
    wcs = WCS({**cards})
    y, x = np.mgrid[:121, :121]
    places = wcs.pixel_to_world(x, y).galactic
    lon = np.where(places.l.deg > 180, places.l.deg - 360, places.l.deg)
    sky_map = interpret_image(Image(wavy(lon, places.b.deg), cards))
    assert isinstance(sky_map, ProjectedMap)
    wanted = integrate_samples(_Function(wavy), GRID, 0.1, "function")
    np.testing.assert_allclose(sky_map.integrate(GRID), wanted, rtol=2e-3)
    here = SkyCoord(1.0, 0.5, unit="deg", frame="galactic")
    assert sky_map.sample(here.l.deg, here.b.deg) == pytest.approx(wavy(1.0, 0.5), rel=1e-3)
    with pytest.raises(InputError, match="pixels outside the map"):
        sky_map.integrate(LonLatGrid.from_step(8.0, 12.0, 0.0, 1.0, 0.5))


class _Function:
    def __init__(self, function):
        self.sample = lambda lon, lat: function(np.asarray(lon), np.asarray(lat))


def test_healpix_gives_the_same_flux():
    lon, lat = lonlat_deg(pixel_vectors(128))
    values = 3 + np.sin(np.radians(10 * lon)) * np.cos(np.radians(10 * lat))
    wanted = integrate_samples(
        _Function(lambda x, y: 3 + np.sin(np.radians(10 * x)) * np.cos(np.radians(10 * y))), GRID, 0.1, "function"
    )
    np.testing.assert_allclose(interpret_healpix(values, "ring", "made").integrate(GRID), wanted, rtol=2e-3)
    with pytest.raises(InputError, match="12 nside"):
        interpret_healpix(values[:-1], "ring", "made")


def test_cube_is_integrated_in_energy_and_unit():
    energies = np.geomspace(1e4, 1e6, 9)
    lon, lat = 0.25 * (np.arange(41) - 20), 0.25 * (np.arange(31) - 15)
    cube = 2e-9 * (energies[:, None, None] / 1e5) ** -2.4 * np.ones((31, 41))
    points = energies_tev(energies, "MeV", "made")
    edges = np.array([0.01, 0.05, 1.0])
    found = integrate_cube(PlateMap(lon, lat, cube), points, "1 / (cm2 s sr MeV)", edges, GRID)
    per_tev = 2e-9 * 1e6
    wanted = [per_tev * 0.1**2.4 * (a**-1.4 - b**-1.4) / 1.4 for a, b in ((0.01, 0.05), (0.05, 1.0))]
    np.testing.assert_allclose(found, np.outer(wanted, GRID.areas_deg2 * np.radians(1) ** 2), rtol=1e-10)
    for unit in ("", "cm-2 s-1", "furlong"):
        with pytest.raises(InputError, match="unit"):
            integrate_cube(PlateMap(lon, lat, cube), points, unit, edges, GRID)
    with pytest.raises(InputError, match="energy band"):
        band_integral(cube, points, 0.01, 3.0)
    for given, unit in ((None, "MeV"), (energies, "Hz"), (energies[::-1], "MeV")):
        with pytest.raises(InputError, match="energies"):
            energies_tev(given, unit, "made")


def test_shares_of_a_template_sum_to_one_in_the_field():
    pixels = plate().integrate(GRID)
    shares = share_of_pixels(pixels, "made")
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(shares[1:] / shares[:-1], pixels[1:] / pixels[:-1], rtol=1e-12)
    for wrong in (-pixels, 0 * pixels):
        with pytest.raises(InputError, match="values"):
            share_of_pixels(wrong, "made")
    with pytest.raises(InputError, match="finite"):
        interpret_image(Image(np.full((31, 41), np.nan), plate_cards()))
    with pytest.raises(InputError, match=r"CTYPE1|WCS"):
        interpret_image(Image(np.ones((31, 41)), {"CTYPE1": "WAVE"}))


def test_synthetic_sky_has_mean_one():
    shape = synthetic_diffuse(GRID)
    assert shape @ GRID.areas_deg2 == pytest.approx(GRID.areas_deg2.sum())
    assert shape.max() > 3
    assert 0 < shape.min() < 0.6
    fine = LonLatGrid.from_step(-2.9, 2.9, -2.9, 2.9, 0.2)
    assert SyntheticDiffuse().integrate(fine).sum() == pytest.approx(SyntheticDiffuse().integrate(GRID).sum(), rel=1e-6)


def write_map(path, **changes):
    import h5py

    content = {
        "values": (np.ones((3, 4)), "1 / sr"), "longitude": (np.arange(4.0), "deg"),
        "latitude": (np.arange(3.0), "deg"),
    } | changes  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, item in content.items():
            if item is not None:
                file[name] = item[0]
                file[name].attrs["unit"] = item[1]
    return path


def test_hdf5_map_round_trip(tmp_path):
    read = read_hdf5_map(
        write_map(tmp_path / "map.h5", energy=(np.array([1.0, 2.0]), "TeV"), values=(np.ones((2, 3, 4)), "x"))
    )
    assert read.array.shape == (2, 3, 4)
    assert (read.unit, read.energy_unit, read.energies.tolist()) == ("x", "TeV", [1.0, 2.0])
    sky_map = PlateMap(read.lon_deg, read.lat_deg, read.array, read.place)
    assert sky_map.integrate(LonLatGrid.from_step(1.0, 2.0, 1.0, 1.0, 1.0)).shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"latitude": None}, "latitude"), ({"longitude": (np.arange(5.0), "deg")}, "values"),
        ({"longitude": (np.arange(4.0), "rad")}, "longitude, attribute unit"),
    ],
)  # fmt: skip
def test_hdf5_map_with_a_fault_is_refused(tmp_path, changes, word):
    with pytest.raises(InputError, match=word):
        read_hdf5_map(write_map(tmp_path / "map.h5", **changes))
    (tmp_path / "cut.h5").write_bytes((tmp_path / "map.h5").read_bytes()[:300])
    with pytest.raises(InputError):
        read_hdf5_map(tmp_path / "cut.h5")


@pytest.fixture(scope="module")
def model_place(data_folder):
    path = data_folder / "ctao" / "gll_iem_v06_gc.fits.gz"
    if not path.is_file():
        reason = f"no {path.name}: run `skysift data fetch ctao`"
        if os.environ.get("SKYSIFT_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def test_fermi_model_covers_the_centre_and_nothing_else(model_place):
    image = read_fits_image(model_place)
    assert image.array.shape == (30, 64, 120)
    assert (image.unit, image.energy_unit) == ("", "MeV")
    shape = fermi_shape(image, image.energies, image.energy_unit)
    assert (shape.lon_deg[0], shape.lon_deg[-1], shape.lat_deg[0], shape.lat_deg[-1]) == (-7.4375, 7.4375, -4.0, 3.875)
    view = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)
    found = mean_one(shape, view)
    assert found @ view.areas_deg2 == pytest.approx(view.areas_deg2.sum())
    plane, off = found[np.abs(view.lat_deg) < 0.1].mean(), found[np.abs(view.lat_deg) > 3].mean()
    assert 4 < plane / off < 20
    # The centre of the map is the map's own value there.
    centre = shape.sample(0.0625, 0.0) / shape.values[32, 60]
    assert centre == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(InputError, match=r"pixels outside the map.*\n.*l -7.5 .. 7.5 deg, b -4.0625 .. 3.9375 deg"):
        mean_one(shape, LonLatGrid.from_step(-4.0, 4.0, -4.0, 4.0, 0.4))
    margin = fermi_shape(image, image.energies, image.energy_unit, extend_deg=0.5)
    assert np.isfinite(mean_one(margin, LonLatGrid.from_step(-4.0, 4.0, -4.0, 4.0, 0.4), view)).all()
    with pytest.raises(InputError, match="energy band") as caught:
        fermi_shape(image, image.energies, image.energy_unit, band_tev=(0.01, 10.0))
    assert caught.value.place == image.place
    assert GAGGERO_NORM == 1.36e-8
