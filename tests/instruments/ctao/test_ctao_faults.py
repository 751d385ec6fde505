"""Faults of response files: exit code 2, naming file, table, column, what was found and wanted, and a remedy."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from tests.instruments.ctao.response_files import Column, make_king, make_psf_table, make_tables, write

from skysift.errors import InputError
from skysift.instruments.ctao import read_irf


@pytest.fixture
def refused(tmp_path):
    """Return a function that reads a changed file and returns the error."""

    def check(change, *texts, name="irf.fits"):
        tables = make_tables()
        change(tables)
        path = write(tmp_path / name, tables)
        with pytest.raises(InputError) as caught:
            read_irf(path)
        assert caught.value.exit_code == 2
        assert caught.value.place == str(path)
        assert caught.value.remedy
        for text in texts:
            assert text in str(caught.value)
        return caught.value

    return check


def columns(tables, name):
    return tables[name].columns


def set_column(name, column, **changes):
    """Return a change of one column."""

    def change(tables):
        for key, value in changes.items():
            setattr(columns(tables, name)[column], key, value)

    return change


def test_the_unchanged_file_is_read(tmp_path):
    """Control: what the other tests change is valid before."""
    irf = read_irf(write(tmp_path / "irf.fits", make_tables()))
    assert irf.area_cm2(1.0, 1.0) > 0


@pytest.mark.parametrize(
    ("table", "kind"),
    [("area", "AEFF_2D"), ("psf", "PSF_3GAUSS"), ("dispersion", "EDISP_2D"), ("background", "BKG_3D")],
)
def test_missing_table(refused, table, kind):
    error = refused(lambda tables: tables.pop(table), kind, "no such table")
    known = {"area": "POINT SPREAD FUNCTION", "psf": "EFFECTIVE AREA"}.get(table, "EFFECTIVE AREA")
    assert known in error.found


def test_two_tables_of_a_kind(refused):
    refused(lambda tables: tables.update(more=make_king()), "2 such tables", "PSF_KING")


def test_table_for_point_like_analyses(refused):
    def change(tables):
        tables["area"].cards["HDUCLAS3"] = "POINT-LIKE"

    refused(change, "EFFECTIVE AREA", "POINT-LIKE", "FULL-ENCLOSURE")


@pytest.mark.parametrize(
    ("table", "column"),
    [("area", "EFFAREA"), ("area", "THETA_HI"), ("psf", "AMPL_3"), ("dispersion", "MATRIX"), ("background", "BKG")],
)
def test_missing_column(refused, table, column):
    error = refused(lambda tables: columns(tables, table).pop(column), column)
    assert "a column" in error.wanted


@pytest.mark.parametrize(
    ("table", "column", "unit"),
    [
        ("area", "EFFAREA", "cm2"), ("area", "ENERG_LO", "TeV"), ("psf", "THETA_HI", "deg"), ("psf", "SIGMA_2", "deg"),
        ("background", "BKG", "s-1 MeV-1 sr-1"), ("background", "DETX_LO", "deg"),
    ],
)  # fmt: skip
def test_missing_unit(refused, table, column, unit):
    error = refused(set_column(table, column, unit=""), column, "no unit", "TUNIT")
    assert unit in error.wanted


@pytest.mark.parametrize(
    ("table", "column", "unit"),
    [("area", "EFFAREA", "deg"), ("area", "ENERG_HI", "furlong/"), ("dispersion", "MIGRA_LO", "TeV")],
)
def test_wrong_unit(refused, table, column, unit):
    error = refused(set_column(table, column, unit=unit), column)
    assert unit.rstrip("/") in error.found


def test_scale_may_lack_its_unit(tmp_path):
    tables = make_tables()
    columns(tables, "psf")["SCALE"].unit = ""
    assert read_irf(write(tmp_path / "irf.fits", tables)).psf(1.0, 1.0, 0.0) > 0


def test_other_units_are_converted(tmp_path):
    tables, plain = make_tables(), read_irf(write(tmp_path / "plain.fits", make_tables()))
    for end in ("LO", "HI"):
        axis = columns(tables, "area")[f"ENERG_{end}"]
        columns(tables, "area")[f"ENERG_{end}"] = Column(axis.values * 1e3, "GeV")
    area = columns(tables, "area")["EFFAREA"]
    columns(tables, "area")["EFFAREA"] = Column(area.values * 1e-6, "km^2")
    changed = read_irf(write(tmp_path / "irf.fits", tables))
    assert changed.area_cm2(1.0, 1.0) == pytest.approx(float(plain.area_cm2(1.0, 1.0)), rel=1e-5)


@pytest.mark.parametrize(
    ("table", "column", "change"),
    [
        ("area", "EFFAREA", lambda values: values.T),
        ("area", "EFFAREA", lambda values: values[:2]),
        ("psf", "SIGMA_1", np.ravel),
        ("dispersion", "MATRIX", lambda values: values.transpose(0, 2, 1)),
        ("background", "BKG", lambda values: values.transpose(0, 2, 1)),
    ],
)
def test_wrong_shape(refused, table, column, change):
    def apply(tables):
        changed = columns(tables, table)[column]
        changed.values = change(changed.values)

    error = refused(apply)
    assert column in error.field
    assert "array" in error.found


def test_background_whose_order_cannot_be_told(refused):
    def change(tables):
        table = columns(tables, "background")
        for end in ("LO", "HI"):
            axis = np.geomspace(0.1, 10.0, 7)
            table[f"ENERG_{end}"] = Column(axis[:-1] if end == "LO" else axis[1:], "TeV")
        table["BKG"].values = np.ones((6, 6, 6))

    error = refused(change, "BKG", "6 ENERG, 6 DETY, 6 DETX")
    assert "energies" in error.remedy


@pytest.mark.parametrize("name", ["ENERG", "THETA", "MIGRA"])
@pytest.mark.parametrize("fault", ["falls", "gap", "nan", "empty bin"])
def test_wrong_axis(refused, name, fault):
    table = "dispersion" if name == "MIGRA" else "area"

    def change(tables):
        low, high = (columns(tables, table)[f"{name}_{end}"] for end in ("LO", "HI"))
        low.values, high.values = low.values.copy(), high.values.copy()
        if fault == "falls":
            low.values[[1, 2]], high.values[[1, 2]] = low.values[[2, 1]], high.values[[2, 1]]
        elif fault == "gap":
            high.values[0] *= 0.9
        elif fault == "nan":
            low.values[1] = np.nan
        else:
            high.values[0] = low.values[0]

    error = refused(change, f"{name}_LO")
    wanted = {"falls": "rise", "gap": "touch", "nan": "edges", "empty bin": "width"}[fault]
    assert wanted in error.wanted


def test_energy_of_zero(refused):
    def change(tables):
        low = columns(tables, "area")["ENERG_LO"]
        low.values = np.append(0.0, low.values[1:])

    refused(change, "ENERG_LO", "0 TeV")


def test_one_node_has_no_width(refused):
    def change(tables):
        table = columns(tables, "area")
        table["THETA_LO"], table["THETA_HI"] = Column([1.0], "deg"), Column([1.0], "deg")
        table["EFFAREA"].values = table["EFFAREA"].values[:1]

    refused(change, "THETA_LO", "one node")


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize(("table", "column"), [("area", "EFFAREA"), ("dispersion", "MATRIX"), ("background", "BKG")])
def test_values_that_cannot_be(refused, table, column, value):
    def change(tables):
        columns(tables, table)[column].values.flat[7] = value

    error = refused(change, column, "1 such values")
    assert "finite values >= 0" in error.wanted


def test_point_spread_function_without_any_content(refused):
    def change(tables):
        for name in ("SIGMA_1", "SCALE"):
            columns(tables, "psf")[name].values = np.zeros((3, 5))

    refused(change, "PSF_3GAUSS", "no width above 0")


def test_psf_table_per_steradian_only(refused):
    def change(tables):
        tables["psf"] = make_psf_table()
        columns(tables, "psf")["RPSF"].unit = "deg"

    refused(change, "RPSF", "deg-2")


@pytest.mark.parametrize("value", ["SIDEWAYS"])
def test_unknown_alignment(refused, value):
    def change(tables):
        tables["background"].cards["FOVALIGN"] = value

    refused(change, "FOVALIGN", value, "RADEC or ALTAZ")


def test_unknown_rule_for_empty_nodes(tmp_path):
    path = write(tmp_path / "irf.fits", make_tables())
    with pytest.raises(InputError, match="did you mean 'nearest'"):
        read_irf(path, psf_empty="neares")


def test_live_time_below_zero(tmp_path):
    path = write(tmp_path / "irf.fits", make_tables(), LIVETIME=-3.0)
    with pytest.raises(InputError, match="LIVETIME"):
        read_irf(path)


# ---------------------------------------------------------------- damage


@pytest.fixture
def whole(tmp_path):
    return write(tmp_path / "whole.fits", make_tables())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_file(tmp_path, whole, packed, share):
    content = gzip.compress(whole.read_bytes(), mtime=0) if packed else whole.read_bytes()
    path = tmp_path / ("cut.fits.gz" if packed else "cut.fits")
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as caught:
        read_irf(path)
    assert caught.value.place == str(path)
    assert caught.value.remedy


def test_other_kinds_of_files(tmp_path):
    for name, content in (("a.fits", b"no FITS at all"), ("b.fits.gz", gzip.compress(b"hello")), ("c.fits", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_irf(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_irf(tmp_path / "nothing.fits")


def test_changed_bytes_are_found_by_the_checksum(tmp_path):
    path = tmp_path / "sums.fits"
    primary = fits.PrimaryHDU()
    fits.HDUList([primary, *(table.build() for table in make_tables().values())]).writeto(path, checksum=True)
    assert read_irf(path).area_cm2(1.0, 1.0) > 0
    with fits.open(path) as file:
        place = file["EFFECTIVE AREA"].fileinfo()["datLoc"] + 70
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="SUM"):
        read_irf(path)


def test_columns_that_lie_about_their_size(tmp_path, whole):
    content = whole.read_bytes().replace(b"TFORM1  = '5E      '", b"TFORM1  = '5D      '", 1)
    path = tmp_path / "lies.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match="144 bytes in rows of 124 bytes"):
        read_irf(path)


def test_two_rows(tmp_path, whole):
    with fits.open(whole) as file:
        table = file["EFFECTIVE AREA"]
        doubled = fits.BinTableHDU(np.concatenate((table.data, table.data)), table.header)
        file[1] = doubled
        file.writeto(tmp_path / "rows.fits")
    with pytest.raises(InputError, match="1 row"):
        read_irf(tmp_path / "rows.fits")
