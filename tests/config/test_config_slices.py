"""Slices: each holds what its step reads, reads back to itself, and changes only when it must."""

import copy

import pytest

from skysift.config import FitSlice, check_own, load, load_slice, resolve, yaml_text
from skysift.config.slices import SLICES
from skysift.errors import InputError

DATA = {
    "run": "test",
    "observation": {"data": "synthetic", "region": {"radius": "20 deg"}},
    "simulate": {"sets": {"a": {"truth": {"gce": 0.9, "diffuse_gas": 8}}, "b-c": {"truth": {"gce": 0}}}},
    "model": {
        "components": {
            "diffuse": {
                "template": "diffuse",
                "norm": {"lognormal": [12, 0.5]},
                "modulate": {"lengthscale": "0.2 rad", "variance": 0.5},
            },
            "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}},
        }
    },
    "fits": {"mvn": ["map", {"svi": {"guide": "mvn"}}], "old": {"recipe": "legacy"}, "best": ["map", "laplace"]},
    "systematics": {"sidebands": {"fits": ["best"], "longitudes": ["30 deg", "-30 deg"]}},
}
DATA["simulate"]["sets"]["b-c"]["truth"]["diffuse"] = 12


@pytest.fixture(scope="module")
def slices():
    return resolve(DATA).slices()


def test_there_is_a_slice_for_each_step(slices):
    assert list(slices) == [
        "observation", "simulate-a", "simulate-b-c", "fit-mvn", "fit-old", "fit-best", "sidebands-best", "report",
    ]  # fmt: skip


def test_a_slice_reads_back_to_itself(slices, tmp_path):
    for name, part in slices.items():
        kind = name.split("-")[0]
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml_text(part))
        assert yaml_text(load_slice(path, kind)) == yaml_text(part)
        assert load_slice(path, SLICES[kind]) == load_slice(path, kind)


def test_a_slice_of_another_step_is_refused(slices, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(yaml_text(slices["observation"]))
    with pytest.raises(InputError, match="observation") as caught:
        load_slice(path, FitSlice)
    assert caught.value.exit_code == 2


def read(slices, tmp_path, name):
    path = tmp_path / "slice.yaml"
    path.write_text(yaml_text(slices[name]))
    return load_slice(path, SLICES[name.split("-")[0]])


def test_a_step_finds_what_it_needs(slices, tmp_path):
    observation = read(slices, tmp_path, "observation")
    assert observation.templates == ["diffuse", "diffuse_gas", "nfw_squared"]
    assert observation.observation.region.radius_deg == 20
    assert observation.observation.energy_edges_gev == [2, 20]
    assert observation.sidebands.regions == {"l+30": 30, "l-30": -30}
    assert observation.sidebands.template == "nfw_squared"

    simulate = read(slices, tmp_path, "simulate-a")
    assert simulate.name == "a"
    check_own(simulate.name, "a-000", tmp_path)
    for name in ("b-000", "a-x", "a-1"):
        with pytest.raises(InputError, match="a-000, a-001"):
            check_own(simulate.name, name, tmp_path)
    assert {name: (part.template, part.norm) for name, part in simulate.truth.items()} == {
        "gce": ("nfw_squared", 0.9), "diffuse_gas": ("diffuse_gas", 8),
    }  # fmt: skip

    fit = read(slices, tmp_path, "fit-mvn")
    assert [(step.name, type(step.settings).__name__) for step in fit.sequence] == [
        ("map", "MapSettings"), ("svi", "SviSettings"),
    ]  # fmt: skip
    assert fit.model.components["diffuse"].modulate[0].lengthscale.value_rad == 0.2
    assert fit.recipe is None

    old = read(slices, tmp_path, "fit-old")
    assert (old.sequence, old.recipe.name, old.recipe.steps) == ([], "legacy", 50000)

    sidebands = read(slices, tmp_path, "sidebands-best")
    assert (sidebands.name, sidebands.signal, sidebands.regions["l-30"]) == ("best", "gce", -30)
    assert sidebands.model == read(slices, tmp_path, "fit-best").model

    report = read(slices, tmp_path, "report")
    assert report.data == ["a-000", "b-c-000"]
    assert report.fits["old"] == report.data
    assert (report.tempered, report.signal) == (["old"], "gce")
    assert report.truth["a"]["gce"].norm == 0.9
    assert (report.sideband_fits, report.sideband_regions) == (["best"], ["l+30", "l-30"])


def change(path, value):
    data = copy.deepcopy(DATA)
    *above, last = path
    place = data
    for part in above:
        place = place[part]
    place[last] = value
    return resolve(data).slices()


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["fits", "mvn", 1, "svi", "guide"], "iaf", {"fit-mvn"}),
        (["fits", "old", "recipe"], {"name": "legacy", "steps": 1}, {"fit-old"}),
        (["fits", "best", 0], {"map": {"starts": 2}}, {"fit-best", "sidebands-best"}),
        (["simulate", "sets", "a", "replicates"], 2, {"report"}),
        (["observation", "region", "radius"], "10 deg", {"observation"}),
        (["threads"], 2, {"fit-mvn", "fit-old", "fit-best", "sidebands-best"}),
    ],
)
def test_a_changed_key_changes_the_slices_that_read_it_and_no_other(slices, path, value, expected):
    again = change(path, value)
    assert {name for name in slices if slices[name] != again[name]} == expected


def test_the_fit_slice_of_an_analysis_is_that_of_its_file(slices, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml_text(resolve(DATA)))
    assert yaml_text(load([path]).slices()["fit-mvn"]) == yaml_text(slices["fit-mvn"])


def test_a_fit_that_takes_longer_is_calibrated_on_fewer_truths():
    more = {"simulations": 30, "per_job": 10, "fewer": {"mvn": 15}}
    slices = resolve(copy.deepcopy(DATA) | {"calibrate": more}).slices()
    found = {name: slices[f"calibrate-{name}"]["calibrate"]["simulations"] for name in ("mvn", "best")}
    assert found == {"mvn": 15, "best": 30}
    with pytest.raises(InputError, match="nvm"):
        resolve(copy.deepcopy(DATA) | {"calibrate": more | {"fewer": {"nvm": 15}}})
