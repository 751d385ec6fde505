"""Maps of every layout end as RING, Galactic and float64."""

import healpy
import numpy as np
import pytest
from astropy.io import fits

from skysift.errors import InputError
from skysift.instruments.fermi.maps import MapFile, read_map

NSIDE = 8
VALUES = np.random.Generator(np.random.PCG64(6)).uniform(1.0, 2.0, 12 * NSIDE**2)


def write_table(path, columns, **cards):
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update({"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "GAL", "NSIDE": NSIDE, **cards})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return MapFile(path)


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("partial", [False, True])
def test_healpy_files(tmp_path, nest, partial):
    stored = healpy.reorder(VALUES, r2n=True) if nest else VALUES.copy()
    if partial:
        stored[100:200] = healpy.UNSEEN
    healpy.write_map(tmp_path / "map.fits", stored, nest=nest, coord="G", partial=partial, dtype=np.float64)
    entry = read_map("glow", "template", MapFile(tmp_path / "map.fits", column=None))
    seen = np.isfinite(entry.values[0])
    assert entry.is_partial == partial
    assert seen.sum() == len(VALUES) - (100 if partial else 0)
    np.testing.assert_array_equal(entry.values[0, seen], VALUES[seen])


def test_cube_of_channels(tmp_path):
    columns = [fits.Column(f"CHANNEL{number}", "D", array=number * VALUES) for number in (1, 2, 3)]
    file = write_table(tmp_path / "cube.fits", columns, HPX_CONV="FGST-CCUBE", INDXSCHM="IMPLICIT")
    np.testing.assert_array_equal(read_map("counts", "counts", file).values, np.outer([1, 2, 3], VALUES))


def test_partial_cube(tmp_path):
    pixels = np.arange(50, 90)
    columns = [fits.Column("PIX", "J", array=pixels)]
    columns += [fits.Column(f"CHANNEL{number}", "D", array=number * VALUES[pixels]) for number in (1, 2)]
    file = write_table(tmp_path / "cube.fits", columns, HPX_CONV="GADF", INDXSCHM="EXPLICIT")
    entry = read_map("counts", "counts", file)
    assert entry.is_partial
    np.testing.assert_array_equal(entry.values[:, pixels], np.outer([1, 2], VALUES[pixels]))
    assert np.isnan(np.delete(entry.values, pixels, axis=1)).all()


def test_equatorial_template_is_turned_and_says_so(tmp_path):
    file = write_table(tmp_path / "map.fits", [fits.Column("GLOW", "D", array=VALUES)], COORDSYS="C")
    entry = read_map("glow", "template", file)
    assert entry.warnings == ("glow: rotated from equatorial to Galactic pixels",)
    assert entry.values.mean() == pytest.approx(VALUES.mean(), rel=0.02)


def test_user_arrays_are_never_modified(tmp_path):
    np.save(tmp_path / "map.npy", VALUES)
    before = (tmp_path / "map.npy").read_bytes()
    file = MapFile(tmp_path / "map.npy", ordering="nested", coordsys="equatorial")
    read_map("glow", "template", file).values[:] = 0.0
    assert (tmp_path / "map.npy").read_bytes() == before


def test_resolution_of_counts_is_never_raised(tmp_path):
    np.save(tmp_path / "map.npy", np.ones(12 * NSIDE**2))
    entry = read_map("counts", "counts", MapFile(tmp_path / "map.npy", ordering="ring", coordsys="galactic"))
    assert entry.at_nside(4).values.sum() == entry.values.sum()
    with pytest.raises(InputError, match="photons cannot be split"):
        entry.at_nside(16)
