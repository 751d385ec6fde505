"""What can be wrong with the files of maps: one case per row."""

import os

import numpy as np
import pytest
from astropy.io import fits
from tests.faults.small_maps import PIXELS, check_fault


def fits_cut(case):
    path = case.use_fits("exposure")
    path.write_bytes(path.read_bytes()[:9000])
    return "prepare", [path.name]


def fits_empty(case):
    path = case.use_fits("exposure")
    path.write_bytes(b"")
    return "prepare", [path.name, "0 bytes"]


def fits_wrong_hdu(case):
    path = case.use_fits("exposure", hdu=3)
    return "prepare", [path.name, "3"]


def fits_wrong_column(case):
    path = case.use_fits("exposure", field="EXPOSUR")
    return "prepare", [path.name, "EXPOSUR", "EXPOSURE"]


def fits_damaged(case):
    path = case.use_fits("exposure")
    content = bytearray(path.read_bytes())
    content[-2880 * 4] ^= 1
    path.write_bytes(content)
    return "prepare", [path.name, "SUM"]


def fits_partial_sky_too_small(case):
    pixels = np.arange(100)
    columns = [fits.Column("PIXEL", "J", array=pixels), fits.Column("EXPOSURE", "D", array=np.full(100, 7e10))]
    path = case.use_fits("exposure", {"INDXSCHM": "EXPLICIT"}, columns)
    return "prepare", [path.name, "EXPOSURE", "does not cover"]


def npy_cut(case):
    case.save("template")
    path = case.folder / "template.npy"
    path.write_bytes(path.read_bytes()[:5000])
    return "prepare", ["template.npy", "glow"]


def npy_of_objects(case):
    np.save(case.folder / "template.npy", np.array([{"a": 1}] * PIXELS, dtype=object), allow_pickle=True)
    return "prepare", ["template.npy", "glow", "object"]


def npy_of_three_axes(case):
    case.save("template", np.ones((2, 3, PIXELS)))
    return "prepare", ["template.npy", "glow", "(2, 3, 3072)"]


def missing(case):
    case.write()
    (case.folder / "template.npy").unlink()
    return "prepare", ["template.npy", "observation.templates.glow", "an existing file"]


def folder(case):
    (case.folder / "template.npy").mkdir()
    return "prepare", ["template.npy", "glow", "a folder"]


def fifo(case):
    os.mkfifo(case.folder / "template.npy")
    return "prepare", ["template.npy", "glow", "a FIFO"]


def device(case):
    (case.folder / "template.npy").symlink_to("/dev/zero")
    return "prepare", ["template.npy", "glow", "a device"]


# Row of the table of faults, and what is wrong.
FAULTS = [
    *((19, fault) for fault in (fits_cut, fits_empty, fits_wrong_hdu, fits_wrong_column, fits_damaged)),
    *((19, fault) for fault in (fits_partial_sky_too_small, npy_cut, npy_of_objects, npy_of_three_axes)),
    *((26, fault) for fault in (missing, folder, fifo, device)),
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=[f"{row}-{fault.__name__}" for row, fault in FAULTS])
def test_fault_stops_before_any_work(case, capsys, row, fault):
    check_fault(case, capsys, fault, is_written=fault is not missing)
