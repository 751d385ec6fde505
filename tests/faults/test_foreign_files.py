"""Faults of the files of others (rows 19, 26, 56 and 60): refused before memory is taken or code is run."""

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skysift.storage.arrays import read_fits_map, read_npy
from skysift.storage.posterior import read_posterior


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- row 26


def make_folder(path):
    path.mkdir()


def link_to(target):
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize("reader", [None, read_npy, read_fits_map, read_posterior])
@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: None, "No such file"),
        (make_folder, "a folder"),
        (os.mkfifo, "a FIFO"),
        (link_to("/dev/zero"), "a device"),
        (link_to("nothing"), "No such file"),
        (Path.touch, "0 bytes"),
    ],
)
def test_26_input_is_no_file(tmp_path, refused, make, found, reader):
    make(tmp_path / "a")
    refused(tmp_path / "a", "", found, reader)


# ---------------------------------------------------------------- rows 19, 56 and 60

CARDS = {
    "XTENSION": "'BINTABLE'", "BITPIX": "8", "NAXIS": "2", "NAXIS1": "8", "NAXIS2": "192", "PCOUNT": "0", "GCOUNT": "1",
    "TFIELDS": "1", "TTYPE1": "'COUNTS  '", "TFORM1": "'D       '", "PIXTYPE": "'HEALPIX '", "ORDERING": "'RING    '",
    "COORDSYS": "'GAL     '", "NSIDE": "4",
}  # fmt: skip


def header(cards):
    lines = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    return lines.ljust(-(-len(lines) // 2880) * 2880).encode()


def fits_bytes(data=bytes(8 * 192), **cards):
    primary = header({"SIMPLE": "T", "BITPIX": "8", "NAXIS": "0"})
    return primary + header({**CARDS, **cards}) + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def with_sums(name):
    stream = io.BytesIO()
    fits.HDUList.fromstring(fits_bytes()).writeto(stream, checksum=True)
    content = stream.getvalue()
    if name == "CHECKSUM":
        # A changed card leaves the data, and so DATASUM, as they were.
        return content.replace(b"'GAL     '", b"'CEL     '")
    at = len(content) - 2880
    return content[:at] + b"\1" + content[at + 1 :]


def test_19_the_fixture_itself_is_good(tmp_path):
    (tmp_path / "a.fits").write_bytes(fits_bytes())
    assert read_fits_map(tmp_path / "a.fits").array.shape == (192,)


@pytest.mark.parametrize(
    ("content", "field", "found"),
    [
        (fits_bytes()[:6000], "HDU 1", ""),
        (fits_bytes()[:4000], "HDU 1", "cut"),
        (fits_bytes()[:1000], "HDU 0", "cut"),
        (b"\x89PNG" * 999, "HDU 0", "another kind"),
        (gzip.compress(fits_bytes())[:-40], "gzip", ""),
        (b"\x1f\x8b" + b"x" * 99, "gzip", ""),
        (with_sums("DATASUM"), "DATASUM", ""),
        (with_sums("CHECKSUM"), "CHECKSUM", ""),
        (fits_bytes(NAXIS1="-8"), "HDU 1", "-8"),
        (fits_bytes(NAXIS="'two'"), "HDU 1", ""),
        (fits_bytes(TFORM1="'?       '"), "", ""),
    ],
)
def test_19_damaged_fits(tmp_path, refused, content, field, found):
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", field, found, read_fits_map)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (fits_bytes(NAXIS2="125000000000000"), "HDU 1"),
        (fits_bytes(PCOUNT="1000000000000000"), "HDU 1"),
        (gzip.compress(fits_bytes(NAXIS2="125000000000000")), "HDU 1"),
        (header({"SIMPLE": "T", "BITPIX": "-64", "NAXIS": "1", "NAXIS1": "125000000000000"}), "HDU 0"),
        (header({"SIMPLE": "T"}).replace(b"END", b"   ") * 9, "HDU 0"),
        (fits_bytes() + header({**CARDS, "NAXIS2": "125000000000000"}), "HDU 2"),
    ],
)
def test_60_fits_that_promises_too_much(tmp_path, refused, frugal, content, field):
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", field, "", read_fits_map)


def test_60_gzip_bomb(tmp_path, refused, frugal):
    """A table of a promised 100 MB of zeros in 0.1 MB: skipped in pieces, and refused as no map."""
    bomb = tmp_path / "a.fits.gz"
    with gzip.open(bomb, "wb", compresslevel=6) as stream:
        stream.write(fits_bytes(b"", NAXIS2="12500000"))
        for _ in range(100):
            stream.write(bytes(1_000_000))
    assert bomb.stat().st_size < 3e5
    refused(bomb, "HDU", "", lambda place: read_fits_map(place, hdu="MAP"))


def npy(text):
    body = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (125000000000000,), }"), "1000000000000000 bytes"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000,), }"), "8000 bytes"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }") + bytes(80), "-1"),
        (npy("{'descr': '<U9', 'fortran_order': False, 'shape': (1,), }") + bytes(80), "<U9"),
        (npy("__import__('os').system('touch hacked')"), ""),
        (npy("(" * 500), ""),
        (b"\x93NUMPY", ""),
        (b"PK\x03\x04" + bytes(99), ""),
    ],
)
def test_60_npy_that_promises_too_much(tmp_path, refused, monkeypatch, frugal, content, found):
    monkeypatch.chdir(tmp_path)
    Path("a.npy").write_bytes(content)
    refused(Path("a.npy"), "array", found, read_npy)
    assert names(tmp_path) == ["a.npy"]


class _Payload:
    def __reduce__(self):
        return (os.mkdir, ("hacked",))


def test_56_object_array(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([_Payload()], dtype=object), allow_pickle=True)
    refused(Path("a.npy"), "array", "object", read_npy)
    assert names(tmp_path) == ["a.npy"], "the payload ran"
    np.load("a.npy", allow_pickle=True)
    assert Path("hacked").exists(), "negative control: the payload works"
