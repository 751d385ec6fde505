"""Observed event lists (GADF) that are cut, contradict themselves or hold something else: the step stops."""

import numpy as np
import pytest
from astropy.io import fits
from tests.faults.event_words import main_or_none, prepare_words, slice_with

from skysift.instruments.ctao.event_list import read_events


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_an_observed_list_that_is_cut_stops_the_step(run, tmp_path, refuse, share, repository):
    folder = tmp_path / "lists"
    main_or_none(["export", "--observation", run.observation, "--data", run.simulate(), "--out-dir", folder])
    path = folder / "simulated-000_000.fits"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(events=[str(path)]))
    words = ["observe", "--config", config, "--observation", run.observation, "--out", tmp_path / "out.h5"]
    refuse(words, file=path)


def export_list(run, tmp_path):
    """Write the run's events as other tools have them, and return the file and the words of the steps that read it."""
    folder = tmp_path / "lists"
    main_or_none(["export", "--observation", run.observation, "--data", run.simulate(), "--out-dir", folder])
    path = folder / "simulated-000_000.fits"
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(events=[str(path)]))
    words = ["observe", "--config", config, "--observation", run.observation, "--out", tmp_path / "out.h5"]
    return path, {"prepare": prepare_words(config, tmp_path), "observe": words}


def change_list(path, cards, columns, copies):
    """Rewrite an event list; columns are made of their format and values of as many events, None where deleted."""
    with fits.open(path) as hdus:
        old = hdus["EVENTS"]
        parts = [fits.Column(part.name, part.format, part.unit, array=old.data[part.name])
                 for part in old.columns if part.name not in columns]  # fmt: skip
        for name, make in columns.items():
            unit = old.columns[name].unit
            parts.append(fits.Column(name, make[0], unit, array=make[1](old.data[name].copy())))
        kept = {key: value for key, value in old.header.items() if not key.startswith(("T", "NAXIS", "XT", "BIT"))}
        table = fits.BinTableHDU.from_columns(parts, name="EVENTS")
        table.header.update({key: kept[key] for key in kept if key not in {"PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM"}})
        for name, value in cards.items():
            if value is None:
                table.header.remove(name)
            else:
                table.header[name] = value
        made = fits.HDUList([fits.PrimaryHDU(), *[table.copy() for _ in range(copies)]])
        made.writeto(path, overwrite=True, checksum=True)


def set_row(value):
    def edit(values):
        values = np.asarray(values, dtype=np.float64)
        values[7] = value
        return values

    return edit


def as_text(values):
    return np.array([f"{value:.6g}" for value in values])


def doubled(values):
    return np.stack([values, values], 1)


LISTS = {
    # step, cards, columns, number of copies, field, found
    "a declination of the pointing": ("prepare", {"DEC_PNT": 100.0}, {}, 1, "card DEC_PNT", "100 deg"),
    "a right ascension of the pointing": ("prepare", {"RA_PNT": 361.0}, {}, 1, "card RA_PNT", "361 deg"),
    "a number of a component in words": ("prepare", {"MID00001": "abc"}, {}, 1, "card MID00001", "abc"),
    "a broken number of a component": ("prepare", {"MID00001": 0.5}, {}, 1, "card MID00001", "0.5"),
    "a reference time in words": ("prepare", {"MJDREFI": "x"}, {}, 1, "card MJDREFI", "x"),
    "a frame of 1950": ("prepare", {"RADECSYS": "FK4"}, {}, 1, "card RADECSYS", "FK4"),
    "a frame of 1950 by its new name": ("prepare", {"RADESYS": "FK4"}, {}, 1, "card RADESYS", "FK4"),
    "two frames": ("prepare", {"RADESYS": "FK5"}, {}, 1, "RADESYS and RADECSYS", "FK5 and ICRS"),
    "an equinox of 1950": ("prepare", {"RADECSYS": "FK5", "EQUINOX": 1950.0}, {}, 1, "card EQUINOX", "1950"),
    "two lists in a file": ("prepare", {}, {}, 2, "EVENTS", "HDUs 1, 2"),
    "a declination": ("observe", {}, {"DEC": ("D", set_row(95.0))}, 1, "column DEC", "row 7: 95 deg"),
    "a right ascension": ("observe", {}, {"RA": ("D", set_row(-200.0))}, 1, "column RA", "row 7: -200 deg"),
    "a true declination": ("observe", {}, {"DEC_TRUE": ("D", set_row(-91.0))}, 1, "column DEC_TRUE", "row 7: -91 deg"),
    "names of events in text": ("observe", {}, {"EVENT_ID": ("12A", as_text)}, 1, "column EVENT_ID", "text"),
    "components in text": ("observe", {}, {"MC_ID": ("12A", as_text)}, 1, "column MC_ID", "text"),
    "energies in text": ("observe", {}, {"ENERGY": ("12A", as_text)}, 1, "column ENERGY", "text"),
    "two energies per event": ("observe", {}, {"ENERGY": ("2D", doubled)}, 1, "column ENERGY", "2 values per event"),
    "times in two parts": ("observe", {}, {"TIME": ("2D", doubled)}, 1, "column TIME", "2 values per event"),
    "energies of yes and no": ("observe", {}, {"ENERGY": ("L", lambda values: values > 1)}, 1, "column ENERGY", "yes"),
    "an event without a number": ("observe", {}, {"EVENT_ID": ("D", set_row(np.nan))}, 1, "column EVENT_ID",
                                  "row 7: nan"),
    "half an event": ("observe", {}, {"EVENT_ID": ("D", set_row(0.5))}, 1, "column EVENT_ID", "row 7: 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_fault_of_an_observed_list_stops_the_step(run, tmp_path, refuse, name):
    step, cards, columns, copies, field, found = LISTS[name]
    path, words = export_list(run, tmp_path)
    change_list(path, cards, columns, copies)
    parts = refuse(words[step], file=path)
    assert field in parts["field"]
    assert found in parts["found"]


FRAMES = {
    "ICRS": {},
    "nothing": {"RADECSYS": None},
    "FK5": {"RADECSYS": "FK5"},
    "FK5 without an equinox": {"RADECSYS": None, "RADESYS": "FK5", "EQUINOX": None},
}


@pytest.mark.parametrize("name", FRAMES)
def test_lists_in_frames_of_2000_are_read(run, tmp_path, name):
    """Control: FK5 differs from ICRS by milliarcseconds, and not by zero; numbers of events may be stored as floats."""
    path, words = export_list(run, tmp_path)
    change_list(path, FRAMES[name], {"EVENT_ID": ("D", lambda values: values)}, 1)
    main_or_none(words["observe"])
    found, wanted = read_events(tmp_path / "out.h5"), read_events(run.simulate())
    off = np.abs(found.lat - wanted.lat).max()
    assert off < 2e-5
    assert (off > 1e-9) == ("FK5" in name)


def test_two_columns_of_one_name_are_refused(run, tmp_path, refuse):
    path, words = export_list(run, tmp_path)
    content = path.read_bytes()
    assert content.count(b"'TIME    '") == 1
    path.write_bytes(content.replace(b"'TIME    '", b"'ENERGY  '"))
    parts = refuse(words["observe"], file=path)
    assert "column ENERGY" in parts["field"]
    assert "2 columns" in parts["found"]


@pytest.mark.parametrize("card", [b"NAXIS1  =", b"PCOUNT  =", b"BITPIX  ="])
def test_a_size_that_cannot_be_read_is_told(run, tmp_path, refuse, card):
    path, words = export_list(run, tmp_path)
    content = path.read_bytes()
    at = content.index(card, 2880)
    path.write_bytes(content[:at] + card + b" 8 x [3".ljust(71) + content[at + 80 :])
    parts = refuse(words["prepare"], file=path)
    assert "HDU 1" in parts["field"]
    assert card[:6].decode() in parts["found"]
