"""Response files that lack something, are cut, or do not reach the axes: `prepare` stops and names the table."""

import gzip
from functools import partial

import numpy as np
import pytest
from tests.faults.event_words import main_or_none, prepare_words, slice_with
from tests.instruments.ctao.response_files import make_tables, write


def test_sound_response_files_are_prepared(run, tmp_path):
    """Control: the tables that the next tests spoil."""
    path = write(tmp_path / "irf.fits", make_tables())
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    main_or_none(prepare_words(config, tmp_path))
    assert (tmp_path / "out.h5").exists()


def drop_unit(tables):
    tables["area"].columns["EFFAREA"].unit = ""


def turn_axis(tables):
    low, high = (tables["area"].columns[f"ENERG_{end}"] for end in ("LO", "HI"))
    low.values, high.values = low.values[::-1].copy(), high.values[::-1].copy()


def enlarge(tables):
    tables["area"].columns["EFFAREA"].values = 1e30 * tables["area"].columns["EFFAREA"].values


def stretch_axis(tables):
    low, high = (tables["area"].columns[f"ENERG_{end}"] for end in ("LO", "HI"))
    edges = np.geomspace(1e-12, 1e12, low.values.size + 1)
    low.values, high.values = edges[:-1].reshape(low.values.shape), edges[1:].reshape(high.values.shape)


RESPONSES = {
    "no effective area": (lambda tables: tables.pop("area"), "AEFF_2D", "no such table"),
    "no point-spread function": (lambda tables: tables.pop("psf"), "PSF_3GAUSS", "no such table"),
    "no dispersion": (lambda tables: tables.pop("dispersion"), "EDISP_2D", "no such table"),
    "no background": (lambda tables: tables.pop("background"), "BKG_3D", "no such table"),
    "no unit": (drop_unit, "EFFAREA", "no unit"),
    "falling energies": (turn_axis, "ENERG_LO", "rise"),
    "an area larger than any field": (enlarge, "EFFAREA", "areas up to 1e+14 cm2"),
    "energies of another unit": (stretch_axis, "ENERG_LO", "energies from 1e-07 to 1e+07 TeV"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_file_that_lacks_something_stops_prepare(run, tmp_path, refuse, name):
    change, field, words = RESPONSES[name]
    tables = make_tables()
    change(tables)
    path = write(tmp_path / "irf.fits", tables)
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    refuse(prepare_words(config, tmp_path), field, words, file=path)


@pytest.mark.parametrize("alignment", ["ALTAZ", None])
def test_a_background_that_follows_the_horizon_stops_prepare(run, tmp_path, refuse, alignment):
    """Never taken for one that follows the sky, also where the card is absent, which means the horizon."""
    tables = make_tables()
    del tables["background"].cards["FOVALIGN"]
    tables["background"].cards |= {} if alignment is None else {"FOVALIGN": alignment}
    path = write(tmp_path / "irf.fits", tables)

    def change(data, **more):
        data["observation"] |= {"irf": str(path), **more}

    words = prepare_words(slice_with(run, tmp_path, "observation", change), tmp_path)
    refuse(words, "background", "FOVALIGN = ALTAZ", "RADEC", file="pointing at l = 0, b = 0 deg")
    # a cut of it, as a function of offset, has no direction
    smeared = partial(change, normalise="discrete", true={}, background="smeared")
    main_or_none(prepare_words(slice_with(run, tmp_path, "observation", smeared), tmp_path))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_response_file_that_is_cut_stops_prepare(run, tmp_path, refuse, packed, share):
    whole = write(tmp_path / "whole.fits", make_tables()).read_bytes()
    content = gzip.compress(whole, mtime=0) if packed else whole
    path = tmp_path / ("cut.fits.gz" if packed else "cut.fits")
    path.write_bytes(content[: int(share * len(content))])
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    refuse(prepare_words(config, tmp_path), file=path)


def test_axes_above_the_tables_stop_prepare(run, tmp_path, refuse):
    path = write(tmp_path / "irf.fits", make_tables())

    def change(data):
        data["observation"]["irf"] = str(path)
        data["observation"]["reconstructed"]["energy"]["range"] = ["20 TeV", "50 TeV"]

    refuse(prepare_words(slice_with(run, tmp_path, "observation", change), tmp_path), "effective area ends at 10 TeV",
           "lower the energies")  # fmt: skip
