"""Templates of users from the configuration: FITS images and cubes, HEALPix, HDF5 arrays, with and without energies."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from tests.models.events.sources import component

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.geometry.healpix import pixel_vectors
from skysift.geometry.sphere import lonlat_deg
from skysift.instruments.ctao import Axes
from skysift.models.events.lights import make_light
from skysift.sky.spectra import PowerLaw

AXES = Axes(EnergyAxis.from_bins(0.3, 30.0, 4), LonLatGrid.from_step(-1.5, 1.5, -1.5, 1.5, 0.5))
ENERGIES_GEV = np.geomspace(100.0, 1e5, 13)
NSIDE = 128
SPECTRUM = {"index": 2.2}


def intensity(lon, lat):
    """Something smooth, cm-2 s-1 sr-1 TeV-1 at 1 TeV."""
    return 1e-9 * (2 + np.sin(np.radians(40 * lon)) + 0.5 * np.cos(np.radians(30 * lat)))


def spectrum_of_planes():
    return (ENERGIES_GEV / 1000) ** -2.4 / 1e3  # per GeV


def plane(is_cube):
    lon, lat = 0.1 * (np.arange(51) - 25), 0.1 * (np.arange(45) - 22)
    image = intensity(lon, lat[:, None])
    return lon, lat, spectrum_of_planes()[:, None, None] * image if is_cube else image


def write_image(path, is_cube, **cards):
    hdu = fits.PrimaryHDU(plane(is_cube)[2])
    hdu.header.update(
        CTYPE1="GLON-CAR", CTYPE2="GLAT-CAR", CRPIX1=26.0, CRPIX2=23.0, CRVAL1=0.0, CRVAL2=0.0, CDELT1=0.1, CDELT2=0.1,
        CUNIT1="deg", CUNIT2="deg", BUNIT="cm-2 s-1 sr-1 GeV-1" if is_cube else "", **cards,
    )  # fmt: skip
    column = fits.Column("Energy", "D", "GeV", array=ENERGIES_GEV)
    more = [fits.BinTableHDU.from_columns([column], name="ENERGIES")] if is_cube else []
    fits.HDUList([hdu, *more]).writeto(path)


def write_hdf5(path, is_cube):
    lon, lat, values = plane(is_cube)
    content = {"values": (values, "cm-2 s-1 sr-1 GeV-1"), "longitude": (lon, "deg"), "latitude": (lat, "deg")}
    if is_cube:
        content["energy"] = (ENERGIES_GEV, "GeV")
    with h5py.File(path, "w") as file:
        for name, (array, unit) in content.items():
            file[name] = array
            file[name].attrs["unit"] = unit


def write_healpix(path, is_cube, **changes):
    lon, lat = lonlat_deg(pixel_vectors(NSIDE))
    image = intensity(lon, lat)
    if is_cube:
        planes = spectrum_of_planes()[:, None] * image
        columns = [fits.Column(f"ENERGY{k + 1}", "D", "cm-2 s-1 sr-1 GeV-1", array=own) for k, own in enumerate(planes)]
    else:
        columns = [fits.Column("VALUE", "D", array=image)]
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    cards = {"PIXTYPE": "HEALPIX", "ORDERING": "RING", "NSIDE": NSIDE, "COORDSYS": "GAL"} | changes
    table.header.update({name: value for name, value in cards.items() if value is not None})
    energies = fits.Column("ENERGY", "D", "GeV", array=ENERGIES_GEV)
    more = [fits.BinTableHDU.from_columns([energies], name="ENERGIES")] if is_cube else []
    fits.HDUList([fits.PrimaryHDU(), table, *more]).writeto(path)


WRITERS = {"image.fits": write_image, "array.h5": write_hdf5, "healpix.fits": write_healpix}


def light(folder, name, axes=AXES, **settings):
    part = component({"sky": "template", "file": name, **settings})
    return make_light(part, axes, AXES.grid, lambda file, role: folder / file)


@pytest.mark.parametrize("name", WRITERS)
def test_a_map_is_shared_out_and_takes_the_spectrum(tmp_path, name):
    WRITERS[name](tmp_path / name, False)
    made = light(tmp_path, name, spectrum=SPECTRUM)
    grid = AXES.grid
    wanted = intensity(grid.lon_deg, grid.lat_deg) * grid.areas_deg2
    flux = PowerLaw(1e-12, 2.2).integrals(AXES.energy.edges_tev.copy()).numpy()
    np.testing.assert_allclose(made.cube, np.outer(flux, wanted / wanted.sum()), rtol=2e-2)
    assert made.cube.sum() == pytest.approx(flux.sum(), rel=1e-12)


@pytest.mark.parametrize("name", WRITERS)
def test_a_cube_brings_its_own_flux(tmp_path, name):
    WRITERS[name](tmp_path / name, True)
    made = light(tmp_path, name)
    grid, edges = AXES.grid, AXES.energy.edges_tev
    solid = np.radians(1) ** 2 * grid.areas_deg2
    wanted = np.outer((edges[:-1] ** -1.4 - edges[1:] ** -1.4) / 1.4, intensity(grid.lon_deg, grid.lat_deg) * solid)
    np.testing.assert_allclose(made.cube, wanted, rtol=2e-2)
    np.testing.assert_allclose(made.cube.sum(1), wanted.sum(1), rtol=1e-3)


def test_discrete_bins_take_values_at_their_centres(tmp_path):
    write_image(tmp_path / "image.fits", False)
    discrete = Axes(AXES.energy, AXES.grid, is_discrete=True)
    made = light(tmp_path, "image.fits", discrete, spectrum=SPECTRUM)
    wanted = intensity(AXES.grid.lon_deg, AXES.grid.lat_deg)
    flux = 1e-12 * AXES.energy.centres_tev**-2.2 * discrete.widths_tev
    np.testing.assert_allclose(made.cube, np.outer(flux, wanted / wanted.sum()), rtol=1e-5)


def test_frames_and_orders_of_healpix(tmp_path):
    import healpy

    write_healpix(tmp_path / "plain.fits", False)
    wanted = light(tmp_path, "plain.fits", spectrum=SPECTRUM).cube
    lon, lat = lonlat_deg(pixel_vectors(NSIDE) @ np.asarray(healpy.Rotator(coord=["C", "G"]).mat).T)
    tables = {
        "nested.fits": (healpy.reorder(intensity(*lonlat_deg(pixel_vectors(NSIDE))), r2n=True), "NESTED", "GAL"),
        "equatorial.fits": (intensity(lon, lat), "RING", "CEL"),
    }
    for name, (values, ordering, frame) in tables.items():
        table = fits.BinTableHDU.from_columns([fits.Column("VALUE", "D", array=values)])
        table.header.update(PIXTYPE="HEALPIX", ORDERING=ordering, NSIDE=NSIDE, COORDSYS=frame)
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / name)
        np.testing.assert_allclose(light(tmp_path, name, spectrum=SPECTRUM).cube, wanted, rtol=2e-2)


def test_what_a_header_does_not_say_may_be_stated_and_never_against_it(tmp_path):
    write_healpix(tmp_path / "silent.fits", False, COORDSYS=None)
    with pytest.raises(InputError, match="coordsys"):
        light(tmp_path, "silent.fits", spectrum=SPECTRUM)
    assert light(tmp_path, "silent.fits", spectrum=SPECTRUM, coordsys="galactic").cube.any()
    write_healpix(tmp_path / "loud.fits", False)
    with pytest.raises(InputError, match="ring, as the header says"):
        light(tmp_path, "loud.fits", spectrum=SPECTRUM, ordering="nested")


@pytest.mark.parametrize("name", WRITERS)
def test_maps_need_a_spectrum_and_cubes_none(tmp_path, name):
    WRITERS[name](tmp_path / f"map-{name}", False)
    with pytest.raises(InputError, match="spectrum") as caught:
        light(tmp_path, f"map-{name}")
    assert caught.value.place.endswith(name)
    WRITERS[name](tmp_path / f"cube-{name}", True)
    with pytest.raises(InputError, match="leave spectrum out"):
        light(tmp_path, f"cube-{name}", spectrum=SPECTRUM)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_told(tmp_path, name):
    WRITERS[name](tmp_path / name, True)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError) as caught:
        light(tmp_path, name)
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.remedy


def test_maps_that_do_not_cover_the_field_are_told(tmp_path):
    write_hdf5(tmp_path / "cube.h5", True)
    wide = Axes(AXES.energy, LonLatGrid.from_step(-4.0, 4.0, -1.5, 1.5, 0.5))
    with pytest.raises(InputError, match="pixels outside the map"):
        light(tmp_path, "cube.h5", wide)
    high = Axes(EnergyAxis.from_bins(0.3, 900.0, 4), AXES.grid)
    with pytest.raises(InputError, match=r"cube\.h5[^\n]*\n *field *energy band"):
        light(tmp_path, "cube.h5", high)
