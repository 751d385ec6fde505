"""Configurations of event analyses: shorthands, sources, chunks, slices, and everything that contradicts itself."""

import copy
import math

import pytest

from skysift.config import ConfigurationError, EventAnalysis, kind_of, load, load_slice, resolve, yaml_text
from skysift.config.events.slices import EVENT_SLICES
from skysift.config.loading import verify_round_trip
from skysift.config.slices import SLICES

AXIS = {"range": ["-1 deg", "1 deg"], "step": "0.5 deg"}
BASE = {
    "run": "test",
    "observation": {
        "instrument": "ctao",
        "irf": "analytic",
        "pointings": [{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}],
        "reconstructed": {"energy": {"range": ["0.2 TeV", "20 TeV"], "points": 8}, "lon": AXIS, "lat": AXIS},
    },
    "simulate": {"replicates": 2, "events": {"background": 200, "diffuse": 100, "source": 50}},
    "model": {
        "binned": True,
        "components": {
            "diffuse": {"sky": "isotropic", "spectrum": {"index": {"uniform": [2, 3]}}},
            "source": {"sky": "gaussian", "center": ["0.2 deg", "0 deg"], "size": "0.2 deg", "spectrum": {"index": 2}},
            "background": {"instrument": "background"},
        },
    },
    "fits": {"quick": ["laplace"], "other": "nested"},
}
MISSING = object()
POINT = {"sky": "point", "center": ["0 deg", "0 deg"], "spectrum": {"index": 2}}
DARK = {"sky": "dark_matter", "spectrum": {"kind": "annihilation", "mass": "1 TeV", "channel": "bergstrom"}}


def changed(**changes):
    """The base with values set by dotted path (``__`` for a dot)."""
    data = copy.deepcopy(BASE)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = data
        for part in above:
            place = place.setdefault(part, {})
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return data


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
        ({"model__binned": False, "simulate": {"events": "physical"}}, 1, 1),
    ],
)
def test_chunks_follow_the_number_of_events(changes, chunks, events):
    analysis = resolve(changed(**changes))
    assert analysis.expected_events("simulated-000") == events
    assert analysis.chunk_count("simulated-000") == chunks


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
    ],
    ids=["plain", "sets", "tree", "observed", "modulated"],
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
    assert {name.split("-", 1)[0] for name in base} == set(EVENT_SLICES)
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


FAULTS = {
    "window of volumes": ({"observation__window": {"energy": 1}}, "observation", "window with normalise: integrated"),
    "finer points": (
        {"observation__normalise": "discrete", "observation__true": {"refine": 2}}, "observation",
        "true with normalise: discrete",
    ),
    "window of words": (
        {"observation__normalise": "discrete", "observation__window": "all"}, "observation.window", "window: none",
    ),
    "window of nothing": (
        {"observation__normalise": "discrete", "observation__window": {"lon": "0 deg"}}, "observation.window.lon",
        "greater than 0",
    ),
    "unknown normalisation": ({"observation__normalise": "discret"}, "observation.normalise", "'discrete'"),
    "absolute numbers of points": (
        {"observation__normalise": "discrete", "model__likelihood": "extended",
         "model__components__diffuse__norm": {"uniform": [0, 2]}, "model__components__source__norm": 1,
         "model__components__background__norm": 1},
        "model.likelihood", "observation.normalise: discrete",
    ),
    "physical numbers of points": (
        {"observation__normalise": "discrete", "simulate": {"events": "physical"}}, "simulate.events",
        "observation.normalise: discrete",
    ),
    "source twice": ({"model__components__x": {"sky": "hgps", "sources": ["a", "b", "a"]}}, "model.components.x",
                     "'a' twice"),
    "source of two": (
        {"model__components__x": {"sky": "hgps", "sources": ["a"]},
         "model__components__y": {"sky": "hgps", "sources": ["b", "a"]}},
        "model.components.y.sources", "a, as in x",
    ),
    "source of all": (
        {"model__components__x": {"sky": "hgps"}, "model__components__y": {"sky": "hgps", "sources": ["b"]}},
        "model.components.y.sources", "b, as in x",
    ),
    "all sources of all": (
        {"model__components__x": {"sky": "hgps", "sources": ["b"]}, "model__components__y": {"sky": "hgps"}},
        "model.components.y.sources", "every source, as in x",
    ),
    "outliers that are drawn": (
        {"model__components__x": {"instrument": "outlier"}, "simulate__events": {"x": 5}}, "simulate.events.x",
        "outliers",
    ),
    "order of a point": (
        {"model__components__x": {**POINT, "ordering": "ring"}}, "model.components.x", "ordering is given",
    ),
    "events of no component": ({"simulate__events": {}}, "simulate", "one component or more"),
    "fewer than no events": ({"simulate__events": {"source": -1}}, "simulate.events.source", "greater than 0"),
    "events in words": ({"simulate__events": {"source": "many"}}, "simulate.events.source", "a finite number"),
    "events of a kind that is none": ({"simulate": {"events": "physicall"}}, "simulate.events", "did you mean 'phys"),
    "events as a list": ({"simulate": {"events": [1, 2]}}, "simulate.events", "or physical"),
    "no events at all": ({"simulate": MISSING}, "simulate", "observation.events"),
    "unknown set": ({"fits__x": {"sequence": ["laplace"], "data": ["simulatd"]}}, "fits.x.data[0]", "'simulated'"),
    "pattern of nothing": (
        {"fits__x": {"sequence": ["laplace"], "data": ["simulated-9*"]}}, "fits.x.data[0]", "pattern",
    ),
    "no engine": ({"fits__x": []}, "fits.x", "a sequence of engines"),
    "one component": (
        {"model__components": {"background": {"instrument": "background"}}, "simulate__events": {"background": 1}},
        "model.components", "two or more",
    ),
    "nothing fitted": (
        {"model__likelihood": "extended", "model__components": {"background": {"instrument": "background", "norm": 1}},
         "simulate__events": {"background": 1}},
        "model", "give a norm a prior",
    ),
    "no norm": ({"model__likelihood": "extended"}, "model.components.source", "norm: <prior>"),
    "a norm of a fraction": (
        {"model__components__source__norm": 1}, "model.components.source.norm", "likelihood: mixture",
    ),
    "a norm of the rigid fit": (
        {"model__components__source__norm": "rigid_fit"}, "model.components.source", "norm: rigid_fit",
    ),
    "fault of a fit": (
        {"fits__x": {"sequence": ["laplace"], "model": {"components": {"source": {**POINT, "norm": 2}}}}},
        "fits.x.model.components.source.norm", "likelihood: mixture",
    ),
    "shared with nobody": (
        {"model__components__source__share": {"index": "difuse"}},
        "model.components.source.share.index", "did you mean 'diffuse'?",
    ),
    "shared with a fixed one": (
        {"model__components__diffuse__share": {"index": "source"}},
        "model.components.diffuse.share.index", "a prior on index",
    ),
    "leaf of nobody": (
        {"model__fractions__tree": {"sky": ["diffuse", "sorce", "source"], "noise": ["background"]}},
        "model.fractions.tree", "did you mean 'source'?",
    ),
    "leaf forgotten": (
        {"model__fractions__tree": {"sky": ["diffuse", "source"]}}, "model.fractions.tree", "background 0 times",
    ),
    "leaf twice": (
        {"model__fractions__tree": {"sky": ["diffuse", "source"], "noise": ["background", "source"]}},
        "model.fractions.tree", "source 2 times",
    ),
    "no tree": ({"model__fractions__tree": {"sky": "diffuse"}}, "model.fractions.tree", "lists of components"),
    "truth of nobody": (
        {"simulate__events": {"bckground": 5}}, "simulate.events.bckground", "'background'",
    ),
    "fraction of nobody": (
        {"simulate": {"events": 5, "truth": {"sorce": 1}}}, "simulate.truth.sorce", "'source'",
    ),
    "parameter of nobody": (
        {"simulate__parameters": {"diffuse_indx": 2.5}},
        "simulate.parameters.diffuse_indx", "'diffuse_index'",
    ),
    "truth outside the prior": (
        {"simulate__parameters": {"diffuse_index": 3.5}},
        "simulate.parameters.diffuse_index", "between 2 and 3",
    ),
    "grid over nothing": (
        {"fits__x": [{"grid": {"parameter": "diffuse_indx"}}]}, "fits.x[0].grid.parameter", "'diffuse_index'",
    ),
    "lists without pointing": (
        {"observation__events": ["a.fits", "b.fits"]}, "observation", "2 lists for 1 pointings",
    ),
    "events and truth": ({"simulate__truth": {"source": 1}}, "simulate", "a total with truth"),
    "half an event": ({"simulate__events": {"source": 0.5}}, "simulate", "poisson: true"),
    "half an event in all": (
        {"simulate": {"events": 10.5, "truth": {"source": 1}}}, "simulate", "poisson: true",
    ),
    "fractions of too much": ({"simulate": {"events": 10, "truth": {"source": 0.9}}}, "simulate", "a sum of 0.9"),
    "negative sky": ({"simulate": {"events": "physical", "truth": {"source": -1}}}, "simulate", "true norms >= 0"),
    "neither sky nor instrument": ({"model__components__x": {}}, "model.components.x", "neither"),
    "sky and instrument": (
        {"model__components__background__sky": "hgps"}, "model.components.background", "both sky and instrument",
    ),
    "no centre": (
        {"model__components__x": {"sky": "point", "spectrum": {"index": 2}}}, "model.components.x", "no center",
    ),
    "size of a point": ({"model__components__x": {**POINT, "size": "1 deg"}}, "model.components.x", "size is given"),
    "no size": ({"model__components__source__size": MISSING}, "model.components.source", "no size"),
    "inside out": (
        {"model__components__source": {**POINT, "sky": "shell", "size": "0.2 deg", "inner": "0.3 deg"}},
        "model.components.source", "inner 0.3 deg, size 0.2 deg",
    ),
    "no file": ({"model__components__x": {"sky": "template"}}, "model.components.x", "file"),
    "spectrum of a catalogue": (
        {"model__components__x": {"sky": "hgps", "spectrum": {"index": 2}}}, "model.components.x", "spectrum is given",
    ),
    "no spectrum": ({"model__components__source__spectrum": MISSING}, "model.components.source", "no spectrum"),
    "sources of a point": ({"model__components__x": {**POINT, "sources": ["a"]}}, "model.components.x", "sources"),
    "profile of a point": ({"model__components__x": {**POINT, "profile": {}}}, "model.components.x", "profile"),
    "annihilation of a point": (
        {"model__components__x": {**POINT, "spectrum": DARK["spectrum"]}}, "model.components.x", "annihilation",
    ),
    "field on a point": (
        {"model__components__x": {**POINT, "modulate": {"lengthscale": "1 deg", "variance": 0.1}}},
        "model.components.x", "modulate on point",
    ),
    "field on a catalogue": (
        {"model__components__x": {"sky": "hgps", "modulate": {"lengthscale": "1 deg", "variance": 0.1}}},
        "model.components.x", "modulate on hgps",
    ),
    "field with a free index": (
        {"model__components__diffuse__modulate": {"lengthscale": "1 deg", "variance": 0.1}},
        "model.components.diffuse", "modulate on isotropic",
    ),
    "field with a free scale": (
        {"model__components__source__modulate": {"lengthscale": {"lognormal": ["1 deg", 1]}, "variance": 0.1}},
        "model.components.source", "numbers for lengthscale",
    ),
    "index missing": (
        {"model__components__source__spectrum": {"kind": "cutoff", "index": 2}},
        "model.components.source.spectrum", "no cutoff",
    ),
    "index too many": (
        {"model__components__source__spectrum": {"index": 2, "curvature": 1}},
        "model.components.source.spectrum", "curvature",
    ),
    "index of the rigid fit": (
        {"model__components__source__spectrum": {"index": "rigid_fit"}},
        "model.components.source.spectrum", "index: rigid_fit",
    ),
    "channel without file": (
        {"model__components__x": {**DARK, "spectrum": {**DARK["spectrum"], "channel": "bb"}}},
        "model.components.x.spectrum", "channel bb without file",
    ),
    "mass upside down": (
        {"model__components__x": {**DARK, "spectrum": {**DARK["spectrum"], "mass": {"uniform": ["2 TeV", "1 TeV"]}}}},
        "model.components.x.spectrum.mass", "lowest < highest",
    ),
    "mass twice": (
        {"model__components__x": {**DARK, "spectrum": {
            **DARK["spectrum"], "mass": {"fixed": "1 TeV", "uniform": ["1 TeV", "2 TeV"]}}}},
        "model.components.x.spectrum.mass", "exactly one of",
    ),
    "mass of nothing": (
        {"model__components__x": {**DARK, "spectrum": {**DARK["spectrum"], "mass": "0 TeV"}}},
        "model.components.x.spectrum.mass", "positive",
    ),
    "slope that diverges": (
        {"model__components__x": {**DARK, "profile": {"kind": "gnfw", "gamma": {"uniform": [1, 1.6]}}}},
        "model.components.x.profile", "below 1.5",
    ),
    "slope of another profile": (
        {"model__components__x": {**DARK, "profile": {"kind": "nfw", "gamma": 1.2}}},
        "model.components.x.profile", "gamma is given",
    ),
    "half a step": (
        {"observation__reconstructed__lon": {"range": ["-1 deg", "1 deg"], "step": "0.3 deg"}},
        "observation.reconstructed.lon", "steps",
    ),
    "falling longitudes": (
        {"observation__reconstructed__lon": {"range": ["359 deg", "1 deg"], "step": "0.5 deg"}},
        "observation.reconstructed.lon", "may be negative",
    ),
    "falling energies": (
        {"observation__reconstructed__energy": {"range": ["2 TeV", "1 TeV"], "points": 5}},
        "observation.reconstructed.energy", "2 TeV and 1 TeV",
    ),
    "beyond the pole": (
        {"observation__reconstructed__lat": {"range": ["80 deg", "90 deg"], "step": "5 deg"}},
        "observation.reconstructed", "between -90 and 90",
    ),
    "more than the sky": (
        {"observation__reconstructed__lon": {"range": ["0 deg", "360 deg"], "step": "5 deg"}},
        "observation.reconstructed", "at most 360 deg",
    ),
    "time without unit": (
        {"observation__pointings": [{"lon": "0 deg", "lat": "0 deg", "time": 50}]},
        "observation.pointings[0].time", "50",
    ),
    "unknown key": ({"model__bined": True}, "model.bined", "did you mean 'binned'?"),
    "a shared name": ({"run": "cache"}, "", "results/cache"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_and_named(name):
    changes, field, words = FAULTS[name]
    with pytest.raises(ConfigurationError) as caught:
        resolve(changed(**changes), "my.yaml")
    text = str(caught.value)
    fields = [error.field.replace("(top level)", "") for error in caught.value.errors]
    assert any(found.startswith(field) for found in fields) if field else "" in fields, text
    assert words in text
    assert len({error.field for error in caught.value.errors}) == len(caught.value.errors), "a fault is told twice"
    assert caught.value.exit_code == 2
