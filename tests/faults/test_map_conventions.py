"""What can be wrong with resolution, order, frame, energies and units of maps: one case per row."""

import numpy as np
import pytest
from tests.faults.small_maps import check_fault, cube_with_energies


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


# Row of the table of faults, and what is wrong.
FAULTS = [
    *((3, fault) for fault in (other_nside_of_exposure, other_nside_of_counts, counts_cannot_be_split)),
    *((4, fault) for fault in (order_against_header, order_unknown, order_of_npy_unknown, order_is_nonsense)),
    *((5, fault) for fault in (frame_against_header, frame_unknown, frame_of_npy_unknown, equatorial_counts)),
    (5, ecliptic_exposure),
    *((6, fault) for fault in (odd_length, odd_nside)),
    *((9, fault) for fault in (edges_fall, edges_repeat, edge_is_zero, edges_of_other_length)),
    *((10, fault) for fault in (energies_against_file, energy_unit_is_a_length, energy_unit_missing)),
    *((10, fault) for fault in (exposure_in_other_unit, template_as_intensity)),
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=[f"{row}-{fault.__name__}" for row, fault in FAULTS])
def test_fault_stops_before_any_work(case, capsys, row, fault):
    check_fault(case, capsys, fault)
