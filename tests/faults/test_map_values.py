"""What can be wrong with the values of maps, and with what is left of them: one case per row."""

import numpy as np
import pytest
from tests.faults.small_maps import CENTER, NSIDE, PIXELS, check_fault


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


def all_masked(case):
    case.maps["mask"][:] = 1.0
    return "prepare", ["observation.yaml", "observation.region", f"0 of {PIXELS} pixels", "mask"]


def empty_read_out(case):
    case.observation["read_out"] = {"north": {"radius": "1 deg", "mask": {"box": {"b": ["-2 deg", "2 deg"]}}}}
    return "prepare", ["observation.yaml", "observation.read_out.north", f"0 of {PIXELS} pixels"]


def mask_of_halves(case):
    case.spoil("mask", [3, 4], 0.5)
    return "prepare", ["mask.npy", "2 values other than 0 and 1", "pixel 3: 0.5"]


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


# Row of the table of faults, and what is wrong.
FAULTS = [
    *((1, fault) for fault in (nan_counts, infinite_counts, negative_counts, fractional_counts)),
    *((2, fault) for fault in (negative_exposure, nan_exposure, photons_without_exposure)),
    *((7, fault) for fault in (all_masked, empty_read_out)),
    (8, mask_of_halves),
    *((13, fault) for fault in (negative_template, nan_template, template_zero_in_region)),
    *((15, fault) for fault in (counts_that_nothing_explains, template_not_there, nothing_was_observed)),
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=[f"{row}-{fault.__name__}" for row, fault in FAULTS])
def test_fault_stops_before_any_work(case, capsys, row, fault):
    check_fault(case, capsys, fault)
