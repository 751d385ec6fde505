"""Disks and folders that refuse (rows 39, 40 and 59): a clean error, and nothing left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from skysift.errors import InputError, SkysiftError
from skysift.storage import atomic
from skysift.storage.hdf5 import check_writable, read, write
from skysift.storage.tables import write_table
from skysift.storage.text import write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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
