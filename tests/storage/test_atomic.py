"""Files appear whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from skysift.errors import InputError, SkysiftError
from skysift.storage import atomic
from skysift.storage.atomic import check_writable, replace_when_done, sweep_parts
from skysift.storage.text import write_bytes, write_text

WRITE_HALF = """
import pathlib, sys, time
from skysift.storage.atomic import replace_when_done
with replace_when_done(sys.argv[1]) as part:
    part.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def parts(folder):
    return [path.name for path in folder.iterdir() if ".part-" in path.name or path.name.startswith(".writable")]


def test_text_and_bytes_are_written_as_given(tmp_path):
    write_text(tmp_path / "new" / "folder" / "a.txt", "ν > 0\n")
    write_bytes(tmp_path / "b.bin", b"\x00\xff")
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == "ν > 0\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert parts(tmp_path) == []


def test_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    out = tmp_path / "a.txt"
    write_text(out, "old")

    def fail_while_writing():
        with replace_when_done(out) as part:
            part.write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_writing()
    assert out.read_text() == "old"
    assert parts(tmp_path) == []


def test_killed_writer_leaves_no_final_name_and_its_part_is_swept(tmp_path):
    out = tmp_path / "a.txt"
    with subprocess.Popen([sys.executable, "-c", WRITE_HALF, str(out)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        assert sweep_parts(out) == [], "the part of a running writer stays"
        writer.send_signal(signal.SIGKILL)
    assert not out.exists()
    assert len(parts(tmp_path)) == 1
    write_text(out, "whole")
    assert out.read_text() == "whole"
    assert parts(tmp_path) == []


def test_sweep_spares_other_files_and_fresh_parts_of_other_machines(tmp_path):
    out = tmp_path / "a[1].h5"
    foreign, other = tmp_path / "a[1].h5.part-otherhost-17", tmp_path / "b.h5.part-otherhost-17"
    for path in (foreign, other):
        path.touch()
    assert sweep_parts(out) == []
    os.utime(foreign, (0, 0))
    os.utime(other, (0, 0))
    assert sweep_parts(out) == [foreign]
    assert other.exists()


def test_room_is_checked_before_writing(tmp_path):
    out = tmp_path / "a.bin"
    with (
        pytest.raises(SkysiftError, match="needed  4611686018427387904 bytes") as caught,
        replace_when_done(out, 2**62),
    ):
        pytest.fail("nothing may be written")
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_check_writable_writes_nothing(tmp_path):
    check_writable(tmp_path / "deep" / "er" / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_check_writable_names_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="wanted  a folder"):
        check_writable(tmp_path / "file" / "a.h5")


def test_results_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "scratch")
    write_text(tmp_path / "results" / "run" / "a.txt", "x")
    assert (tmp_path / "scratch" / "run" / "a.txt").read_text() == "x"


def test_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    synced = []
    sync = atomic._sync
    monkeypatch.setattr(atomic, "_sync", lambda path: (synced.append((path.name, out.exists())), sync(path)))
    out = tmp_path / "a.txt"
    write_text(out, "x")
    assert [name.split(".part-")[0] for name, _ in synced] == ["a.txt", tmp_path.name]
    assert [is_there for _, is_there in synced] == [False, True]


def test_the_probe_of_a_killed_writer_is_swept_and_that_of_a_living_one_stays(tmp_path):
    import os
    import platform
    import subprocess
    import sys

    from skysift.storage.atomic import check_writable, sweep_parts

    code = (
        "import os, sys\nfrom pathlib import Path\nfrom skysift.storage import atomic\n"
        "Path.unlink = lambda *a, **k: os.kill(os.getpid(), 9)\natomic.check_writable(Path(sys.argv[1]))\n"
    )
    out = tmp_path / "result.h5"
    assert subprocess.run([sys.executable, "-c", code, str(out)], check=False).returncode == -9
    living = tmp_path / f".writable-{platform.node()}-{os.getppid()}"
    living.touch()
    assert len(list(tmp_path.iterdir())) == 2
    swept = sweep_parts(out)
    assert len(swept) == 1
    assert list(tmp_path.iterdir()) == [living]
    check_writable(out)
