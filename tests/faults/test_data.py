"""What can be wrong with maps, one case per row: exit code 2, a message that helps, nothing written, at once."""

import gzip
import importlib
import json
import os
import time
import tracemalloc

import healpy
import numpy as np
import pytest
from astropy.io import fits

from skysift.cli import main
from skysift.instruments.fermi import read_counts, read_observation

NSIDE = 16
PIXELS = 12 * NSIDE**2
CENTER = 1504  # a pixel near the Galactic centre, inside every region used here


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


STATED = {"ordering": "ring", "coordsys": "galactic"}


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """Import what the steps import, so that the bounds on time and memory are about the faults."""
    for step in ("prepare", "observe"):
        importlib.import_module(f"skysift.steps.{step}")
    importlib.import_module("skysift.storage.healpix")


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def nan_counts(case):
    case.spoil("counts", [7, 9], np.nan)
    return "observe", ["counts.npy", "counts", "2 NaN", "pixel 7"]


def infinite_counts(case):
    case.spoil("counts", 7, np.inf)
    return "observe", ["counts.npy", "1 infinite", "pixel 7"]


def negative_counts(case):
    case.spoil("counts", [7, 8, 9], -2.0)
    return "observe", ["counts.npy", "3 negative", "pixel 7: -2"]


def fractional_counts(case):
    case.spoil("counts", 7, 1.5)
    return "observe", ["counts.npy", "1 values that are no integers", "pixel 7: 1.5", "allow_noninteger"]


def negative_exposure(case):
    case.spoil("exposure", [41, 42, 43], -1.2e9)
    return "prepare", ["exposure.npy", "exposure", "3 negative values, first at pixel 41: -1.2e+09", "cm2 s"]


def nan_exposure(case):
    case.spoil("exposure", 41, np.nan)
    return "prepare", ["exposure.npy", "1 NaN", "pixel 41"]


def photons_without_exposure(case):
    case.spoil("exposure", CENTER, 0.0)
    case.spoil("counts", CENTER, 5.0)
    return "observe", ["counts.npy", "1 photons where the exposure is 0", f"pixel {CENTER}: 5"]


def other_nside_of_exposure(case):
    case.maps["exposure"] = np.full(12 * 8**2, 7e10)
    return "prepare", ["exposure.npy", "nside", "exposure 8", "glow 16", "mask.npy 16", "observation.nside"]


def other_nside_of_counts(case):
    case.maps["counts"] = np.ones(12 * 32**2)
    return "observe", ["counts.npy", "nside", "counts 32", "observation 16"]


def counts_cannot_be_split(case):
    case.observation["nside"] = 32
    return "observe", ["counts.npy", "nside 16", "nside of at least 32"]


def order_against_header(case):
    path = case.use_fits("counts", {"ORDERING": "NESTED"}, ordering="ring")
    return "observe", [path.name, "ORDERING of COUNTS", "nested", "ring"]


def order_unknown(case):
    path = case.use_fits("exposure", {"ORDERING": None})
    return "prepare", [path.name, "ORDERING of EXPOSURE", "stated neither", "ring or nested"]


def order_of_npy_unknown(case):
    del case.files["exposure"]["ordering"]
    return "prepare", ["exposure.npy", "ORDERING of exposure", "stated neither"]


def order_is_nonsense(case):
    path = case.use_fits("exposure", {"ORDERING": "SPIRAL"})
    return "prepare", [path.name, "ORDERING", "SPIRAL"]


def frame_against_header(case):
    path = case.use_fits("exposure", {"COORDSYS": "C"}, coordsys="galactic")
    return "prepare", [path.name, "COORDSYS of EXPOSURE", "equatorial", "galactic"]


def frame_unknown(case):
    path = case.use_fits("exposure", {"COORDSYS": None})
    return "prepare", [path.name, "COORDSYS of EXPOSURE", "stated neither"]


def frame_of_npy_unknown(case):
    del case.files["mask"]["coordsys"]
    return "prepare", ["mask.npy", "COORDSYS", "stated neither"]


def equatorial_counts(case):
    path = case.use_fits("counts", {"COORDSYS": "C"})
    return "observe", [path.name, "COUNTS", "equatorial", "Galactic"]


def ecliptic_exposure(case):
    path = case.use_fits("exposure", {"COORDSYS": "E"})
    return "prepare", [path.name, "COORDSYS", "ecliptic"]


def odd_length(case):
    case.maps["template"] = np.ones(1000)
    return "prepare", ["template.npy", "glow", "1000 pixels", "12 nside^2"]


def odd_nside(case):
    case.maps["template"] = np.ones(12 * 12**2)
    return "prepare", ["template.npy", "glow", "1728 pixels", "12 nside^2"]


def all_masked(case):
    case.maps["mask"][:] = 1.0
    return "prepare", ["observation.yaml", "observation.region", f"0 of {PIXELS} pixels", "mask"]


def empty_read_out(case):
    case.observation["read_out"] = {"north": {"radius": "1 deg", "mask": {"plane": "2 deg"}}}
    return "prepare", ["observation.yaml", "observation.read_out.north", f"0 of {PIXELS} pixels"]


def mask_of_halves(case):
    case.spoil("mask", [3, 4], 0.5)
    return "prepare", ["mask.npy", "2 values other than 0 and 1", "pixel 3: 0.5"]


def edges_fall(case):
    case.observation["energy_edges"] = ["2 GeV", "20 GeV", "10 GeV"]
    return "prepare", ["observation.yaml", "energy_edges", "20 GeV", "10 GeV"]


def edges_repeat(case):
    case.observation["energy_edges"] = ["2 GeV", "2 GeV"]
    return "prepare", ["observation.yaml", "energy_edges", "2 GeV"]


def edge_is_zero(case):
    case.observation["energy_edges"] = ["0 GeV", "20 GeV"]
    return "prepare", ["observation.yaml", "energy_edges", "0 GeV"]


def edges_of_other_length(case):
    case.observation["energy_edges"] = ["2 GeV", "6 GeV", "20 GeV"]
    return "prepare", ["exposure.npy", "exposure", "1 energy bins", "2 energy bins"]


def energies_against_file(case):
    path = cube_with_energies(case, "keV", [1e6, 20e6])
    return "prepare", [path.name, "energies", "1, 20 GeV", "2, 20 GeV"]


def energy_unit_is_a_length(case):
    path = cube_with_energies(case, "m", [2.0, 20.0])
    return "prepare", [path.name, "energies", "m", "GeV"]


def energy_unit_missing(case):
    path = cube_with_energies(case, None, [2.0, 20.0])
    return "prepare", [path.name, "energies", "GeV"]


def exposure_in_other_unit(case):
    path = case.use_fits("exposure", {"TUNIT1": "m2 s"})
    return "prepare", [path.name, "unit of EXPOSURE", "m2 s", "cm2 s"]


def template_as_intensity(case):
    path = case.use_fits("template", {"TUNIT1": "1 / (cm2 s sr)"})
    return "prepare", [path.name, "unit of TEMPLATE", "1 / (cm2 s sr)", "counts"]


def negative_template(case):
    case.spoil("template", 12, -0.25)
    return "prepare", ["template.npy", "glow", "1 negative values, first at pixel 12: -0.25"]


def nan_template(case):
    case.spoil("template", 12, np.nan)
    return "prepare", ["template.npy", "glow", "1 NaN values, first at pixel 12"]


def template_zero_in_region(case):
    case.maps["template"][: PIXELS - 100] = 0.0
    return "prepare", ["template.npy", "glow", "all values are 0"]


def counts_that_nothing_explains(case):
    case.spoil("template", CENTER, 0.0)
    case.spoil("counts", CENTER, 4.0)
    return "observe", ["counts.npy", "counts", f"pixel {CENTER}: 4 counts", "glow"]


def template_not_there(case):
    case.templates = ["glov"]
    return "prepare", ["observation.yaml", "template 'glov'", "did you mean 'glow'?"]


def nothing_was_observed(case):
    case.observation |= {"data": "synthetic", "files": {}, "nside": NSIDE}
    return "observe", ["observation.yaml", "observation.data", "synthetic", "add simulate"]


def fits_cut(case):
    path = case.use_fits("exposure")
    path.write_bytes(path.read_bytes()[:9000])
    return "prepare", [path.name]


def fits_empty(case):
    path = case.use_fits("exposure")
    path.write_bytes(b"")
    return "prepare", [path.name, "0 bytes"]


def fits_wrong_hdu(case):
    path = case.use_fits("exposure", hdu=3)
    return "prepare", [path.name, "3"]


def fits_wrong_column(case):
    path = case.use_fits("exposure", field="EXPOSUR")
    return "prepare", [path.name, "EXPOSUR", "EXPOSURE"]


def fits_damaged(case):
    path = case.use_fits("exposure")
    content = bytearray(path.read_bytes())
    content[-2880 * 4] ^= 1
    path.write_bytes(content)
    return "prepare", [path.name, "SUM"]


def fits_partial_sky_too_small(case):
    pixels = np.arange(100)
    columns = [fits.Column("PIXEL", "J", array=pixels), fits.Column("EXPOSURE", "D", array=np.full(100, 7e10))]
    path = case.use_fits("exposure", {"INDXSCHM": "EXPLICIT"}, columns)
    return "prepare", [path.name, "EXPOSURE", "does not cover"]


def npy_cut(case):
    case.save("template")
    path = case.folder / "template.npy"
    path.write_bytes(path.read_bytes()[:5000])
    return "prepare", ["template.npy", "glow"]


def npy_of_objects(case):
    np.save(case.folder / "template.npy", np.array([{"a": 1}] * PIXELS, dtype=object), allow_pickle=True)
    return "prepare", ["template.npy", "glow", "object"]


def npy_of_three_axes(case):
    case.save("template", np.ones((2, 3, PIXELS)))
    return "prepare", ["template.npy", "glow", "(2, 3, 3072)"]


def missing(case):
    case.write()
    (case.folder / "template.npy").unlink()
    return "prepare", ["template.npy", "observation.templates.glow", "an existing file"]


def folder(case):
    (case.folder / "template.npy").mkdir()
    return "prepare", ["template.npy", "glow", "a folder"]


def fifo(case):
    os.mkfifo(case.folder / "template.npy")
    return "prepare", ["template.npy", "glow", "a FIFO"]


def device(case):
    (case.folder / "template.npy").symlink_to("/dev/zero")
    return "prepare", ["template.npy", "glow", "a device"]


def cube_with_energies(case, unit, edges):
    """Keep the exposure with a table of energy edges beside it."""
    path = case.use_fits("exposure", columns=[fits.Column("CHANNEL1", "D", array=case.maps["exposure"])])
    low, high = (
        fits.Column(name, "D", unit=unit, array=[edge]) for name, edge in zip(("E_MIN", "E_MAX"), edges, strict=True)
    )
    with fits.open(path, mode="append") as file:
        file.append(fits.BinTableHDU.from_columns([low, high], name="EBOUNDS"))
    return path


# Row of the table of faults, and what is wrong.
FAULTS = [
    *((1, fault) for fault in (nan_counts, infinite_counts, negative_counts, fractional_counts)),
    *((2, fault) for fault in (negative_exposure, nan_exposure, photons_without_exposure)),
    *((3, fault) for fault in (other_nside_of_exposure, other_nside_of_counts, counts_cannot_be_split)),
    *((4, fault) for fault in (order_against_header, order_unknown, order_of_npy_unknown, order_is_nonsense)),
    *((5, fault) for fault in (frame_against_header, frame_unknown, frame_of_npy_unknown, equatorial_counts)),
    (5, ecliptic_exposure),
    *((6, fault) for fault in (odd_length, odd_nside)),
    *((7, fault) for fault in (all_masked, empty_read_out)),
    (8, mask_of_halves),
    *((9, fault) for fault in (edges_fall, edges_repeat, edge_is_zero, edges_of_other_length)),
    *((10, fault) for fault in (energies_against_file, energy_unit_is_a_length, energy_unit_missing)),
    *((10, fault) for fault in (exposure_in_other_unit, template_as_intensity)),
    *((13, fault) for fault in (negative_template, nan_template, template_zero_in_region)),
    *((15, fault) for fault in (counts_that_nothing_explains, template_not_there, nothing_was_observed)),
    *((19, fault) for fault in (fits_cut, fits_empty, fits_wrong_hdu, fits_wrong_column, fits_damaged)),
    *((19, fault) for fault in (fits_partial_sky_too_small, npy_cut, npy_of_objects, npy_of_three_axes)),
    *((26, fault) for fault in (missing, folder, fifo, device)),
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=[f"{row}-{fault.__name__}" for row, fault in FAULTS])
def test_fault_stops_before_any_work(case, capsys, row, fault):
    step, wanted = fault(case)
    if fault is not missing:
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


def test_sound_maps_pass(case):
    """Negative control: without a fault, every check is silent."""
    assert case.run_all() == (0, None)
    observation = read_observation(case.folder / "prepare.h5")
    counts = read_counts(case.folder / "observe.h5")
    assert observation.warnings == counts.warnings == ()
    np.testing.assert_array_equal(counts.counts[0], case.maps["counts"][observation.pixels])
    np.testing.assert_array_equal(observation.templates["glow"][0], case.maps["template"][observation.pixels])


def test_fractional_counts_are_rounded_on_request(case):
    case.spoil("counts", CENTER, 1.75)
    case.observation["allow_noninteger"] = True
    assert case.run_all() == (0, None)
    counts = read_counts(case.folder / "observe.h5")
    observation = read_observation(case.folder / "prepare.h5")
    assert counts.counts[0, observation.pixels == CENTER] == 2
    assert "1 fractional counts, first at pixel 1504: 1.75; rounded" in counts.warnings[0]


def test_pixels_without_exposure_are_masked(case):
    case.spoil("exposure", CENTER, 0.0)
    case.spoil("counts", CENTER, 0.0)
    assert case.run_all() == (0, None)
    observation = read_observation(case.folder / "prepare.h5")
    assert not observation.region[observation.pixels == CENTER].any()
    assert "1 pixels of region have no exposure and are masked, first pixel 1504" in observation.warnings[0]


def test_few_pixels_are_a_warning(case):
    longitude, latitude = healpy.pix2ang(NSIDE, CENTER, lonlat=True)
    case.observation["region"] = {"center": [f"{longitude} deg", f"{latitude} deg"], "radius": "1 deg"}
    assert case.run_all() == (0, None)
    observation = read_observation(case.folder / "prepare.h5")
    assert observation.region.sum() == 1
    assert "1 pixels for 1 templates" in observation.warnings[0]


def test_resolution_changes_on_request(case):
    case.observation["nside"] = 8
    case.maps["exposure"] = np.full(12 * 32**2, 7e10)
    assert case.run_all() == (0, None)
    observation = read_observation(case.folder / "prepare.h5")
    counts = read_counts(case.folder / "observe.h5")
    assert observation.nside == 8
    np.testing.assert_allclose(observation.exposure_cm2_s, 7e10)
    assert "exposure: nside 32 changed to 8 (mean of the fine pixels)" in observation.warnings
    assert "counts: nside 16 changed to 8 (sum of the fine pixels)" in counts.warnings


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_configuration_may_speak_where_the_header_is_silent(case, suffix):
    path = case.use_fits("exposure", {"ORDERING": None, "COORDSYS": None}, ordering="ring", coordsys="galactic")
    if suffix:
        packed = path.with_name(path.name + suffix)
        packed.write_bytes(gzip.compress(path.read_bytes()))
        case.files["exposure"]["file"] = str(packed)
    assert case.run_all() == (0, None)


def test_energies_in_another_unit_are_converted(case):
    cube_with_energies(case, "MeV", [2000.0, 20000.0])
    assert case.run_all() == (0, None)


def test_all_faults_of_the_table_that_belong_here_are_tested():
    assert {row for row, _ in FAULTS} >= {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 19, 26}
