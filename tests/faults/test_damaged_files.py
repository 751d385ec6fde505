"""Damage to our own files (rows 36 and 37): a clean error, whatever is cut, changed or half written."""

import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from tests.faults.hdf5_edits import edit

from skysift.storage.hdf5 import Dataset, read, write
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior
from skysift.storage.seal import SEAL_BYTES, add_seal


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not HDF5 at all\n" * 99)


def flip_data(path):
    with h5py.File(path) as file:
        chunk = file["exposure"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 16
    path.write_bytes(content)


def flip_data_and_seal(path):
    flip_data(path)
    path.write_bytes(path.read_bytes()[:-SEAL_BYTES])
    add_seal(path)


def flip_attribute(path):
    content = path.read_bytes()
    assert content.count(b"cm2 s") >= 1
    path.write_bytes(content.replace(b"cm2 s", b"cm2 h"))


@pytest.mark.parametrize(
    ("fault", "field", "found"),
    [
        (cut, "complete", "no checksum"),
        (lambda path: (cut(path), add_seal(path)), "file", "truncated"),
        (empty, "file", "0 bytes"),
        (text, "file", "another kind"),
        (flip_data, "checksum", "another sha256"),
        (flip_data_and_seal, "exposure", "unreadable"),
        (flip_attribute, "checksum", "another sha256"),
        (edit(lambda file: None, is_sealed=False), "complete", "no checksum"),
        (edit(lambda file: file.attrs.__delitem__("complete")), "complete", "no mark"),
        (edit(lambda file: file.attrs.__setitem__("complete", False)), "complete", "no mark"),
        (edit(lambda file: file.attrs.__setitem__("format_version", 0)), "format_version", "observation 0"),
        (edit(lambda file: file.attrs.__setitem__("format_version", 2)), "format_version", "observation 2"),
        (edit(lambda file: file.attrs.__setitem__("format", "counts")), "format", "counts 1"),
        (edit(lambda file: file.attrs.__delitem__("order")), "structure", "order"),
        (edit(lambda file: file.attrs.__setitem__("order", "[")), "structure", ""),
        (edit(lambda file: file.attrs.__setitem__("order", "[" * 100_000)), "structure", ""),
        (edit(lambda file: file.attrs.__setitem__("json", '["nside"]')), "structure", ""),
        (edit(lambda file: file.__delitem__("exposure")), "exposure", "no such dataset"),
        (edit(lambda file: file.create_dataset("more", data=[1])), "more", "does not list"),
        (edit(lambda file: file["exposure"].attrs.__delitem__("unit")), "exposure", "no unit"),
        (edit(lambda file: file["exposure"].attrs.__setitem__("unit", 3)), "exposure", "no unit"),
    ],
)
def test_36_37_damaged_hdf5(good, refused, fault, field, found):
    fault(good)
    refused(good, field, found)


@pytest.mark.parametrize(
    ("data", "field", "found"),
    [
        (Dataset(np.zeros(3), "m2 s"), "exposure", "m2 s"),
        (Dataset(np.zeros(3), ""), "exposure", "''"),
        (Dataset(np.zeros(3, dtype=int), "cm2 s"), "exposure", "int64"),
        (Dataset(np.array(["a"]), "cm2 s"), "exposure", "object"),
        (Dataset(np.zeros((3, 3)), "cm2 s"), "exposure", "2 axes"),
    ],
)
def test_36_wrong_type_or_unit(tmp_path, refused, data, field, found):
    write(tmp_path / "a.h5", format="observation", datasets={"exposure": data})
    refused(tmp_path / "a.h5", field, found)


def test_36_missing_dataset_suggests_the_nearest(good, refused):
    assert "did you mean 'exposure'" in refused(good, "exposur", "no such dataset", wanted={"exposur": "cm2 s"})


def test_36_every_cut_is_seen(good, refused):
    """Cut at many places, a file is never read as if it were whole."""
    whole = good.read_bytes()
    for share in np.linspace(0.02, 0.999, 15):
        good.write_bytes(whole[: int(share * len(whole))])
        refused(good, "", "")


def test_36_every_flipped_byte_is_seen(tmp_path, refused):
    """HDF5 itself dies of some of these."""
    path = tmp_path / "a.h5"
    datasets = {"a": Dataset(np.arange(40.0), "m"), "t": Dataset(np.array(["x", "yz"])), "s": Dataset(np.float64(3.0))}
    write(path, format="x", datasets=datasets, attributes={"n": 5})
    whole = path.read_bytes()
    for at in np.random.default_rng(4).choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 0x41
        path.write_bytes(damaged)
        refused(path, "", "", format="x", wanted={})
    path.write_bytes(whole)
    assert read(path, format="x")["s"] == 3.0


def test_36_damaged_posterior(tmp_path, refused):
    path = tmp_path / "a.nc"
    write_posterior(path, Posterior({"x": Variable(np.zeros((1, 9)))}))
    cut(path)
    refused(path, "complete", "no checksum", read_posterior)


WRITE_FOR_EVER = """
import sys, numpy as np, h5py
with h5py.File(sys.argv[1], "w") as file:
    for number in range(40):
        file[f"d{number}"] = np.arange(1000.0)
        file.flush()
        if number == 5:
            print("ready", flush=True)
            input()
"""


def test_37_killed_writer_that_left_a_readable_file(tmp_path, refused):
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        writer.send_signal(signal.SIGKILL)
    with h5py.File(path) as file:
        assert 5 <= len(file) < 40, "HDF5 itself sees nothing wrong"
    refused(path, "complete", "no checksum")
    add_seal(path)
    refused(path, "complete", "no mark")
