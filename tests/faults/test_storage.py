"""Faults of our own files (rows 36, 37, 39, 40, 59 and 61): a clean error, and nothing left behind."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from skysift.errors import InputError, SkysiftError
from skysift.storage import atomic
from skysift.storage.hdf5 import Dataset, check_writable, read, write
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior
from skysift.storage.seal import SEAL_BYTES, add_seal
from skysift.storage.tables import write_table
from skysift.storage.text import write_text


@pytest.fixture
def good(tmp_path):
    """A good file with one dataset of two chunks."""
    path = tmp_path / "good.h5"
    draws = np.random.default_rng(1).normal(size=800_000)
    write(path, format="observation", datasets={"exposure": Dataset(draws, "cm2 s")}, attributes={"nside": 128})
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- rows 36 and 37


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not HDF5 at all\n" * 99)


def edit(change, is_sealed=True):
    """Return a fault that changes an open file, and seals it again as its writer would have."""

    def fault(path):
        path.write_bytes(path.read_bytes()[:-SEAL_BYTES])
        with h5py.File(path, "r+") as file:
            change(file)
        if is_sealed:
            add_seal(path)

    return fault


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


# ---------------------------------------------------------------- rows 39 and 40

FILL_THE_DISK = """
import resource, sys, numpy as np
from pathlib import Path
from skysift.errors import SkysiftError
from skysift.storage.hdf5 import Dataset, write
from skysift.storage.posterior import Posterior, Variable, write_posterior
from skysift.storage.text import write_text
out, kind = Path(sys.argv[1]), sys.argv[2]
draws = np.random.default_rng(1).normal(size=(10, 10, 10_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    if kind == "data":
        write(out, format="x", datasets={f"d{n}": Dataset(part) for n, part in enumerate(draws)})
    elif kind == "draws":
        write_posterior(out, Posterior({"x": Variable(draws)}))
    else:
        write_text(out, "x" * 2_000_000)
except SkysiftError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("kind", ["data", "draws", "report"])
def test_39_disk_full(tmp_path, kind):
    """A real limit on the size of files: HDF5 itself would take the process down with it."""
    out = tmp_path / "a"
    out.write_text("old")
    command = [sys.executable, "-c", FILL_THE_DISK, str(out), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert str(out) in done.stderr
    assert "bytes" in done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_39_quota_when_flushing(tmp_path, monkeypatch, code):
    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic, "_sync", fail)
    with pytest.raises(SkysiftError, match="no room to write") as caught:
        write_table(tmp_path / "a.csv", [{"a": 1}])
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    write_table(tmp_path / "a.csv", [{"a": 1}])


def test_39_limit_is_real(tmp_path):
    """Negative control: the limit that the test above sets does stop a writer."""
    code = (
        "import pathlib, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); "
        "pathlib.Path(sys.argv[1]).write_bytes(b'x' * 99)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr


def test_40_read_only_folder(tmp_path, refused):
    """Permissions do not bind root; the kernel's own folder does."""
    folder, why = (Path("/proc"), "/proc") if os.geteuid() == 0 else (tmp_path, "Permission denied")
    tmp_path.chmod(0o500)
    refused(folder / "results" / "run" / "a.h5", "output", why, check_writable)
    with pytest.raises(InputError):
        write_text(folder / "a.txt", "x")
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


def test_40_output_is_a_folder(tmp_path, refused):
    refused(tmp_path, "output", "folder", check_writable)


def test_40_file_system_without_locks(good, monkeypatch):
    """HDF5 is asked to go on where locks cannot be had, and writing goes through an ordinary file."""
    asked = []
    opened = h5py.File

    def spy(*arguments, **settings):
        asked.append(settings.get("locking"))
        return opened(*arguments, **settings)

    monkeypatch.setattr(h5py, "File", spy)
    assert read(good, format="observation")["exposure"].size == 800_000
    assert asked == ["best-effort"]


# ---------------------------------------------------------------- row 59


@pytest.mark.parametrize("what", ["run", "folder", "file"])
def test_59_link_that_leaves_the_results(tmp_path, refused, what):
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "results" / "run" / "data" / "a.h5"
    link = {"run": out.parent.parent, "folder": out.parent, "file": out}[what]
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "a.h5" if what == "file" else outside)
    refused(out, "path", str(outside), check_writable)
    with pytest.raises(InputError):
        write(out, format="x", datasets={})
    assert list(outside.iterdir()) == [], "nothing was written outside"
    (outside / "data").mkdir()
    for place in (outside / "a.h5", outside / "data" / "a.h5"):
        write(place, format="x", datasets={})
    refused(out, "path", str(outside), format="x", wanted={})


def test_59_link_inside_the_results_is_fine(tmp_path):
    run = tmp_path / "results" / "run"
    write(run / "a.h5", format="x", datasets={})
    (run / "b.h5").symlink_to("a.h5")
    assert read(run / "b.h5", format="x").attributes == {}


# ---------------------------------------------------------------- row 61


def add_external_link(file):
    file["more"] = h5py.ExternalLink("/etc/passwd", "/")


def add_soft_link(file):
    file["more"] = h5py.SoftLink("/exposure")


def add_virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("/etc/secret.h5", "x", shape=(3,))
    file.create_virtual_dataset("more", layout)


def add_external_storage(file):
    file.create_dataset("more", shape=(3,), dtype="u1", external=[("/etc/passwd", 0, 3)])


def add_loop(file):
    file.create_group("more")["again"] = file["/"]


def add_second_name(file):
    file["more"] = file["exposure"]


def add_deep_groups(file):
    file.create_group("more" + "/g" * 40)


def add_unwritten(file):
    file.create_dataset("more", shape=(10**15,), dtype="f8", chunks=(1024,), compression="gzip")


def add_zeros(file):
    file.create_dataset("more", shape=(400_000_000,), dtype="f8", chunks=(1024,), compression="gzip")[:1024] = 0


def add_big_chunk(file):
    file.create_dataset("more", shape=(1,), maxshape=(None,), dtype="f8", chunks=(500_000_000,), compression="gzip")


def add_foreign_filter(file):
    file.create_dataset("more", data=np.arange(3), chunks=(3,), scaleoffset=0)


def add_type(file):
    file["more"] = np.dtype("f8")


def add_references(file):
    file.create_dataset("more", data=np.array([file["exposure"].ref], dtype=h5py.ref_dtype))


def add_compound(file):
    file.create_dataset("more", data=np.zeros(3, dtype=[("a", "f8")]))


def add_array_attribute(file):
    file["exposure"].attrs["more"] = np.zeros(9)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (add_external_link, "ExternalLink to /"),
        (add_soft_link, "SoftLink to /exposure"),
        (add_virtual, "a virtual dataset"),
        (add_external_storage, "/etc/passwd"),
        (add_loop, "two names"),
        (add_second_name, "two names"),
        (add_deep_groups, "groups without end"),
        (add_unwritten, "8000000000000000 bytes"),
        (add_zeros, "3200000000 bytes"),
        (add_big_chunk, "4000000000 bytes"),
        (add_foreign_filter, "filters [6]"),
        (add_type, "a named type"),
        (add_references, "type object"),
        (add_compound, "type [('a', '<f8')]"),
        (add_array_attribute, "an array"),
    ],
)
def test_61_hostile_hdf5(good, refused, frugal, change, found):
    edit(change)(good)
    refused(good, "", found)
