"""Sound maps of a small sky; a test spoils one of them and runs the steps."""

import json
import time
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from skysift.cli import main

__all__ = ["CENTER", "NSIDE", "PIXELS", "Case", "check_fault", "cube_with_energies"]

NSIDE = 16
PIXELS = 12 * NSIDE**2
CENTER = 1504  # a pixel near the Galactic centre, inside every region used here
STATED = {"ordering": "ring", "coordsys": "galactic"}


class Case:
    """A folder with sound maps of a small sky; a test spoils one of them and runs the steps."""

    def __init__(self, folder):
        self.folder = folder
        self.maps = {
            "counts": np.random.Generator(np.random.PCG64(1)).poisson(3.0, PIXELS).astype(float),
            "exposure": np.full(PIXELS, 7e10),
            "template": np.linspace(1.0, 3.0, PIXELS),
            "mask": np.zeros(PIXELS),
        }
        self.files = {name: {"file": str(folder / f"{name}.npy"), **STATED} for name in self.maps}
        self.observation = {"region": {"radius": "40 deg", "mask": {"file": self.files["mask"]}}}
        self.templates = ["glow"]

    def spoil(self, name, pixel=CENTER, value=0.0):
        self.maps[name][pixel] = value

    def save(self, name, stored=None):
        np.save(self.folder / f"{name}.npy", self.maps[name] if stored is None else stored)

    def use_fits(self, name, header=None, columns=None, **stated):
        """Keep one map as FITS, in place of npy, with the cards of ``header`` (None takes one away)."""
        path = self.folder / f"{name}.fits"
        columns = columns or [fits.Column(name.upper(), "D", array=self.maps[name])]
        table = fits.BinTableHDU.from_columns(columns)
        cards = {"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "G", "NSIDE": NSIDE} | (header or {})
        table.header.update({card: value for card, value in cards.items() if value is not None})
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, checksum=True)
        self.files[name].clear()
        self.files[name].update({"file": str(path), **stated})
        return path

    def write(self):
        for name in self.maps:
            path = self.folder / f"{name}.npy"
            if not path.exists() and not path.is_symlink():
                self.save(name)
        observation = {
            "data": "files",
            "files": {name: self.files[name] for name in ("counts", "exposure")},
            "templates": {"glow": self.files["template"]},
            **self.observation,
        }
        content = {"run": "faults", "seed": 1, "observation": observation, "templates": self.templates}
        (self.folder / "observation.yaml").write_text(json.dumps(content))

    def run(self, step):
        """Return the exit code of ``prepare`` or ``observe``."""
        out = self.folder / f"{step}.h5"
        arguments = [step, "--config", self.folder / "observation.yaml", "--out", out]
        if step == "observe":
            arguments += ["--observation", self.folder / "prepare.h5"]
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code

    def run_all(self):
        """Write everything, run both steps until one fails, and return the exit code and the step."""
        self.write()
        for step in ("prepare", "observe"):
            code = self.run(step)
            if code:
                return code, step
        return 0, None


def cube_with_energies(case, unit, edges):
    """Keep the exposure with a table of energy edges beside it."""
    path = case.use_fits("exposure", columns=[fits.Column("CHANNEL1", "D", array=case.maps["exposure"])])
    low, high = (
        fits.Column(name, "D", unit=unit, array=[edge]) for name, edge in zip(("E_MIN", "E_MAX"), edges, strict=True)
    )
    with fits.open(path, mode="append") as file:
        file.append(fits.BinTableHDU.from_columns([low, high], name="EBOUNDS"))
    return path


def check_fault(case, capsys, fault, is_written=True):
    """A fault stops its step: exit code 2, a message that names it, nothing left, at once."""
    step, wanted = fault(case)
    if is_written:
        case.write()
    start = time.process_time()
    tracemalloc.start()
    codes = [case.run(name) for name in (["prepare"] if step == "prepare" else ["prepare", "observe"])]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    message = capsys.readouterr().err
    assert codes[-1] == 2
    assert not any(codes[:-1])
    assert [text for text in wanted if text not in message] == [], message
    assert not list(case.folder.glob(f"{step}.h5*"))
    assert time.process_time() - start < 2
    assert peak < 100e6
