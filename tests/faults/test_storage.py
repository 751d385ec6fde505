"""Faults of files (rows 19, 26, 36, 37, 39, 40, 44, 45, 56, 59, 60, 61): a clean error, and nothing left behind."""

import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits

from skysift.cli import main
from skysift.errors import InputError, SkysiftError
from skysift.storage import atomic, registry
from skysift.storage.arrays import read_fits_map, read_npy
from skysift.storage.hdf5 import Dataset, Field, check_writable, read, write
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior
from skysift.storage.seal import SEAL_BYTES, add_seal
from skysift.storage.tables import write_table
from skysift.storage.text import write_text

WANTED = {"exposure": Field("cm2 s", "f", 1)}


@pytest.fixture
def good(tmp_path):
    """A good file with one dataset of two chunks."""
    path = tmp_path / "good.h5"
    draws = np.random.default_rng(1).normal(size=800_000)
    write(path, format="observation", datasets={"exposure": Dataset(draws, "cm2 s")}, attributes={"nside": 128})
    return path


@pytest.fixture
def frugal():
    """Bounds on time and memory of a test."""
    tracemalloc.start()
    begin = time.monotonic()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6, "memory was taken before the check"
    assert time.monotonic() - begin < 10


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(path, field, found="", reader=None, **settings):
    """Assert a clean error that names file, field and value, and return its text."""
    ask = reader or (lambda place: read(place, **{"format": "observation", "wanted": WANTED, **settings}))
    with pytest.raises(InputError) as caught:
        ask(path)
    assert caught.value.exit_code == 2
    assert caught.value.place == str(path)
    assert field in caught.value.field
    assert found in caught.value.found
    assert caught.value.remedy
    return str(caught.value)


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
def test_36_37_damaged_hdf5(good, fault, field, found):
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
def test_36_wrong_type_or_unit(tmp_path, data, field, found):
    write(tmp_path / "a.h5", format="observation", datasets={"exposure": data})
    refused(tmp_path / "a.h5", field, found)


def test_36_missing_dataset_suggests_the_nearest(good):
    assert "did you mean 'exposure'" in refused(good, "exposur", "no such dataset", wanted={"exposur": "cm2 s"})


def test_36_every_cut_is_seen(good):
    """Cut at many places, a file is never read as if it were whole."""
    whole = good.read_bytes()
    for share in np.linspace(0.02, 0.999, 15):
        good.write_bytes(whole[: int(share * len(whole))])
        refused(good, "", "")


def test_36_every_flipped_byte_is_seen(tmp_path):
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


def test_36_damaged_posterior(tmp_path):
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


def test_37_killed_writer_that_left_a_readable_file(tmp_path):
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
def test_26_input_is_no_file(tmp_path, make, found, reader):
    make(tmp_path / "a")
    refused(tmp_path / "a", "", found, reader)


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


def test_40_read_only_folder(tmp_path):
    """Permissions do not bind root; the kernel's own folder does."""
    folder, why = (Path("/proc"), "/proc") if os.geteuid() == 0 else (tmp_path, "Permission denied")
    tmp_path.chmod(0o500)
    refused(folder / "results" / "run" / "a.h5", "output", why, check_writable)
    with pytest.raises(InputError):
        write_text(folder / "a.txt", "x")
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


def test_40_output_is_a_folder(tmp_path):
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


# ---------------------------------------------------------------- rows 44 and 45


class _Stale(BaseHTTPRequestHandler):
    """Answers everything with the wrong bytes."""

    def do_GET(self):
        self.server.count += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"something else")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def lonely(tmp_path, monkeypatch):
    """A registry of one small file, and a machine without it and without a network."""
    content = b"the right bytes"
    entry = replace(
        registry.entries("fermi")[0], bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
        addresses=("http://127.0.0.1:9/a.npy",),
    )  # fmt: skip
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (entry,)})
    monkeypatch.setattr(registry, "_places", lambda: [tmp_path])
    monkeypatch.setattr(registry, "target", lambda: tmp_path)
    monkeypatch.delenv("SKYSIFT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return entry


def fetch():
    with pytest.raises(SystemExit) as left:
        main(["data", "fetch", "fermi"])
    return left.value.code or 0


def test_44_no_network(tmp_path, lonely, capsys):
    assert fetch() == 2
    message = capsys.readouterr().err
    assert lonely.addresses[0] in message
    assert lonely.sha256 in message
    assert not list(tmp_path.rglob("*.npy"))


def test_44_no_network_but_the_file_is_there(tmp_path, lonely):
    path = tmp_path / lonely.place
    path.parent.mkdir()
    path.write_bytes(b"the right bytes")
    assert fetch() == 0


def test_45_wrong_checksum(tmp_path, lonely, capsys):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stale) as server:
        server.count = 0
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        os.environ["SKYSIFT_MIRROR"] = f"http://127.0.0.1:{server.server_port}"
        try:
            assert fetch() == 2
        finally:
            del os.environ["SKYSIFT_MIRROR"]
            server.shutdown()
        assert server.count == 2
    assert lonely.sha256 in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


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
def test_19_damaged_fits(tmp_path, content, field, found):
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
def test_60_fits_that_promises_too_much(tmp_path, frugal, content, field):
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", field, "", read_fits_map)


def test_60_gzip_bomb(tmp_path, frugal):
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
def test_60_npy_that_promises_too_much(tmp_path, monkeypatch, frugal, content, found):
    monkeypatch.chdir(tmp_path)
    Path("a.npy").write_bytes(content)
    refused(Path("a.npy"), "array", found, read_npy)
    assert names(tmp_path) == ["a.npy"]


class _Payload:
    def __reduce__(self):
        return (os.mkdir, ("hacked",))


def test_56_object_array(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([_Payload()], dtype=object), allow_pickle=True)
    refused(Path("a.npy"), "array", "object", read_npy)
    assert names(tmp_path) == ["a.npy"], "the payload ran"
    np.load("a.npy", allow_pickle=True)
    assert Path("hacked").exists(), "negative control: the payload works"


# ---------------------------------------------------------------- row 59


@pytest.mark.parametrize("what", ["run", "folder", "file"])
def test_59_link_that_leaves_the_results(tmp_path, what):
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
def test_61_hostile_hdf5(good, frugal, change, found):
    edit(change)(good)
    refused(good, "", found)
