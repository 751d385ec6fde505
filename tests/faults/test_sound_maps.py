"""Maps that are sound, or become so on request: every check is silent, or warns."""

import gzip

import healpy
import numpy as np
import pytest
from tests.faults.small_maps import CENTER, NSIDE, cube_with_energies

from skysift.instruments.fermi import read_counts, read_observation


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
    from tests.faults import test_map_conventions, test_map_files, test_map_values

    faults = [*test_map_values.FAULTS, *test_map_conventions.FAULTS, *test_map_files.FAULTS]
    assert {row for row, _ in faults} >= {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 19, 26}
    assert len(faults) == 52
