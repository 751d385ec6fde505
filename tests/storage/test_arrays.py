"""Maps of others: every layout we know is read, everything else refused with file and field."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from skysift.errors import InputError
from skysift.storage.arrays import read_fits_map, read_npy

NSIDE = 4
PIXELS = 12 * NSIDE**2
MAP = np.random.default_rng(2).uniform(1, 2, PIXELS)


def table(columns, cards=(), name="SKYMAP"):
    made = [fits.Column(name, form, array=array, unit=unit) for name, form, array, unit in columns]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update({"PIXTYPE": "HEALPIX", "NSIDE": NSIDE, "ORDERING": "RING", "COORDSYS": "GAL"})
    for key, value in dict(cards).items():
        if value is None:
            del hdu.header[key]
        else:
            hdu.header[key] = value
    return hdu


def save(path, *tables, checksum=False):
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, checksum=checksum)
    return path


def one(cards=(), array=MAP):
    return table([("COUNTS", "D", array, "counts")], cards)


@pytest.mark.parametrize("dtype", ["?", "u1", "<i4", ">f8", "<f4"])
@pytest.mark.parametrize("shape", [(), (0,), (12,), (3, 4)])
def test_npy_round_trip(tmp_path, dtype, shape):
    array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", np.array(array, order="F"))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array, strict=True)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
@pytest.mark.parametrize("checksum", [False, True])
def test_one_column(tmp_path, suffix, checksum):
    found = read_fits_map(save(tmp_path / f"a.{suffix}", one(), checksum=checksum))
    np.testing.assert_array_equal(found.array, MAP)
    assert found.array.dtype == np.float64
    assert found.array.dtype.isnative
    assert (found.unit, found.nside, found.ordering, found.coordsys) == ("counts", NSIDE, "ring", "galactic")
    assert found.pixels is None


def test_rows_of_several_pixels(tmp_path):
    hdu = table([("TEMPERATURE", "16E", MAP.reshape(-1, 16), "K")])
    np.testing.assert_array_equal(read_fits_map(save(tmp_path / "a.fits", hdu)).array, MAP.astype(np.float32))


def test_rows_of_several_energies(tmp_path):
    cube = np.stack([MAP, 2 * MAP, 3 * MAP])
    hdu = table([("FLUX", "3D", cube.T, "")])
    np.testing.assert_array_equal(read_fits_map(save(tmp_path / "a.fits", hdu)).array, cube)


def test_healpy_writes_what_we_read(tmp_path):
    import healpy

    healpy.write_map(tmp_path / "a.fits", MAP, nest=True, coord="C", dtype=np.float64)
    found = read_fits_map(tmp_path / "a.fits")
    np.testing.assert_array_equal(found.array, MAP)
    assert (found.ordering, found.coordsys) == ("nested", "equatorial")


@pytest.mark.parametrize("name", ["EBOUNDS", "SKYMAP_BANDS"])
def test_counts_cube_with_edges(tmp_path, name):
    channels = [(f"CHANNEL{n}", "J", np.full(PIXELS, n), "") for n in (1, 2)]
    bounds = [("E_MIN", "D", np.array([1.0, 2.0]), "keV"), ("E_MAX", "D", np.array([2.0, 5.0]), "keV")]
    energies = table(bounds, {"ORDERING": None, "PIXTYPE": None}, name)
    found = read_fits_map(save(tmp_path / "a.fits", table(channels), energies))
    np.testing.assert_array_equal(found.array, np.repeat([[1], [2]], PIXELS, axis=1))
    np.testing.assert_array_equal(found.energy_edges, [1.0, 2.0, 5.0])
    assert found.energy_unit == "keV"
    assert read_fits_map(tmp_path / "a.fits", field="CHANNEL2").array.shape == (PIXELS,)


def test_exposure_cube_with_energies(tmp_path):
    maps = [(f"ENERGY{n}", "D", n * MAP, "cm2 s") for n in (1, 2)]
    energies = table([("Energy", "D", np.array([1e3, 1e4]), "MeV")], {"ORDERING": None, "PIXTYPE": None}, "ENERGIES")
    found = read_fits_map(save(tmp_path / "a.fits", table(maps, name="HPXEXPOSURES"), energies))
    assert found.array.shape == (2, PIXELS)
    np.testing.assert_array_equal(found.energies, [1e3, 1e4])
    assert (found.unit, found.energy_unit, found.energy_edges) == ("cm2 s", "MeV", None)


def test_partial_sky(tmp_path):
    chosen = np.array([3, 5, 190])
    hdu = table([("PIXEL", "K", chosen, ""), ("COUNTS", "D", MAP[chosen], "")], {"INDXSCHM": "EXPLICIT"})
    found = read_fits_map(save(tmp_path / "a.fits", hdu))
    np.testing.assert_array_equal(found.pixels, chosen)
    np.testing.assert_array_equal(found.array, MAP[chosen])


def test_silent_header_is_reported_not_guessed(tmp_path):
    path = save(tmp_path / "a.fits", one({"ORDERING": None, "COORDSYS": None, "NSIDE": None}))
    found = read_fits_map(path)
    assert (found.ordering, found.coordsys, found.nside) == (None, None, NSIDE)


def two_columns(cards=()):
    return table([("I", "D", MAP, ""), ("Q", "D", MAP, "")], cards)


@pytest.mark.parametrize(
    ("hdu", "asked", "message"),
    [
        (one({"ORDERING": "NUNIQ"}), {}, "ORDERING"),
        (one({"COORDSYS": "MARS"}), {}, "COORDSYS"),
        (one({"NSIDE": 8}), {}, "192 pixels"),
        (one({"NSIDE": "four"}), {}, "NSIDE"),
        (one({"NSIDE": None}, MAP[:190]), {}, "190 pixels"),
        (one(), {"hdu": 7}, "no such HDU"),
        (one(), {"hdu": "MAPS"}, "1 SKYMAP"),
        (one(), {"hdu": 0}, "a binary table"),
        (one(), {"field": "COUNT"}, "did you mean 'COUNTS'"),
        (one(), {"field": 3}, "1 columns"),
        (two_columns(), {}, "2 columns: I, Q"),
        (table([("NAME", "3A", np.array(["abc"] * PIXELS), "")]), {}, "NAME"),
        (table([("FLUX", "4D", np.ones((PIXELS, 4)), "")], {"NSIDE": None}), {}, "NSIDE"),
        (table([("PIX", "J", np.array([1, 1]), ""), ("X", "D", np.ones(2), "")]), {}, "PIX"),
        (table([("PIX", "J", np.array([1, 192]), ""), ("X", "D", np.ones(2), "")]), {}, "pixel 192"),
        (table([("PIX", "J", np.array([1, 2]), ""), ("X", "D", np.ones(2), "")], {"NSIDE": None}), {}, "NSIDE"),
    ],
)
def test_faults_name_file_and_field(tmp_path, hdu, asked, message):
    path = save(tmp_path / "a.fits", hdu)
    with pytest.raises(InputError, match=message) as caught:
        read_fits_map(path, **asked)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_column_is_found_by_name_and_number(tmp_path):
    path = save(tmp_path / "a.fits", table([("I", "D", MAP, ""), ("Q", "D", 2 * MAP, "K")]))
    for field in ("Q", "q", 1):
        found = read_fits_map(path, field=field)
        np.testing.assert_array_equal(found.array, 2 * MAP)
        assert found.unit == "K"


def test_bins_with_gaps_are_refused(tmp_path):
    bounds = [("E_MIN", "D", np.array([1.0, 3.0]), "keV"), ("E_MAX", "D", np.array([2.0, 5.0]), "keV")]
    energies = table(bounds, {"ORDERING": None, "PIXTYPE": None}, "EBOUNDS")
    with pytest.raises(InputError, match="gaps"):
        read_fits_map(save(tmp_path / "a.fits", one(), energies))


def test_compressed_image_is_refused(tmp_path):
    image = fits.CompImageHDU(np.zeros((50, 50), dtype=np.int16), name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match="a binary table"):
        read_fits_map(tmp_path / "a.fits", hdu=1)


def test_missing_padding_does_no_harm(tmp_path):
    path = save(tmp_path / "a.fits", one())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(whole) % 2880 - 100])
    np.testing.assert_array_equal(read_fits_map(path).array, MAP)
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_fits_map(tmp_path / "b.fits.gz").array, MAP)
