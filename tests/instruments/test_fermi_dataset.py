"""The shipped data set: published sums, names known to the configuration, laziness, damage."""

import shutil

import numpy as np
import pytest

from skysift.config.observation import DATA_SETS
from skysift.errors import InputError
from skysift.geometry import AnyOf, Disc, NamedMask, PlaneBand, Region
from skysift.instruments.fermi.assembly import Layout, assemble, cut_counts
from skysift.instruments.fermi.dataset import DATASET
from skysift.instruments.fermi.sources import fermi_source
from skysift.sky.synthetic import MASKS, TEMPLATES

MEMBERS = {member.name: member for member in DATASET}
NAMES = [member.name for member in DATASET if member.role == "template"]
# Table of the specification: sums in the region of 20 deg.
SUMS = {
    "p6v11": 5186.598, "isotropic": 4289.580, "point_sources": 21.455, "bubbles": 4961.083, "nfw_squared": 6364.629,
    "disk": 5610.442, "model_o_gas": 4845.214, "model_o_ics": 5043.336,
}  # fmt: skip


def region(radius, mask):
    return Region(Disc((0.0, 0.0), radius), AnyOf((PlaneBand(2.0), NamedMask(mask))))


@pytest.fixture(scope="module")
def observation(data_folder):
    layout = Layout(region(20.0, "mask_3fgl_0p8deg"), read_out={"wide": region(30.0, "mask_3fgl")})
    return assemble(fermi_source({}, "test"), layout, NAMES)


def test_published_sums_of_templates(observation):
    found = {name: template[:, observation.region].sum() for name, template in observation.templates.items()}
    assert found == pytest.approx(SUMS, abs=6e-4)


def test_published_regions_and_exposure(observation):
    wide = observation.read_out["wide"]
    assert (observation.region.sum(), wide.sum()) == (4234, 11265)
    assert observation.exposure_cm2_s[:, observation.region].mean() == pytest.approx(7.0451e10, rel=1e-5)
    assert observation.exposure_cm2_s[:, wide].mean() == pytest.approx(6.9497e10, rel=1e-5)
    assert observation.region.sum() * observation.pixel_area_sr * np.degrees(1) ** 2 == pytest.approx(888.4, abs=0.05)
    assert observation.exposure_mean_cm2_s == pytest.approx(1.2965716e16 / 196608, rel=1e-7)
    assert observation.warnings == ()


def test_published_counts(observation):
    counts, warnings = cut_counts(fermi_source({}, "test").read("counts", "counts"), observation)
    wide = observation.read_out["wide"]
    assert counts.dtype == np.int64
    assert (counts[:, observation.region].sum(), counts[:, observation.region].max()) == (73946, 82)
    assert (counts[:, wide].sum(), counts[:, wide].max()) == (160759, 164)
    assert warnings == ()


def test_configuration_knows_the_names():
    masks = {member.name for member in DATASET if member.role == "mask"}
    assert set(DATA_SETS["fermi"]["templates"]) == set(NAMES)
    assert set(DATA_SETS["fermi"]["masks"]) == masks
    assert set(DATA_SETS["synthetic"]["templates"]) == set(TEMPLATES)
    assert set(DATA_SETS["synthetic"]["masks"]) == set(MASKS)
    assert set(NAMES) <= set(TEMPLATES)


def test_only_what_is_needed_is_read(data_folder, tmp_path, monkeypatch):
    for name in ("exposure", "bubbles", "mask_3fgl"):
        shutil.copy(data_folder / "fermi" / MEMBERS[name].file, tmp_path)
    monkeypatch.setenv("SKYSIFT_DATA", str(tmp_path))
    source = fermi_source({}, "test")
    assemble(source, Layout(region(20.0, "mask_3fgl")), ["bubbles"])
    assert sorted(path.name for path in source.paths_read()) == sorted(path.name for path in tmp_path.iterdir())


def test_a_changed_file_is_refused_by_its_sum(data_folder, tmp_path, monkeypatch):
    values = np.load(data_folder / "fermi" / MEMBERS["bubbles"].file)
    for error in (2e-7, 2e-6):
        np.save(tmp_path / MEMBERS["bubbles"].file, values * (1 + error))
        monkeypatch.setenv("SKYSIFT_DATA", str(tmp_path))
        if error < 1e-6:
            fermi_source({}, "test").read("template", "bubbles")
            continue
        with pytest.raises(InputError, match=r"sum of bubbles[\s\S]*22326.36[\s\S]*22326.32"):
            fermi_source({}, "test").read("template", "bubbles")
