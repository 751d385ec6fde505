"""Populations in a configuration: what is read, and what is told when it contradicts itself."""

import pytest
from tests.config.changes import MISSING, change

from skysift.config import load
from skysift.config.problems import ConfigurationError

BASE = {
    "run": "sources",
    "observation": {"data": "synthetic", "region": {"radius": "15 deg"}},
    "model": {
        "likelihood": "non_poissonian",
        "components": {
            "iso": {"template": "isotropic", "norm": {"uniform": [0, 2]}},
            "gce": {
                "template": "nfw_squared",
                "norm": {"loguniform": [1e-6, 10]},
                "population": {
                    "slopes": [{"uniform": [2.05, 30]}, {"uniform": [-2, 1.95]}],
                    "breaks": [{"uniform": [0.05, 40]}],
                },
            },
        },
    },
    "fits": {"quick": ["map", "laplace"]},
}
OWN = "model__components__gce__population"
TRUE = {"norm": 0.01, "slopes": [3.5, 0.5], "breaks": [12]}


def read(tmp_path, **changes):
    import yaml

    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(change(BASE, **changes)))
    return load([path])


def test_what_is_left_open_is_filled_in(tmp_path):
    analysis = read(tmp_path, simulate__truth={"iso": 1.0}, simulate__populations={"gce": TRUE})
    component = analysis.model.components["gce"]
    assert list(component.free) == ["slope_1", "slope_2", "break_1"]
    assert component.population.units == "counts"
    slices = analysis.make_slices()
    assert slices["observation"].shares
    assert slices["observation"].margin
    drawn = slices["simulate-simulated"].populations["gce"]
    assert (drawn.template, drawn.units, drawn.norm_of) == ("nfw_squared", "counts", "break")


def test_a_run_without_populations_needs_nothing_of_them(tmp_path):
    analysis = read(tmp_path, model__likelihood="poisson", model__components__gce=MISSING)
    observation = analysis.make_slices()["observation"]
    assert not observation.shares
    assert not observation.margin


def test_the_exposure_in_words_and_numbers(tmp_path):
    assert read(tmp_path, model__exposure="nptfit").model.exposure.nptfit == 1
    assert read(tmp_path, model__exposure={"regions": 5}).model.exposure.regions == 5
    assert read(tmp_path).model.exposure is None


def test_a_law_without_breaks_has_limits(tmp_path):
    sources = {"slopes": [{"uniform": [-2, 4]}], "breaks": [], "limits": [0.1, 40]}
    true = {"norm": 0.01, "slopes": [2.5], "breaks": [], "limits": [0.2, 30]}
    analysis = read(tmp_path, simulate__truth={"iso": 1.0}, simulate__populations={"gce": true}, **{OWN: sources})
    assert list(analysis.model.components["gce"].free) == ["slope_1"]
    assert analysis.make_slices()["simulate-simulated"].populations["gce"].limits == (0.2, 30)


@pytest.mark.parametrize(
    ("psf", "found"),
    [("king", ("king", None)), ("none", ("none", None)), ({"gaussian": "0.2 deg"}, (None, 0.2))],
    ids=str,
)
def test_the_psf_in_words_and_numbers(tmp_path, psf, found):
    chosen = read(tmp_path, observation__psf=psf).observation.psf
    assert (chosen.name, chosen.gaussian_deg) == found


WRONG = {
    "likelihood": ({"model__likelihood": "poisson"}, ["likelihood: non_poissonian", "gce"]),
    "no population": ({OWN: MISSING}, ["non_poissonian", "likelihood: poisson"]),
    "too many slopes": ({f"{OWN}__slopes": [3, 1, 1]}, ["one slope more than breaks: 2"]),
    "shallow": ({f"{OWN}__slopes": [{"uniform": [1.5, 30]}, 1]}, ["first slope above 2", "1.5"]),
    "steep": ({f"{OWN}__slopes": [3, {"uniform": [0, 2.5]}]}, ["last one below 2", "2.5"]),
    "overlap": (
        {f"{OWN}__slopes": [3, 1, 0], f"{OWN}__breaks": [{"uniform": [1, 9]}, {"uniform": [0.1, 2]}]},
        ["do not overlap", "relative: true"],
    ),
    "relative above one": (
        {f"{OWN}__slopes": [3, 1, 0], f"{OWN}__breaks": [{"uniform": [1, 9]}, {"uniform": [0.1, 2]}],
         f"{OWN}__relative": True},
        ["below 1 after the first"],
    ),
    "nothing that ends the law": ({f"{OWN}__slopes": [3], f"{OWN}__breaks": []}, ["0 breaks and no limits"]),
    "limits and breaks": ({f"{OWN}__limits": [0.1, 40]}, ["1 breaks and both limits"]),
    "limits the wrong way": (
        {f"{OWN}__slopes": [3], f"{OWN}__breaks": [], f"{OWN}__limits": [40, 0.1]}, ["the lowest limit first"],
    ),
    "negative break": ({f"{OWN}__breaks": [{"uniform": [-1, 9]}]}, ["breaks above 0"]),
    "negative norm": ({"model__components__gce__norm": {"uniform": [-1, 9]}}, ["norm of at least 0"]),
    "modulated": ({"model__components__gce__modulate": {"variance": 0.1, "lengthscale": "0.2 rad"}},
                  ["population without modulate"]),
    "two bins": ({"observation__energy_edges": ["2 GeV", "5 GeV", "20 GeV"]}, ["one energy bin"]),
    "two exposures": ({"model__exposure": {"nodes": 3, "regions": 2}}, ["exactly one of nodes, regions, nptfit"]),
    "two psfs": ({"observation__psf": {"name": "king", "gaussian": "1 deg"}}, ["exactly one of king"]),
    "truth outside": (
        {"simulate__truth": {"iso": 1}, "simulate__populations": {"gce": {**TRUE, "breaks": [50]}}},
        ["50", "between 0.05 and 40"],
    ),
    "truth without template": (
        {"simulate__truth": {"iso": 1}, "simulate__populations": {"disk_sources": TRUE}}, ["template"],
    ),
    "truth twice": (
        {"simulate__truth": {"iso": 1, "gce": 1}, "simulate__populations": {"gce": TRUE}}, ["gce in both"],
    ),
    "no psf": (
        {"observation__data": "files", "observation__files": {"counts": "c.npy", "exposure": "e.npy"},
         "observation__templates": {"isotropic": "i.npy", "nfw_squared": "n.npy"}},
        ["psf: {gaussian: 0.2 deg}"],
    ),
    "a typing error": ({f"{OWN}__slope": [3, 1]}, ["slopes"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_the_remedy(tmp_path, name):
    changes, words = WRONG[name]
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, **changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)
