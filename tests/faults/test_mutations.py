"""Thousands of damaged configurations and files: a clear error or the same answer; never a traceback, never a hang."""

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skysift.config import load, verify_round_trip
from skysift.errors import SkysiftError
from skysift.storage.fits import scan_units
from skysift.storage.fits_writing import write_fits
from skysift.storage.hdf5 import Dataset, read, write
from skysift.storage.healpix import read_fits_map
from skysift.storage.npy import read_npy
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = sorted(ROOT.glob("config/**/*.yaml"))
FEW, MANY = 90, 10_000
#: CPU seconds that one input may take; soon enough on a slow machine.
LONGEST_S = 10
HOSTILE = (
    "", "0", "-1", "1e999", "1e-999", ".nan", ".inf", "yes", "null", "~", "[]", "{}", "''", "20", "20 degs", "-5 deg",
    "1e30 deg", "!!python/object:os.system x", "&a", "*a", "<<", "? a", "|", ">", "%TAG", "@", "`", "\t", "\0",
    "\N{SNOWMAN}", "../../x", "x" * 300, "[" * 50, "{a: " * 50, "9" * 400, "0x10", "1_000", "2024-01-01", "a: b: c",
    "- -", "---", "...", "!!binary aGk=", "'", '"', "#", ": ", "norm", "map", "diffuse", "ctao", "fermi",
)  # fmt: skip


@contextlib.contextmanager
def soon():
    """Fail where one input takes more CPU time than any may."""

    def complain(number, frame):
        raise TimeoutError(f"more than {LONGEST_S} CPU s")

    before = signal.signal(signal.SIGVTALRM, complain)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def attempt(action, path):
    """Return the error of ours that an action ends with, None if it ends well, and what it returns."""
    try:
        with soon():
            return None, action()
    except SkysiftError as error:
        refusal = error
    except Exception as error:
        raise AssertionError(f"a traceback: {path}") from error
    assert refusal.exit_code == 2
    assert str(path) in str(refusal)
    return refusal, None


def spoil_text(text, random):
    """Return a text with one to three of its lines or words changed."""
    for _ in range(random.integers(1, 4)):
        lines = text.splitlines(keepends=True) or [""]
        at, other = random.integers(len(lines), size=2)
        words = lines[at].split(" ")
        word = random.integers(len(words))
        hostile = HOSTILE[random.integers(len(HOSTILE))]
        match random.integers(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = " " * random.integers(5) + lines[at]
            case 4:
                lines[at] = lines[at][: random.integers(len(lines[at]) + 1)]
            case 5:
                words.insert(word, hostile)
                lines[at] = " ".join(words)
            case _:
                words[word] = hostile
                lines[at] = " ".join(words)
        text = "".join(lines)
    return text


def spoil_bytes(content, random):
    """Return some bytes with one thing wrong: a bit, a stretch of noise or zeros, the end, or a stretch twice."""
    at, length = random.integers(len(content)), random.integers(1, 65)
    match random.integers(6):
        case 0:
            middle = bytes([content[at] ^ (1 << random.integers(8))])
            return content[:at] + middle + content[at + 1 :]
        case 1:
            return content[:at] + random.bytes(length) + content[at + length :]
        case 2:
            return content[:at] + bytes(length) + content[at + length :]
        case 3:
            return content[:at]
        case 4:
            return content + random.bytes(length)
        case _:
            return content[:at] + content[at : at + length] + content[at:]


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_mutated_configurations(tmp_path, seed, count):
    """What is refused is told as an error of ours; what is accepted can be written, and reads as the same."""
    random = np.random.default_rng(seed)
    texts = [path.read_text(encoding="utf-8") for path in CONFIGURATIONS]
    path, refused = tmp_path / "a.yaml", 0
    for _ in range(count):
        text = spoil_text(texts[random.integers(len(texts))], random)
        content = text.encode("utf-8")
        path.write_bytes(spoil_bytes(content, random) if content and random.integers(5) == 0 else content)
        refusal, _ = attempt(lambda: verify_round_trip(load([path])), path)
        refused += refusal is not None
    # some changes are harmless: a comment, an empty line; most are not
    assert 0.3 * count < refused < count


def same(one, other):
    """Tell whether two values that a reader returned are equal, by their text where they are no arrays."""
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


def make_hdf5(path):
    numbers = np.random.default_rng(1).normal(size=600)
    write(
        path,
        format="x",
        datasets={"a": Dataset(numbers, "m"), "t": Dataset(np.array(["x", "yz"]))},
        attributes={"n": 5},
    )


def make_posterior(path):
    write_posterior(path, Posterior({"x": Variable(np.random.default_rng(2).normal(size=(1, 40)))}))


def make_npy(path):
    np.save(path, np.linspace(0, 1, 200))


def make_fits(path):
    rows = fits.BinTableHDU.from_columns([fits.Column("COUNTS", "D", array=np.linspace(1, 2, 192))], name="SKY")
    rows.header.update(PIXTYPE="HEALPIX", ORDERING="RING", COORDSYS="G", NSIDE=4)
    write_fits(path, [rows])


def read_units(path):
    return [np.array([unit.number for unit in scan_units(path)])]


def read_map(path):
    found = read_fits_map(path)
    return [found.array, np.array([str((found.unit, found.nside, found.ordering, found.coordsys))])]


def read_hdf5(path):
    file = read(path, format="x")
    return [np.asarray(file["a"]), np.asarray(file["t"]).astype(str), np.array([file.attributes["n"]])]


#: How a small file is made and read, and whether every change of its content must be seen.
READERS = {
    "hdf5": (make_hdf5, "a.h5", read_hdf5, True),
    "posterior": (make_posterior, "a.nc", lambda path: [read_posterior(path).variables["x"].array], True),
    "map": (make_fits, "a.fits", read_map, True),
    "units": (make_fits, "a.fits", read_units, False),
    "npy": (make_npy, "a.npy", lambda path: [read_npy(path)], False),
}


@pytest.mark.parametrize("count", [FEW // 3, pytest.param(MANY // len(READERS), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", READERS)
def test_mutated_files(tmp_path, seed, kind, count):
    """A damaged file is refused by an error of ours, or read as if nothing were wrong with it, because nothing is."""
    make, name, look, is_sealed = READERS[kind]
    path, random, refused = tmp_path / name, np.random.default_rng(seed), 0
    make(path)
    whole, wanted = path.read_bytes(), look(path)
    for _ in range(count):
        path.write_bytes(spoil_bytes(whole, random))
        refusal, found = attempt(lambda: look(path), path)
        refused += refusal is not None
        assert refusal or not is_sealed or same(found, wanted), f"another answer, and not a word: {path}"
    assert refused > (0.4 * count if is_sealed else 0)
