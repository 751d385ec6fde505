"""What contradicts itself in a configuration of an event analysis: the key is named, and what would be right."""

import pytest
from tests.config.event_configurations import DARK, MISSING, POINT, changed

from skysift.config import ConfigurationError, resolve

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
        "model.components.diffuse.share.index", "beside a prior of its own",
    ),
    "shared and not there": (
        {"model__components__source__share": {"cutoff": "diffuse"}},
        "model.components.source.share.cutoff", "cutoff, which source has not",
    ),
    "two residual backgrounds": (
        {"model__components__source": {"instrument": "background"}},
        "model.components.background.instrument", "one component of the residual background",
    ),
    "a norm that a table ignores": (
        {"model__components__source__spectrum": {"kind": "table", "file": "a.dat", "norm": "1e-12 TeV-1 cm-2 s-1"}},
        "model.components.source.spectrum", "no norm with kind: table",
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
    "shape that turns over": (
        {"model__components__x": {**DARK, "profile": {"alpha": {"normal": [0.17, 0.1]}}}},
        "model.components.x.profile", "alpha above 0",
    ),
    "density below nothing": (
        {"model__components__x": {**DARK, "profile": {"local_density": {"uniform": [-0.1, 0.5]}}}},
        "model.components.x.profile", "local_density above 0",
    ),
    "a channel and several": (
        {"model__components__x": {**DARK, "spectrum": {**DARK["spectrum"], "branching": {"line": 1}}}},
        "model.components.x.spectrum", "branching of several",
    ),
    "shares of channels": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"line": 0.5, "bergstrom": 0.6}}}},
        "model.components.x.spectrum", "a sum of 1.1",
    ),
    "channels twice": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"channels": ["line", "line"]}}}},
        "model.components.x.spectrum.branching", "each channel once",
    ),
    "shares that are free and stated": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"dirichlet": 1}}}},
        "model.components.x.spectrum.branching", "channels whose shares are free",
    ),
    "a share too few": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"channels": ["line", "bergstrom"]}}},
         "simulate__parameters": {"x_branching": [0.4]}},
        "simulate.parameters.x_branching", "2 shares >= 0",
    ),
    "channels that are one": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"channels": ["line"]}}}},
        "model.components.x.spectrum.branching.channels", "at least 2 entries",
    ),
    "shared shares in another order": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"channels": ["line", "bergstrom"]}}},
         "model__components__y": {**DARK, "share": {"branching": "x"}, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"bergstrom": 0.5, "line": 0.5}}}},
        "model.components.y.share.branching", "line, bergstrom, as in x",
    ),
    "an index of two": (
        {"simulate__parameters": {"diffuse_index": [2.1, 2.2]}}, "simulate.parameters.diffuse_index", "one number",
    ),
    "grid over shares": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "annihilation", "mass": "1 TeV", "branching": {"channels": ["line", "bergstrom"]}}},
         "fits__x": [{"grid": {"parameter": "x_branching"}}]},
        "fits.x[0].grid.parameter", "a single number",
    ),
    "channels of a power law": (
        {"model__components__source__spectrum": {"index": 2, "branching": {"line": 1}}},
        "model.components.source.spectrum", "branching",
    ),
    "antiparticles that decay": (
        {"model__components__x": {**DARK, "spectrum": {
            "kind": "decay", "mass": "1 TeV", "channel": "line", "self_conjugate": False}}},
        "model.components.x.spectrum", "kind: decay",
    ),
    "flux of a whole sky": (
        {"model__components__diffuse__spectrum": {"index": 2, "norm": "1e-9 TeV-1 cm-2 s-1"}},
        "model.components.diffuse", "of each solid angle with sky: isotropic",
    ),
    "intensity of a source": (
        {"model__components__source__spectrum": {"index": 2, "norm": "1e-9 TeV-1 cm-2 s-1 sr-1"}},
        "model.components.source", "of the whole source",
    ),
    "a flux of nothing": (
        {"model__components__source__spectrum": {"index": 2, "norm": "-1e-9 TeV-1 cm-2 s-1"}},
        "model.components.source.spectrum.norm", "above 0",
    ),
    "a window upside down": (
        {"model__components__x": {
            "sky": "synthetic_diffuse", "window": {"lon": ["1 deg", "-1 deg"], "lat": ["0 deg", "1 deg"]}}},
        "model.components.x.window", "two ends that rise",
    ),
    "a band of nothing known": (
        {"model__components__x": {"sky": "synthetic_diffuse", "shape_band": ["10 GeV", "600 GeV"]}},
        "model.components.x", "no shape_band with synthetic_diffuse",
    ),
    "a band upside down": (
        {"model__components__x": {"sky": "fermi_diffuse", "shape_band": ["600 GeV", "10 GeV"]}},
        "model.components.x", "0.6 to 0.01 TeV",
    ),
    "a band of made-up sources": (
        {"model__components__x": {"sky": "synthetic_catalogue", "large_scale": True}},
        "model.components.x", "no large_scale with synthetic_catalogue",
    ),
    "a shell inside out": (
        {"model__components__x": {"sky": "synthetic_catalogue", "shell_inner": 1.2}},
        "model.components.x.shell_inner", "less than 1",
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
