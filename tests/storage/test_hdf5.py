"""What is written is what is read, byte for byte the same each time."""

import subprocess
import time

import h5py
import numpy as np
import pytest

from skysift.errors import InputError
from skysift.storage.hdf5 import Dataset, Field, Provenance, collect, open_reader, read, write
from skysift.storage.provenance import digest_file
from skysift.storage.seal import SEAL_BYTES, add_seal


@pytest.fixture
def datasets():
    draw = np.random.default_rng(3)
    return {
        "pixel": Dataset(np.arange(500), "", "stored pixels", ("pixel",)),
        "exposure": Dataset(draw.uniform(1, 2, (2, 500)), "cm2 s", "at pixel centres", ("energy", "pixel")),
        "templates/zodiac": Dataset(draw.normal(size=(2, 500)), "counts", "last by name", ("energy", "pixel")),
        "templates/disk": Dataset(np.float32([[1.5, np.nan]]), "counts", "a note", (), {"center_deg": [0.5, -1.0]}),
        "names": Dataset(np.array(["gce", "p6v11 ν", ""]), "", "labels"),
        "region": Dataset(np.array([True, False])),
        "total": Dataset(np.float64(0.1)),
        "none": Dataset(np.zeros((0, 3))),
    }


ATTRIBUTES = {"nside": 128, "truth": {"gce": 0.9, "disk": None}, "warnings": ["a", "b"], "is_real": True, "x": 0.1}


def test_round_trip(tmp_path, datasets):
    out = tmp_path / "a.h5"
    write(out, format="observation", datasets=datasets, attributes=ATTRIBUTES)
    file = read(out, format="observation", wanted={"exposure": "cm2 s", "templates/*": Field("counts", "f", 2)})
    assert list(file.datasets) == list(datasets), "the order of writing is kept"
    for name, given in datasets.items():
        found = file.datasets[name]
        np.testing.assert_array_equal(found.array, given.array, strict=given.array.dtype.kind != "U")
        assert (found.unit, found.description, found.axes) == (given.unit, given.description, given.axes)
        assert found.attributes == given.attributes
    assert file.attributes == ATTRIBUTES
    assert list(file.group("templates")) == ["zodiac", "disk"]
    assert "exposure" in file
    assert "nothing" not in file


@pytest.mark.parametrize("scratch", [False, True])
def test_two_writes_a_second_apart_are_identical(tmp_path, datasets, scratch):
    for name in ("a.h5", "b.h5"):
        write(tmp_path / name, format="x", datasets=datasets, attributes=ATTRIBUTES, scratch=scratch)
        time.sleep(1.05 if name == "a.h5" else 0)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_chunks_filters_and_axes(tmp_path, datasets):
    out = tmp_path / "a.h5"
    datasets["events"] = Dataset(np.zeros((400_000, 4)), "", "events along the first axis", ("event", "column"))
    write(out, format="x", datasets=datasets)
    with h5py.File(out) as file:
        events = file["events"]
        size = np.prod(events.chunks) * 8
        assert 0.5e6 <= size <= 4.2e6
        assert events.chunks[1] == 4
        assert (events.compression, events.compression_opts, events.shuffle, events.fletcher32) == (
            "gzip",
            1,
            True,
            True,
        )
        assert file["exposure"].dims[1][0] == file["pixel"]
        assert file["templates/zodiac"].dims[1][0] == file["pixel"], "scales of groups above are found"
        assert file["exposure"].dims[0].label == "energy"


def test_scratch_is_not_compressed(tmp_path, datasets):
    write(tmp_path / "a.h5", format="x", datasets=datasets, scratch=True)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["exposure"].compression is None
        assert file["exposure"].fletcher32


def test_parts_are_read_lazily(tmp_path):
    out, array = tmp_path / "a.h5", np.arange(3_000_000, dtype=np.float64)
    write(out, format="x", datasets={"big": Dataset(array, "GeV"), "text": Dataset(np.array(["a", "b"]))})
    with open_reader(out, format="x") as reader:
        assert reader.shape("big") == array.shape
        assert reader.dtype("big") == np.float64
        assert reader.unit("big") == "GeV"
        np.testing.assert_array_equal(reader.read("big", slice(10, 20)), array[10:20])
        assert reader.read("text", 1) == "b"
        with pytest.raises(InputError, match="did you mean 'big'"):
            reader.read("bigg")


def test_chunks_have_checksums_of_their_own(tmp_path):
    out = tmp_path / "a.h5"
    write(out, format="x", datasets={"big": Dataset(np.random.default_rng(1).normal(size=1_500_000))})
    with h5py.File(out) as file:
        last = file["big"].id.get_chunk_info(file["big"].id.get_num_chunks() - 1)
    content = bytearray(out.read_bytes())
    content[last.byte_offset + last.size // 2] ^= 1
    out.write_bytes(content[:-SEAL_BYTES])
    add_seal(out)
    with open_reader(out, format="x") as reader:
        reader.read("big", slice(0, 10))
        with pytest.raises(InputError, match="checksums"):
            reader.read("big", slice(-10, None))


def test_provenance(tmp_path, repository):
    given = tmp_path / "input.bin"
    given.write_bytes(b"data")
    made = collect("run-1", 7, "seed: 7\n", [given])
    out = tmp_path / "a.h5"
    write(out, format="x", datasets={}, provenance=made)
    found = read(out, format="x").provenance
    assert found == made.as_dict()
    assert found["inputs"] == {"input.bin": digest_file(given)}
    assert found["libraries"]["numpy"] == np.__version__
    assert (found["run"], found["seed"]) == ("run-1", 7)
    if (repository / ".git").is_dir():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
        assert found["commit"] == head.stdout.strip()


def test_inputs_of_one_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.h5").write_text(folder)
    inputs = collect(inputs=[tmp_path / "a" / "x.h5", tmp_path / "b" / "x.h5"]).inputs
    assert list(inputs) == ["a/x.h5", "b/x.h5"]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a", Dataset(np.array([{}], dtype=object)), TypeError),
        ("a", Dataset(np.array([1j])), TypeError),
        ("a", Dataset(np.zeros((2, 3)), axes=("energy",)), ValueError),
        ("../a", Dataset(np.zeros(3)), ValueError),
        ("a//b", Dataset(np.zeros(3)), ValueError),
        ("a", Dataset(np.zeros(3), attributes={"x": object()}), TypeError),
    ],
)
def test_what_has_no_place_in_a_file_is_refused(tmp_path, name, data, error):
    with pytest.raises(error):
        write(tmp_path / "a.h5", format="x", datasets={name: data})
    assert list(tmp_path.iterdir()) == []


def test_axes_of_different_length_are_refused(tmp_path):
    data = {"pixel": Dataset(np.arange(3), axes=("pixel",)), "a": Dataset(np.zeros(4), axes=("pixel",))}
    with pytest.raises(ValueError, match="axis pixel has 4 entries"):
        write(tmp_path / "a.h5", format="x", datasets=data)


def test_reserved_attributes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="complete"):
        write(tmp_path / "a.h5", format="x", datasets={}, attributes={"complete": True}, provenance=Provenance())
