"""The shipped configurations: valid, and what they are said to be."""

import pytest

from skysift.config import load, verify_round_trip
from skysift.steps import validate

MAPS = ["demo", "smoke/fermi", "smoke/nptf", "calibrate/fermi", "calibrate/nptf", "fermi_gp", "fermi_gp_worlds",
        "fermi_inner_galaxy", "fermi_nptf", "fermi_gp_nptf", "nptf_asymmetry"]  # fmt: skip
EVENTS = ["smoke/events", "calibrate/events", "ctao_quickstart", "ctao_dark_matter"]
CUBES = ["smoke/cube", "ctao_cube"]
SHIPPED = [*MAPS, *EVENTS, *CUBES]
#: Files that extend another: both are given to `--configfile`, in this order.
EXTENDS = {"fermi_gp_worlds": "fermi_gp"}
MODEL_O = {"bubbles": 0.5, "isotropic": 0.1, "point_sources": 0.5, "gce": 0.9, "model_o_gas": 8, "model_o_ics": 4}


def files_of(repository, name):
    return [repository / "config" / f"{part}.yaml" for part in (EXTENDS.get(name), name) if part]


@pytest.fixture
def shipped(repository):
    """Load a shipped configuration by name."""
    return lambda name: load(files_of(repository, name))


def test_this_list_is_complete(repository):
    folder = repository / "config"
    found = [path.relative_to(folder) for path in folder.rglob("*.yaml")]
    analyses = [str(path.with_suffix("")) for path in found if path.parts[0] != "models"]
    assert sorted(analyses) == sorted(SHIPPED)


def test_no_two_share_a_run(shipped):
    alone = [name for name in SHIPPED if name not in EXTENDS]
    assert len({shipped(name).run for name in alone}) == len(alone)
    assert all(shipped(name).run == shipped(base).run for name, base in EXTENDS.items())


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_valid_and_survives_a_round_trip(shipped, name):
    verify_round_trip(shipped(name))


@pytest.mark.parametrize("name", SHIPPED)
def test_validate_says_what_it_is(repository, capsys, name, monkeypatch):
    monkeypatch.chdir(repository)
    validate.run(files_of(repository, name))
    kind = "fermi" if name in MAPS else "ctao" if name in EVENTS else "cube"
    assert f"a valid analysis of {kind} data" in capsys.readouterr().out


def test_the_smoke_test_goes_through_every_step_and_guide(shipped):
    analysis = shipped("smoke/fermi")
    assert analysis.observation.data == "synthetic"
    assert {guide for fit in analysis.fits.values() for guide in fit.guides} == {
        "mvn",
        "iaf",
        "conditional_iaf",
        "flow",
    }
    engines = {step.name for fit in analysis.fits.values() for step in fit.sequence}
    assert engines == {"map", "laplace", "grid", "svi", "hmc"}
    assert any(fit.recipe for fit in analysis.fits.values())
    assert analysis.sideband_fits()


def test_the_standard_calibration_has_every_engine_and_needs_no_files(shipped):
    maps, events = shipped("calibrate/fermi"), shipped("calibrate/events")
    assert maps.observation.data == "synthetic"
    last = {fit.sequence[-1].name for fit in maps.fits.values()}
    assert last == {"hmc", "grid", "laplace", "nuts", "svi"}
    assert {guide for fit in maps.fits.values() for guide in fit.guides} == {"mvn", "flow", "iaf", "conditional_iaf"}
    ends = [fit.sequence[-1] for fit in events.fits.values()]
    assert {step.name for step in ends} == {"laplace", "nested", "hmc"}
    assert {step.settings.library for step in ends if step.name == "nested"} == {"dynesty", "nautilus"}
    assert {events.model_of(name).likelihood for name in events.fits} == {"mixture", "extended"}
    for analysis in (maps, events):
        assert analysis.calibrate.simulations == 1000
        assert analysis.calibrated_fits() == list(analysis.fits)
    components = maps.model_of("hmc").components.values()
    assert sum(not part.norm.is_fixed for part in components) == 2
    assert sum(bool(part.modulate) for part in components) == 1


def test_the_demonstration_needs_no_files(shipped):
    assert shipped("demo").observation.data == "synthetic"


def test_the_published_experiment_is_as_published(shipped):
    analysis = shipped("fermi_gp")
    region = analysis.observation.region
    assert (region.radius_deg, region.mask_plane_deg, region.mask.name) == (20, 2, "mask_3fgl_0p8deg")
    chosen = analysis.simulate.sets["model_o"]
    assert (chosen.replicates, chosen.truth) == (20, MODEL_O)
    for name in ("mvn", "iaf", "conditional_iaf", "hmc", "legacy"):
        components = analysis.model_of(name).components
        kernel = components["diffuse"].modulate[0]
        assert components["diffuse"].norm.is_rigid_fit
        assert (kernel.kernel, kernel.lengthscale.value_rad, kernel.variance.value) == ("matern52", 0.2, 0.5)
        assert (components["bubbles"].norm.mean, components["isotropic"].norm.sd) == (0.5, 0.02)


@pytest.mark.parametrize(
    ("name", "fit"), [("fermi_gp", "best"), ("fermi_gp_worlds", "inject"), ("fermi_inner_galaxy", "best")]
)
def test_the_default_has_two_scales_and_wide_priors(shipped, name, fit):
    components = shipped(name).model_of(fit).components
    wide, fine = components["diffuse"].modulate
    assert 0.2 <= wide.lengthscale.median_rad <= 0.8
    assert 0.02 <= fine.lengthscale.value_rad <= 0.06
    assert wide.variants * fine.variants == 27
    assert not components["diffuse"].norm.is_fixed
    assert components["bubbles"].norm.sd == components["isotropic"].norm.sd == 1


def test_real_and_simulated_fits_share_their_models(shipped):
    real, simulated = shipped("fermi_inner_galaxy"), shipped("fermi_gp")
    assert real.all_data() == ["observed"]
    for name in ("rigid", "mvn", "iaf", "conditional_iaf", "hmc", "best"):
        assert real.model_of(name) == simulated.model_of(name)


def test_the_worlds_are_four_and_the_signal_is_injected_at_four_norms(shipped):
    analysis = shipped("fermi_gp_worlds")
    sets = analysis.simulate.sets
    assert sets["model_o"].truth == MODEL_O
    assert sorted({chosen.truth["gce"] for chosen in sets.values()}) == [0, 0.45, 0.9, 1.35]
    for fit in ("best", "best_model_o", "rigid", "control", "check", "check_model_o"):
        assert {"model_o-000", "p6v11-000"} <= set(analysis.fit_data()[fit])


def test_the_calibration_of_sources_is_one_population_and_one_template(shipped):
    analysis = shipped("calibrate/nptf")
    assert analysis.observation.data == "synthetic"
    assert analysis.calibrated_fits() == ["hmc", "laplace"]
    smooth, sources = analysis.model_of("laplace").components.values()
    assert smooth.population is None
    assert sources.population.norm_of == "counts"
    assert len(sources.free) == 3


def test_no_sky_of_the_asymmetry_holds_sources(shipped):
    analysis = shipped("nptf_asymmetry")
    assert not any(one.populations for one in analysis.simulate.sets.values())
    has = {name: any(part.population for part in analysis.model_of(name).components.values()) for name in analysis.fits}
    bends = {name: bool(analysis.model_of(name).components["diffuse"].modulate) for name in analysis.fits}
    assert has == {"rigid": True, "rigid_smooth": False, "gp": True, "gp_smooth": False}
    assert bends == {"rigid": False, "rigid_smooth": False, "gp": True, "gp_smooth": True}
    truths = {name: one.truth for name, one in analysis.simulate.sets.items()}
    assert "diffuse_north" in truths["diffuse"]
    assert "nfw_squared_north" in truths["excess"]
    assert not any(name.endswith("north") for name in truths["symmetric"])
