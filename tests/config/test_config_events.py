"""Configurations of event analyses: shorthands, sources, chunks, slices."""

import math

import pytest
from tests.config.event_configurations import BASE, DARK, MISSING, POINT, changed

from skysift.config import ConfigurationError, EventAnalysis, kind_of, load, load_slice, resolve, yaml_text
from skysift.config.events.slices import EVENT_SLICES
from skysift.config.loading import verify_round_trip
from skysift.config.slices import SLICES


def test_kind_is_known_from_the_instrument():
    analysis = resolve(BASE)
    assert isinstance(analysis, EventAnalysis)
    assert analysis.kind == "events"
    assert [step.engine for step in analysis.fits["other"].sequence] == ["nested"]
    maps = {
        "run": "maps",
        "observation": {"data": "synthetic", "region": {"radius": "20 deg"}},
        "simulate": {"truth": {"gce": 0.9}},
        "model": {"components": {"gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}}}},
        "fits": {"best": ["map"]},
    }
    assert resolve(maps).kind == "maps"


def test_components_know_what_is_free_about_them():
    spectrum = {"kind": "cutoff", "index": 2.0, "cutoff": {"loguniform": ["1 TeV", "30 TeV"]}}
    analysis = resolve(
        changed(
            model__components__source__spectrum=spectrum,
            model__components__halo={
                **DARK,
                "profile": {"kind": "gnfw", "gamma": {"uniform": [0.5, 1.4]}},
                "spectrum": {**DARK["spectrum"], "mass": {"lognormal": ["2 TeV", 0.5]}},
            },
            model__components__twin={**POINT, "share": {"index": "diffuse"}},
        )
    )
    parts = analysis.model.components
    assert {name: sorted(part.free) for name, part in parts.items()} == {
        "diffuse": ["index"], "source": ["cutoff"], "background": [], "halo": ["gamma", "mass"], "twin": [],
    }  # fmt: skip
    assert [name for name, part in parts.items() if part.moves] == ["halo"]
    assert parts["source"].free["cutoff"].support == (1.0, 30.0)
    assert parts["halo"].free["mass"].numbers == (2.0, 0.5)
    assert [part.template for part in parts.values()] == ["isotropic", "gaussian", "background", "dark_matter", "point"]


def test_a_fit_that_changes_a_component_needs_a_source_of_its_own():
    changes = {"components": {"source": POINT, "background": None}}
    analysis = resolve(changed(fits__point={"model": changes, "sequence": ["laplace"]}))
    assert list(analysis.sources()) == ["diffuse", "source", "background", "source.point"]
    assert analysis.source_of("point", "source") == "source.point"
    assert analysis.source_of("point", "diffuse") == analysis.source_of("quick", "diffuse") == "diffuse"
    assert list(analysis.model_of("point").components) == ["diffuse", "source"]
    assert analysis.slices()["fit-point"]["sources"] == {"diffuse": "diffuse", "source": "source.point"}
    # a norm decides nothing about where a source shines
    extended = {"likelihood": "extended", "components": {
        name: {**part, "norm": 1} for name, part in BASE["model"]["components"].items()
    }}  # fmt: skip
    extended["components"]["source"]["norm"] = {"uniform": [0, 2]}
    analysis = resolve(changed(fits__absolute={"model": extended, "sequence": ["laplace"]}))
    assert list(analysis.sources()) == ["diffuse", "source", "background"]


@pytest.mark.parametrize(
    ("changes", "chunks", "events"),
    [
        ({}, 1, 350),
        ({"chunks": 7}, 1, 350),
        ({"model__binned": False}, 1, 350),
        ({"model__binned": False, "chunks": 7}, 7, 350),
        ({"model__binned": False, "simulate": {"events": {"source": 2_500_000}}}, 3, 2_500_000),
        ({"model__binned": False, "simulate": {"events": 4e6, "truth": {"source": 1}}}, 4, 4_000_000),
    ],
)
def test_chunks_follow_the_number_of_events(changes, chunks, events):
    analysis = resolve(changed(**changes))
    assert analysis.expected_events("simulated-000") == events
    assert analysis.chunk_count("simulated-000") == chunks


def test_physical_numbers_are_planned_from_flux_and_live_time():
    physical = {"model__binned": False, "simulate": {"events": "physical"}}

    def events(**changes):
        analysis = resolve(changed(**physical | changes))
        expected = analysis.expected_events("simulated-000")
        assert analysis.chunk_count("simulated-000") == -(-expected // 1_000_000)
        return expected

    hours = {
        time: events(observation__pointings=[{"lon": "0 deg", "lat": "0 deg", "time": time}])
        for time in ("5 h", "500 h")
    }
    assert hours["500 h"] == pytest.approx(100 * hours["5 h"], rel=1e-3)
    assert hours["500 h"] > 3_000_000
    without = {"simulate": {"events": "physical", "truth": {"background": 0, "diffuse": 0, "source": 2}}}
    assert 1000 < events(**without) < 0.05 * events()
    steep = without["simulate"] | {"parameters": {"diffuse_index": 3.0}, "truth": {"background": 0, "source": 0}}
    assert events(simulate=steep) > events(simulate=steep | {"parameters": {"diffuse_index": 2.0}})


def test_observed_events_are_one_data_set():
    analysis = resolve(changed(simulate=MISSING, observation__events=["list.fits"]))
    assert analysis.all_data() == ["observed"]
    assert analysis.chunk_count("observed") == 1
    assert "observed" not in analysis.slices()["report"]["truth"]


def test_fits_choose_their_data_by_set_or_pattern():
    sets = {"low": {"replicates": 3, "events": {"background": 10}}, "high": {"events": {"background": 99}}}
    fits = {"all": ["laplace"], "some": {"sequence": ["laplace"], "data": ["high", "low-00[12]"]}}
    analysis = resolve(changed(simulate={"sets": sets}, fits=fits))
    assert analysis.fit_data() == {
        "all": ["low-000", "low-001", "low-002", "high-000"], "some": ["low-001", "low-002", "high-000"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"simulate": {"sets": {"a": {"events": 300, "truth": {"source": 0.25, "diffuse": 0.75}},
                               "b": {"events": "physical", "truth": {"source": 2}}}}},
        {"model__components__halo": DARK, "model__fractions__tree": {"sky": ["diffuse", "source", "halo"],
                                                                     "noise": ["background"]}},
        {"simulate": MISSING, "observation__events": ["list.fits"]},
        {"model__components__diffuse": {"sky": "synthetic_diffuse",
                                        "modulate": {"lengthscale": "1 deg", "variance": 0.1}}},
        {"model__components__diffuse__spectrum": {"index": 2, "norm": "2e-12 GeV-1 cm-2 s-1 sr-1"},
         "model__components__source__spectrum": {"index": 2, "norm": "2e-12 TeV-1 cm-2 s-1"},
         "model__components__gas": {"sky": "fermi_diffuse", "shape_band": ["20 GeV", "0.2 TeV"],
                                    "window": {"lon": ["-1 deg", "1 deg"], "lat": ["-1 deg", "1 deg"]}},
         "model__components__halo": {"sky": "dark_matter", "profile": {"local_density": {"lognormal": [0.4, 0.1]}},
                                     "spectrum": {"kind": "annihilation", "mass": "1 TeV", "self_conjugate": False,
                                                  "branching": {"line": 0.5, "bergstrom": 0.5}}}},
        {"model__components__halo": {"sky": "dark_matter", "spectrum": {
            "kind": "decay", "mass": "1 TeV", "branching": {"channels": ["line", "bergstrom"], "dirichlet": 0.5}}},
         "simulate": {"events": {"halo": 10}, "parameters": {"halo_branching": [0.25, 0.75]}}},
    ],
    ids=["plain", "sets", "tree", "observed", "modulated", "options", "shares"],
)  # fmt: skip
def test_what_is_written_reads_back_the_same(tmp_path, changes):
    analysis = resolve(changed(**changes))
    verify_round_trip(analysis)
    whole = tmp_path / "config.yaml"
    whole.write_text(yaml_text(analysis))
    assert load([whole]) == analysis
    assert kind_of(whole) == "events"
    for name, made in analysis.make_slices().items():
        kind, path = name.split("-", 1)[0], tmp_path / f"{name}.yaml"
        path.write_text(yaml_text(made))
        assert kind_of(path) == "events"
        assert load_slice(path, f"events/{kind}") == made
        if kind in SLICES:
            with pytest.raises(ConfigurationError):
                load_slice(path, kind)


def test_slices_hold_what_their_step_reads_and_no_more():
    base, changed_engine = resolve(BASE).slices(), resolve(changed(fits__quick=["map", "laplace"])).slices()
    assert {name.split("-", 1)[0] for name in base} == set(EVENT_SLICES) - {"calibrate"}
    assert [name for name in base if base[name] != changed_engine[name]] == ["fit-quick"]
    norm = resolve(changed(simulate__events={"background": 300, "diffuse": 100})).slices()
    assert [name for name in base if base[name] != norm[name]] == ["simulate-simulated", "report"]


def test_report_knows_what_was_drawn():
    def truth(simulate):
        report = resolve(changed(simulate=simulate)).slices()["report"]["truth"]["simulated"]
        return {name: part["norm"] for name, part in report.items()}

    assert truth({"events": {"source": 50}}) == {"source": 50}
    assert truth({"events": 10, "truth": {"source": 0.5, "diffuse": 0.5}}) == {"source": 0.5, "diffuse": 0.5}
    assert truth({"events": "physical", "truth": {"source": 0}}) == {"diffuse": 1, "source": 0, "background": 1}


def test_discrete_normalisation_implies_the_rest_and_each_part_is_free():
    observation = resolve(changed(observation__normalise="discrete")).observation
    assert (observation.psf_empty, observation.background) == ("one_degree", "smeared")
    assert observation.window.limits == (1.0, 1.3, 1.3)
    own = {
        "observation__normalise": "discrete", "observation__psf_empty": "nearest",
        "observation__background": "instrument", "observation__window": {"lat": "2 deg"},
    }  # fmt: skip
    observation = resolve(changed(**own)).observation
    assert (observation.psf_empty, observation.background) == ("nearest", "instrument")
    assert observation.window.limits == (math.inf, math.inf, 2.0)
    whole = resolve(changed(observation__normalise="discrete", observation__window="none"))
    assert whole.observation.window.limits == (math.inf, math.inf, math.inf)
    verify_round_trip(whole)
    plain = resolve(changed(observation__background="smeared", observation__psf_empty="one_degree")).observation
    assert (plain.normalise, plain.window, plain.background) == ("integrated", None, "smeared")
