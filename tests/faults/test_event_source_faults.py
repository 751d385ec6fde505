"""Sources of events whose catalogue, map or table is absent, damaged or says something else."""

import numpy as np
import pytest
from astropy.io import fits
from tests.faults.event_words import main_or_none, prepare_words, slice_with, source


def test_an_unknown_source_of_a_catalogue_is_named_with_the_nearest(run, tmp_path, refuse):
    config = slice_with(run, tmp_path, "observation", source(sky="synthetic_catalogue", sources=["Centre", "nobody"]))
    parts = refuse(prepare_words(config, tmp_path), "sources")
    assert "did you mean" in parts["do"] or "known names" in parts["do"]


@pytest.mark.parametrize("sky", ["hgps", "fermi_diffuse", "template"])
@pytest.mark.parametrize("content", [b"", b"SIMPLE  =                    T", b"no FITS at all", None])
def test_a_map_or_catalogue_that_is_damaged_stops_prepare(run, tmp_path, refuse, sky, content):
    path = tmp_path / "map.fits"
    if content is None:
        fits.PrimaryHDU(np.ones((40, 40))).writeto(path)
        path.write_bytes(path.read_bytes()[:4000])
    else:
        path.write_bytes(content)
    keys = {"spectrum": {"index": 2}} if sky == "template" else {}
    config = slice_with(run, tmp_path, "observation", source(sky=sky, file=str(path), **keys))
    refuse(prepare_words(config, tmp_path), file=path)


def test_a_file_that_is_nowhere_is_told(run, tmp_path, refuse):
    config = slice_with(run, tmp_path, "observation", source(sky="hgps", file="elsewhere/catalogue.fits"))
    refuse(prepare_words(config, tmp_path), "elsewhere/catalogue.fits", "skysift data list")


CHANNELS = {
    "a binary file": (b"mDM logx b\n\xff\xfe\x00\x81", "table", "utf-8"),
    "binary from its first line": (b"\xff\xfe\x00\x81", "table", "utf-8"),
    "an empty file": (b"", "channel spectra", "0 bytes"),
    "a header alone": (b"# mDM logx b\n\n# nothing\n", "table", "no numbers"),
    "a name too many": (b"mDM logx b W\n1000 -1 1\n1000 0 1\n9000 -1 1\n9000 0 1\n", "header", "4 names, 3 columns"),
    "a name too few": (b"mDM logx b\n1000 -1 1 2\n1000 0 1 2\n", "header", "3 names, 4 columns"),
    "a word among numbers": (b"mDM logx b\n1000 -1 much\n", "table", "much"),
    "a single mass": (b"mDM logx b\n2000 -1 1\n2000 0 1\n", "masses", "one, 2 TeV"),
    "no number": (b"mDM logx b\n1000 -1 1\n1000 0 nan\n", "rows", "row 2"),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_table_of_channels_that_is_damaged_stops_the_step(run, tmp_path, refuse, name):
    content, field, found = CHANNELS[name]
    path = tmp_path / "channels.txt"
    path.write_bytes(content)
    spectrum = {"kind": "annihilation", "mass": "2 TeV", "channel": "b", "file": str(path)}
    config = slice_with(run, tmp_path, "observation", source(sky="dark_matter", spectrum=spectrum))
    parts = refuse(prepare_words(config, tmp_path), file=path)
    assert field in parts["field"]
    assert found in parts["found"]


def test_a_sound_table_of_channels_is_prepared(run, tmp_path):
    """Control: what the tests above spoil."""
    path = tmp_path / "channels.txt"
    path.write_bytes(b"# mDM logx b\n1000 -1 1\n1000 0 1 # a word\n\n9000 -1 1\n9000 0 1\n")
    spectrum = {"kind": "annihilation", "mass": "2 TeV", "channel": "b", "file": str(path)}
    config = slice_with(run, tmp_path, "observation", source(sky="dark_matter", spectrum=spectrum))
    main_or_none(prepare_words(config, tmp_path))


DARK = {
    "a point": {"sky": "point", "center": ["40 deg", "0 deg"], "spectrum": {"index": 2}},
    "a shell": {"sky": "shell", "center": ["40 deg", "0 deg"], "size": "1 deg", "spectrum": {"index": 2}},
    "a moving index": {"sky": "point", "center": ["40 deg", "0 deg"], "spectrum": {"index": {"uniform": [2, 3]}}},
    "part of a catalogue": {"sky": "synthetic_catalogue", "sources": ["SYN J0011"]},
}


@pytest.mark.parametrize("name", DARK)
def test_a_source_that_the_field_does_not_see_is_named(run, tmp_path, refuse, name):
    config = slice_with(run, tmp_path, "observation", source(**DARK[name]))
    parts = refuse(prepare_words(config, tmp_path), file=config)
    assert parts["field"] == "components.extra"
    assert "no light" in parts["found"]
