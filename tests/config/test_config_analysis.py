"""The typed configuration: shorthands, names of data, what fits see, and everything that contradicts itself."""

from functools import partial

import pytest
from tests.config.changes import MISSING, change

from skysift.config import Analysis, ConfigurationError, load, resolve, verify_round_trip, yaml_text
from skysift.errors import SkysiftError

BASE = {
    "run": "test",
    "observation": {"region": {"radius": "20 deg"}},
    "simulate": {"replicates": 2, "truth": {"gce": 0.9, "model_o_gas": 8}},
    "model": {
        "components": {
            "diffuse": {"template": "p6v11", "norm": {"lognormal": [12, 0.5]},
                        "modulate": {"lengthscale": "0.2 rad", "variance": 0.5}},
            "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}},
        }
    },
    "fits": {"mvn": ["map", {"svi": {"guide": "mvn"}}]},
}  # fmt: skip
changed = partial(change, BASE)


def test_shorthands_are_written_out():
    analysis = resolve(
        changed(
            observation__region__mask=["mask_3fgl", {"plane": "1 deg"}],
            observation__files={"counts": "my.fits"},
            model__components__iso={"template": "isotropic", "norm": 1},
            fits__one="map",
            fits__old={"recipe": "legacy", "steps": 10, "data": ["simulated"]},
            systematics="sidebands",
        )
    )
    plain = analysis.plain()
    assert plain["observation"]["region"]["mask"] == {"or": [{"name": "mask_3fgl"}, {"plane": "1 deg"}]}
    assert plain["observation"]["files"]["counts"] == {"file": "my.fits", "hdu": 1}
    assert plain["model"]["components"]["iso"]["norm"] == {"fixed": 1.0}
    assert plain["model"]["components"]["diffuse"]["modulate"][0]["lengthscale"] == {"value": "0.2 rad"}
    assert plain["simulate"]["sets"]["simulated"]["replicates"] == 2
    assert [step["engine"] for step in plain["fits"]["mvn"]["sequence"]] == ["map", "svi"]
    assert plain["fits"]["one"]["sequence"][0]["settings"]["starts"] == 32
    assert plain["fits"]["old"]["recipe"]["steps"] == 10
    assert plain["systematics"]["sidebands"]["longitudes"][:2] == ["30 deg", "-30 deg"]


def test_hyper_parameters_with_a_prior_are_marginalised_unless_told_otherwise():
    def kernel(**written):
        path = "model__components__diffuse__modulate"
        return resolve(changed(**{path: written, "fits__mvn": ["laplace"]})).model.components["diffuse"].modulate[0]

    assert kernel(lengthscale="0.2 rad", variance=0.5).hyper == "fixed"
    assert kernel(lengthscale="0.2 rad", variance={"lognormal": [0.1, 1]}).hyper == "marginalised"
    assert kernel().hyper == "marginalised"
    assert kernel().free_hypers == ("lengthscale", "variance")
    assert kernel(grid=3).variants == 9
    assert kernel(hyper="sampled").variants == 1


def test_data_are_named_by_set_and_number():
    assert resolve(changed(simulate=MISSING)).all_data() == ["observed"]
    assert resolve(BASE).all_data() == ["simulated-000", "simulated-001"]
    sets = {"sets": {"a": {"truth": {"gce": 1}}, "b": {"replicates": 2, "truth": {"gce": 1}}}}
    analysis = resolve(changed(simulate=sets, fits__only={"sequence": ["map"], "data": ["b"]}))
    assert analysis.all_data() == ["a-000", "b-000", "b-001"]
    assert analysis.fit_data() == {"mvn": ["a-000", "b-000", "b-001"], "only": ["b-000", "b-001"]}
    first = resolve(changed(simulate=sets, fits__first={"sequence": ["map"], "data": ["?-000"]}))
    assert first.fit_data()["first"] == ["a-000", "b-000"]


def test_a_fit_replaces_adds_and_removes_components():
    override = {
        "components": {
            "gce": None,
            "diffuse": {"template": "model_o_gas", "norm": 1},
            "iso": {"template": "isotropic", "norm": {"uniform": [0, 1]}},
        }
    }
    analysis = resolve(changed(fits__other={"model": override, "sequence": ["map"]}))
    components = analysis.model_of("other").components
    assert list(components) == ["diffuse", "iso"]
    assert components["diffuse"].modulate == []
    assert list(analysis.model_of("mvn").components) == ["diffuse", "gce"]


def test_sidebands_take_every_fit_that_has_the_signal_free():
    without = {"model": {"components": {"gce": None}}, "sequence": ["map"]}
    fixed = {"model": {"components": {"gce": {"template": "nfw_squared", "norm": 1}}}, "sequence": ["map"]}
    analysis = resolve(
        changed(fits__no=without, fits__fixed=fixed, fits__old={"recipe": "legacy"}, systematics=["sidebands"])
    )
    assert analysis.sideband_fits() == ["mvn"]
    assert analysis.sideband_regions()[:3] == ["l+30", "l-30", "l+45"]
    assert resolve(BASE).sideband_regions() == []


def test_numbers_may_arrive_as_text():
    analysis = resolve(
        changed(seed="3", simulate__truth__gce="1e-1", fits__mvn=[{"svi": {"lr": "1e-3", "steps": "1e2"}}])
    )
    settings = analysis.fits["mvn"].sequence[0].settings
    assert (analysis.seed, analysis.simulate.sets["simulated"].truth["gce"]) == (3, 0.1)
    assert (settings.lr, settings.steps) == (0.001, 100)


def test_files_merge_and_null_takes_away(tmp_path):
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text(yaml_text(changed(fits__second=["map"])))
    over.write_text(
        "run: other\nfits: {mvn: }\nsimulate:\nmodel: {components: {gce: {norm: {uniform: , normal: [1, 1]}}}}\n"
    )
    analysis = load([base, over], {"seed": "5"})
    assert (analysis.run, analysis.seed, list(analysis.fits)) == ("other", 5, ["second"])
    assert analysis.simulate is None
    assert analysis.model.components["gce"].norm.kind == "normal"


def test_merged_data_are_told_with_the_lines_of_their_files(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("run: test\nsed: 1\n")
    with pytest.raises(ConfigurationError) as caught:
        resolve({"run": "test", "sed": 1, "seeed": 2}, files=[file])
    places = {error.field: error.place for error in caught.value.errors}
    assert (places["sed"], places["seeed"]) == (f"{file} line 2", str(file))


def test_a_resolved_configuration_reads_back_to_itself():
    analysis = resolve(changed(systematics="sidebands"))
    assert resolve(analysis.plain()) == analysis
    assert yaml_text(analysis) == verify_round_trip(analysis)


def test_a_change_on_the_way_through_yaml_is_a_defect_of_ours(monkeypatch):
    real = yaml_text
    monkeypatch.setattr("skysift.config.loading.yaml_text", lambda part: real(part).replace("20 deg", "21 deg"))
    with pytest.raises(SkysiftError, match=r"observation\).*a defect of skysift") as caught:
        verify_round_trip(resolve(BASE))
    assert caught.value.exit_code == 1


GAS = {"template": "model_o_gas", "norm": {"uniform": [0, 9]}}
CONTRADICTIONS = {
    "truth for nobody": ({"simulate__truth__gcee": 1}, "simulate.truth.gcee", "did you mean 'gce'?"),
    "truth outside a prior": ({"simulate__truth__gce": 1.6}, "simulate.truth.gce", "model.components.gce.norm"),
    "truth outside a fit's prior": (
        {"fits__x": {"sequence": ["map"], "model": {"components": {
            "gce": {"template": "nfw_squared", "norm": {"uniform": [1, 2]}}}}}},
        "simulate.truth.gce", "fits.x.model.components.gce.norm",
    ),
    "negative truth": ({"simulate__truth__gce": -1}, "simulate", "truth.gce: -1"),
    "no photons": ({"simulate__truth": {"gce": 0}}, "simulate", "norms all 0"),
    "field without truth": (
        {"simulate__modulate": {"bubbles": {"lengthscale": "1 rad", "variance": 1}}}, "simulate", "truth.bubbles",
    ),
    "field with a prior": ({"simulate__modulate": {"gce": {}}}, "simulate", "modulate.gce"),
    "unknown template": ({"model__components__gce__template": "nfw"}, "model.components.gce.template", "'nfw'"),
    "template of other data": (
        {"model__components__gce__template": "diffuse"}, "model.components.gce.template", "observation.data: fermi",
    ),
    "unknown mask": ({"observation__region__mask": {"not": "mask_3fg"}}, "observation.region.mask", "mask_3fgl"),
    "zero width": ({"model__components__gce__norm": {"normal": [1, 0]}}, "model.components.gce.norm", "width 0"),
    "two levels for one norm": (
        {"model__components__diffuse__modulate__mean": {"normal": [0, 1]}},
        "model.components.diffuse", "norm: lognormal and modulate.mean: normal\n",
    ),
    "prior and fixed": (
        {"model__components__diffuse__modulate": {"hyper": "fixed"}},
        "model.components.diffuse.modulate", "hyper: fixed and a prior on lengthscale and variance",
    ),
    "sampled without prior": (
        {"model__components__diffuse__modulate__hyper": "sampled"}, "model.components.diffuse.modulate", "both given",
    ),
    "too many grid points": (
        {"model__components__diffuse__modulate": [{}, {}, {"grid": 9}]},
        "model.components.diffuse.modulate", "50625 grid points",
    ),
    "shared with nobody": (
        {"model__components__gce__modulate": {"shared": "difuse"}}, "model.components.gce.modulate.shared", "'diffuse'",
    ),
    "shared with itself": (
        {"model__components__gce__modulate": {"shared": "gce"}},
        "model.components.gce.modulate.shared", "another component",
    ),
    "shared and own": (
        {"model__components__gce__modulate": [{"lengthscale": "1 rad", "variance": 1}, {"shared": "diffuse"}]},
        "model.components.gce", "shared beside 1 more",
    ),
    "shared by the rigid fit": (
        {"model__components__gce__modulate": {"shared": "diffuse", "coefficient": "rigid_fit"}},
        "model.components.gce.modulate", "coefficient: rigid_fit",
    ),
    "coefficient of nothing": (
        {"model__components__diffuse__modulate__coefficient": 2},
        "model.components.diffuse.modulate", "coefficient alone",
    ),
    "shared with a kernel": (
        {"model__components__gce__modulate": {"shared": "diffuse", "kernel": "rbf"}},
        "model.components.gce.modulate", "shared: diffuse and kernel",
    ),
    "one energy bin": (
        {"model__components__diffuse__modulate__energies": "independent"},
        "model.components.diffuse.modulate.energies", "observation.energy_edges",
    ),
    "every point, no grid": (
        {"model__components__diffuse__modulate__inducing": {"points": "all", "nside": 8}},
        "model.components.diffuse.modulate.inducing", "points: all and nside",
    ),
    "named like a parameter": ({"model__components__gce_norm": GAS}, "model.components.gce_norm", "component 'gce'"),
    "named like a second kernel": (
        {"model__components__gce_variance_2": GAS}, "model.components.gce_variance_2", "component 'gce'",
    ),
    "guide without a field": (
        {"model__components__diffuse__modulate": MISSING, "fits__x": ["map", {"svi": {"guide": "conditional_iaf"}}]},
        "fits.x", "model.components",
    ),
    "recipe without a field": (
        {"model__components__diffuse__modulate": MISSING, "fits__x": {"recipe": "legacy"}}, "fits.x", "recipe legacy",
    ),
    "nothing to fit": (
        {"model__components": {"gce": {"template": "nfw_squared", "norm": 1}}}, "fits.mvn", "one free parameter",
    ),
    "no component left": (
        {"fits__x": {"sequence": ["map"], "model": {"components": {"gce": None, "diffuse": None}}}},
        "fits.x.model.components", "no component is left",
    ),
    "removing nobody": (
        {"fits__x": {"sequence": ["map"], "model": {"components": {"gcee": None}}}},
        "fits.x.model.components.gcee", "did you mean 'gce'?",
    ),
    "an engine that cannot marginalise": (
        {"model__components__diffuse__modulate": {}}, "fits.mvn[1]", "svi with hyper: marginalised",
    ),
    "a recipe of other kernels": (
        {
            "model__components__diffuse__modulate": {"hyper": "maximised"},
            "fits__old": {"recipe": "legacy"},
        },
        "fits.old", "as published",
    ),
    "pattern of nothing": ({"fits__x": {"sequence": ["map"], "data": ["simulated-9*"]}}, "fits.x.data[0]", "pattern"),
    "unknown set": ({"fits__x": {"sequence": ["map"], "data": ["simulatd"]}}, "fits.x.data[0]", "'simulated'"),
    "set without simulation": (
        {"simulate": MISSING, "fits__x": {"sequence": ["map"], "data": ["a"]}}, "fits.x.data[0]", "observed",
    ),
    "grid over nothing": (
        {"fits__x": ["map", {"grid": {"parameter": "gce"}}]}, "fits.x[1].grid.parameter", "did you mean 'gce_norm'?",
    ),
    "grid upside down": (
        {"fits__x": ["map", {"grid": {"parameter": "gce_norm", "low": 1, "high": 0}}]}, "fits.x[1].grid", "low < high",
    ),
    "sequence and recipe": (
        {"fits__x": {"sequence": ["map"], "recipe": {"name": "legacy"}}}, "fits.x", "both sequence and recipe",
    ),
    "sidebands of no fit": (
        {"systematics": {"sidebands": {"fits": ["mvm"]}}}, "systematics.sidebands.fits", "did you mean 'mvn'?",
    ),
    "sidebands of a recipe": (
        {"fits__x": {"recipe": "legacy"}, "systematics": {"sidebands": {"fits": ["x"]}}},
        "systematics.sidebands.fits", "no posterior",
    ),
    "sidebands of no signal": (
        {"systematics": {"sidebands": {"signal": "gcee"}}}, "systematics.sidebands.signal", "did you mean 'gce'?",
    ),
    "sidebands of a fixed signal": (
        {"model__components__gce__norm": 1, "systematics": {"sidebands": {"fits": ["mvn"]}}},
        "systematics.sidebands.signal", "model.components.gce.norm",
    ),
    "sidebands of two signals": (
        {"fits__x": {"sequence": ["map"], "model": {"components": {"gce": {**GAS, "template": "disk"}}}},
         "systematics": "sidebands"},
        "systematics", "disk and nfw_squared",
    ),
    "name taken by the sidebands": (
        {"fits__mvn_sidebands": ["map"], "systematics": {"sidebands": {"fits": ["mvn"]}}},
        "fits.mvn_sidebands", "with the systematic",
    ),
    "one longitude twice": (
        {"systematics": {"sidebands": {"longitudes": ["30 deg", "-180 deg", "180 deg"]}}},
        "systematics.sidebands", "each longitude once",
    ),
    "a sideband at the centre": (
        {"systematics": {"sidebands": {"longitudes": ["30 deg", "0 deg"]}}}, "systematics.sidebands", "not 0",
    ),
    "falling energies": (
        {"observation__energy_edges": ["20 GeV", "2 GeV"]}, "observation.energy_edges", "edge 1: 2 GeV after 20 GeV",
    ),
    "an energy of zero": (
        {"observation__energy_edges": ["0 GeV", "2 GeV"]}, "observation.energy_edges", "edge 0: 0 GeV",
    ),
    "own data without counts": ({"observation__data": "files"}, "observation", "observation.files.counts"),
    "annulus inside out": (
        {"observation__region__inner_radius": "30 deg"}, "observation.region", "inner_radius 30 deg, radius 20 deg",
    ),
    "a plane as wide as the disc": (
        {"observation__region__mask_plane": "20 deg"},
        "observation.region", "a band of 20 deg, latitudes up to 20 deg",
    ),
    "a plane among masks": (
        {"observation__region__mask": ["mask_3fgl", {"plane": "25 deg"}]},
        "observation.region", "a band of 25 deg, latitudes up to 20 deg",
    ),
    "less than a pixel": ({"observation__region__radius": "0.01 deg"}, "observation", "region: a radius of 0.01 deg"),
    "two masks in one": (
        {"observation__region__mask": {"name": "mask_3fgl", "plane": "1 deg"}},
        "observation.region.mask", "name and plane",
    ),
    "a shared name": ({"run": "cache"}, "", "results/cache"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_and_names_both_sides(name):
    changes, field, words = CONTRADICTIONS[name]
    with pytest.raises(ConfigurationError) as caught:
        resolve(changed(**changes), "my.yaml")
    text = str(caught.value)
    assert field in [error.field.replace("(top level)", "") for error in caught.value.errors], text
    assert words.strip("\n") in text
    assert caught.value.exit_code == 2


def test_the_base_of_these_contradictions_is_sound():
    assert isinstance(resolve(BASE), Analysis)


def test_the_edges_of_a_prior_are_inside():
    resolve(changed(simulate__truth__gce=0))
    resolve(changed(simulate__truth__gce=1.5))


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        resolve(changed(sed=1, observation__region__radius=20, fits__mvn=["map", {"svi": {"guid": 1}}]))
    fields = [error.field for error in caught.value.errors]
    assert sorted(fields) == ["fits.mvn[1].svi.guid", "observation.region.radius", "sed"]
    assert all(field in str(caught.value) for field in fields)
