"""Results on a small disk of their own: read-only, then full, then with room again."""

import shutil
import subprocess

import pytest
from tests.slurm.heads import give_up

pytestmark = pytest.mark.slurm


@pytest.fixture
def small_disk(trouble):
    """Put the results on a file system of sixteen megabytes."""
    results = trouble.folder / "results"
    kept = results.rename(trouble.folder / "kept")
    results.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "skysift-test", str(results)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        give_up(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        shutil.copytree(kept, results, dirs_exist_ok=True)
        shutil.rmtree(kept)
        yield results
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def remount(disk, option):
    """Change how the small disk is mounted."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def test_read_only_and_full_disk(trouble, undisturbed, small_disk):
    before = {path: path.read_bytes() for path in small_disk.rglob("*") if path.is_file()}
    remount(small_disk, "ro")
    head = trouble.submit_fit("--retries", "0")
    assert head.end() == 1
    assert "Read-only file system" in head.text() + "".join(trouble.slurm_logs())
    remount(small_disk, "rw")
    free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(bytes(free - 200_000))
    head = trouble.submit_fit("--retries", "0")
    assert head.end() == 1
    assert "no room to write" in trouble.log()
    assert not (trouble.folder / trouble.FIT).exists()
    assert {path: path.read_bytes() for path in before} == before
    (small_disk / "ballast").unlink()
    trouble.submit_fit().succeed()
    trouble.check_answer(undisturbed)
