"""Faults of checkpoints (rows 36, 41 to 43 and 56): the generation before, a fresh start, or a clean error."""

import os
import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from tests.faults.small_checkpoints import NOW, content, keep, names

from skysift.errors import ResumeError
from skysift.storage.checkpoints import read_checkpoint, write_checkpoint
from skysift.storage.hdf5 import Dataset, write
from skysift.storage.seal import SEAL_BYTES, add_seal


@pytest.fixture
def folder(tmp_path):
    """A folder with two generations, the newest of step 2."""
    place = tmp_path / "results" / "run" / "checkpoints" / "mvn" / "observed"
    keep(place, 1)
    keep(place, 2)
    return place


def test_the_newest_generation_comes_back(folder):
    found = read_checkpoint(folder, NOW)
    assert (found.place, found.step, found.spent, found.warnings) == ("1-hmc", 2, {"cpu_s": 1.5}, [])
    tree, (draws, random) = found.content["1-hmc"]
    assert tree == content(2)["1-hmc"][0]
    assert draws.dtype == np.float64
    np.testing.assert_array_equal(draws, content(2)["1-hmc"][1][0])
    assert random.dtype == np.uint8
    np.testing.assert_array_equal(random, np.arange(5056, dtype=np.uint8))
    assert found.content["0-map"] == ({"state": 1, "done": True}, [])
    assert names(folder) == ["state.h5", "state.h5.bak"]


def test_no_checkpoint_is_a_fresh_start(tmp_path):
    found = read_checkpoint(tmp_path / "nothing", NOW)
    assert (found.content, found.warnings) == ({}, [])


def test_shapes_types_and_nothing_at_all(tmp_path):
    arrays = [
        np.zeros((0, 3)),
        np.array(True),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(3, dtype=np.int32),
        np.array(-1),
    ]
    write_checkpoint(tmp_path, NOW, {"": ({"#": 0}, arrays)}, ("", None), {})
    found = read_checkpoint(tmp_path, NOW)
    assert found.step is None
    for mine, exact in zip(found.content[""][1], arrays, strict=True):
        assert mine.dtype == exact.dtype
        np.testing.assert_array_equal(mine, exact)
        assert mine.shape == exact.shape
    write_checkpoint(tmp_path, NOW, {}, ("", None), {})
    assert read_checkpoint(tmp_path, NOW).content == {}


# ---------------------------------------------------------------- rows 36 and 43: damage


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_one_byte(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def folder_instead(path):
    path.unlink()
    path.mkdir()


def dangling_link(path):
    path.unlink()
    path.symlink_to(path.parent / "gone.h5")


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def pickled(path):
    path.write_bytes(pickle.dumps(Payload(path.parent / "executed")))


def of_torch(path):
    torch.save({"a": Payload(path.parent / "executed")}, path)


def of_others(path):
    with h5py.File(path, "w") as file:
        file["chain"] = np.zeros(3)


def of_another_format(path):
    write(path, format="observation", datasets={"notes": Dataset(np.zeros(3))})


def of_another_version(path):
    write(path, format="checkpoint", version=99, datasets={"notes": Dataset(np.zeros(3))})


def edited(change):
    """Return a fault that changes an open file, and seals it again as its writer would have."""

    def fault(path):
        path.write_bytes(path.read_bytes()[:-SEAL_BYTES])
        with h5py.File(path, "r+") as file:
            change(file)
        add_seal(path)

    return fault


def put_notes(text):
    def change(file):
        attributes = dict(file["notes"].attrs)
        del file["notes"]
        file["notes"] = np.array([text], dtype=object)
        file["notes"].attrs.update(attributes)

    return edited(change)


@edited
def no_numbers(file):
    del file["float64"]


@edited
def no_identity(file):
    del file.attrs["identity"]


DAMAGE = [
    truncate, cut_one_byte, flip, empty, folder_instead, dangling_link, pickled, of_torch, of_others, of_another_format,
    of_another_version, no_numbers, no_identity, put_notes("{"), put_notes("[1]"), put_notes('{"a": {"tree": 1}}'),
    put_notes('{"a": {"tree": 1, "arrays": [["float64", 990, [100]]]}}'),
    put_notes('{"a": {"tree": 1, "arrays": [["complex", 0, [1]]]}}'), put_notes("[" * 99_999),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_36_43_damage_falls_back_to_the_generation_before(folder, damage, frugal):
    damage(folder / "state.h5")
    found = read_checkpoint(folder, NOW)
    assert found.step == 1
    assert found.content["1-hmc"][1][0][0] == content(1)["1-hmc"][1][0][0]
    assert len(found.warnings) == 1
    assert str(folder / "state.h5") in found.warnings[0]
    assert not (folder / "executed").exists(), "code ran"


@pytest.mark.parametrize("damage", [truncate, empty, pickled, of_another_version])
def test_36_43_both_damaged_is_a_fresh_start(folder, damage):
    for name in ("state.h5", "state.h5.bak"):
        damage(folder / name)
    found = read_checkpoint(folder, NOW)
    assert (found.content, found.step) == ({}, None)
    assert len(found.warnings) == 2
    assert not (folder / "executed").exists(), "code ran"


def test_36_control_the_payload_would_run(tmp_path):
    """Negative control: unpickled, the payload leaves its mark."""
    pickled(tmp_path / "state.h5")
    pickle.loads((tmp_path / "state.h5").read_bytes())  # noqa: S301 - the point of the control
    assert (tmp_path / "executed").is_dir()


# ---------------------------------------------------------------- rows 41 and 42: other inputs


@pytest.mark.parametrize(
    ("part", "other", "shown"),
    [
        ("data", {"data.h5": "e" * 64, "observation.h5": "0" * 64}, ("data.h5", "d" * 16, "e" * 16)),
        ("data", {"data.h5": "d" * 64}, ("observation.h5", "0" * 16, "none")),
        ("configuration", "9" * 64, ("sha256", "c" * 16, "9" * 16)),
        ("code", "a" * 16, ("digest", "f" * 16, "a" * 16)),
    ],
)
def test_41_other_inputs_are_refused(folder, part, other, shown):
    with pytest.raises(ResumeError) as caught:
        read_checkpoint(folder, replace(NOW, **{part: other}))
    assert caught.value.exit_code == 2
    assert caught.value.field == part
    assert all(word in caught.value.found for word in shown)
    assert "--restart" in caught.value.remedy
    assert str(folder) in caught.value.remedy
    assert names(folder) == ["state.h5", "state.h5.bak"], "nothing was touched"


def test_41_everything_that_differs_is_named(folder):
    with pytest.raises(ResumeError) as caught:
        read_checkpoint(folder, replace(NOW, configuration="9" * 64, code="a" * 16))
    assert caught.value.field == "configuration, code"


def test_41_the_same_data_under_another_name(folder):
    moved = {"elsewhere.h5": "d" * 64, "observation.h5": "0" * 64}
    assert read_checkpoint(folder, replace(NOW, data=moved)).step == 2


def test_42_other_libraries_start_afresh(folder):
    found = read_checkpoint(folder, replace(NOW, libraries={"torch": "2.14", "numpy": "2.4"}))
    assert found.content == {}
    [warning] = found.warnings
    assert "torch 2.13 in the checkpoint, 2.14 now" in warning
    assert "numpy" not in warning
    assert not folder.exists()


def test_42_strictly_other_libraries_are_refused(folder):
    other = replace(NOW, libraries={"torch": "2.14", "numpy": "2.4"})
    with pytest.raises(ResumeError) as caught:
        read_checkpoint(folder, other, strict=True)
    assert caught.value.field == "versions"
    assert "torch 2.13 in the checkpoint, 2.14 now" in caught.value.found
    assert names(folder) == ["state.h5", "state.h5.bak"], "nothing was touched"
    # the control: the same versions go on
    assert read_checkpoint(folder, NOW, strict=True).step == 2
