"""Contradictions between parts of the configuration of an event analysis."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skysift.config.calibration_checks import check_calibration
from skysift.config.events.branching import Branching
from skysift.config.events.components import CATALOGUES
from skysift.config.problems import Problem
from skysift.config.run import OBSERVED
from skysift.errors import nearest

if TYPE_CHECKING:
    from skysift.config.events.analysis import EventAnalysis
    from skysift.config.events.components import EventComponent
    from skysift.config.events.model import EventModel
    from skysift.config.events.simulate import EventSet

__all__ = ["find_event_contradictions"]

KeyPath = tuple[str | int, ...]
Problems = Iterator[Problem]


def find_event_contradictions(analysis: EventAnalysis) -> list[Problem]:
    """Return what is wrong between the parts of an event analysis."""
    return [
        *_check_data(analysis),
        *_check_discrete(analysis),
        *(problem for name in analysis.fits for problem in _check_model(analysis, name)),
        *_check_simulation(analysis),
        *check_calibration(analysis, analysis.fits),
    ]


def _check_data(analysis: EventAnalysis) -> Problems:
    if analysis.simulate is None and not analysis.observation.events:
        yield Problem(
            ("simulate",),
            "nothing, and no observation.events",
            "events to fit: observed or simulated ones",
            "name the event lists in observation.events, or add simulate",
        )
    for name, fit in analysis.fits.items():
        for number, chosen in enumerate(fit.data or []):
            if chosen not in analysis.set_names() and not fnmatch.filter(analysis.all_data(), chosen):
                wanted = OBSERVED if analysis.simulate is None else "a set of simulate.sets, or a pattern of data sets"
                remedy = nearest(chosen, analysis.set_names())
                yield Problem(("fits", name, "data", number), repr(chosen), wanted, remedy)


def _check_discrete(analysis: EventAnalysis) -> Problems:
    """Absolute numbers mean nothing where bins are points: they are several times too large."""
    if analysis.observation.normalise != "discrete":
        return
    remedy = "take fractions, or write 'normalise: integrated'"
    for name in analysis.fits:
        if analysis.model_of(name).likelihood == "extended":
            path: KeyPath = ("model",) if analysis.fits[name].model is None else ("fits", name, "model")
            found = "extended, with observation.normalise: discrete"
            yield Problem((*path, "likelihood"), found, "mixture: bins are points and have no volume", remedy)
    for name, chosen in (analysis.simulate.sets if analysis.simulate else {}).items():
        if chosen.events == "physical":
            path, found = ("simulate", "sets", name, "events"), "physical, with observation.normalise: discrete"
            yield Problem(path, found, "numbers of detected events", "name numbers, or write 'normalise: integrated'")


def _check_model(analysis: EventAnalysis, fit: str) -> Problems:
    model = analysis.model_of(fit)
    path: KeyPath = ("model",) if analysis.fits[fit].model is None else ("fits", fit, "model")
    for name in model.components:
        yield from _check_component((*path, "components", name), model, name)
    parts = list(model.components.values())
    has_free = any(part.free for part in parts)
    has_norm = any(part.norm is not None and not part.norm.is_fixed for part in parts)
    if model.likelihood == "mixture" and len(parts) < 2 and not has_free:
        yield Problem((*path, "components"), "one component", "two or more, or free parameters", "add a component")
    if model.likelihood == "extended" and not has_free and not has_norm:
        yield Problem(path, "nothing that is fitted", "at least one free parameter", "give a norm a prior")
    yield from _check_tree(path, model)
    yield from _check_sources(path, model)
    for number, step in enumerate(analysis.fits[fit].sequence):
        names = parameter_names(model)
        if step.engine == "grid" and step.settings.parameter not in names:
            where = ("fits", fit, "sequence", number, "grid", "settings", "parameter")
            remedy = nearest(step.settings.parameter, names) if names else "take laplace or nested"
            yield Problem(where, repr(step.settings.parameter), "a single number that is fitted", remedy)


def _check_component(path: KeyPath, model: EventModel, name: str) -> Problems:
    component, extended = model.components[name], model.likelihood == "extended"
    if extended and component.norm is None:
        yield Problem(path, "no norm", "norm: <prior> with likelihood: extended", "write for example norm: 1")
    if not extended and component.norm is not None:
        yield Problem(
            (*path, "norm"),
            "a norm with likelihood: mixture",
            "likelihood: extended, or fractions alone",
            "leave norm out, or write 'likelihood: extended'",
        )
    for parameter, owner in component.share.items():
        place, here = (*path, "share", parameter), component.numbers
        known = [other for other, part in model.components.items() if parameter in part.free and other != name]
        if parameter in component.priors:
            number = "shares" if parameter == "branching" else "a number"
            remedy = f"write {number} for {parameter}, or leave out share"
            yield Problem(place, f"{owner}, beside a prior of its own", "a prior in one component", remedy)
        elif parameter not in here:
            remedy = nearest(parameter, here) if here else "leave it out"
            yield Problem(place, f"{parameter}, which {name} has not", f"one of {', '.join(here) or 'none'}", remedy)
        elif owner not in known:
            remedy = nearest(owner, known) if known else f"give another component a prior on {parameter}"
            yield Problem(place, repr(owner), f"a component with a prior on {parameter}", remedy)
        elif parameter == "branching":
            yield from _check_channels(place, component, owner, model.components[owner])


def _check_channels(place: KeyPath, component: EventComponent, owner: str, other: EventComponent) -> Problems:
    """Refuse shares of other channels: they are taken one after the other."""
    own, theirs = (part.spectrum.channels if part.spectrum is not None else [] for part in (component, other))
    if own != theirs:
        remedy = "name the same channels in the same order in both"
        yield Problem(place, f"shares of {', '.join(own)}", f"{', '.join(theirs)}, as in {owner}", remedy)


def _check_sources(path: KeyPath, model: EventModel) -> Problems:
    """Refuse sources of a catalogue that shine in two components: they would be counted twice."""
    owners: dict[str, dict[str | None, str]] = {}
    backgrounds = [name for name, part in model.components.items() if part.instrument == "background"]
    for name in backgrounds[1:]:
        found, wanted = f"background, as in {backgrounds[0]}", "one component of the residual background"
        yield Problem((*path, "components", name, "instrument"), found, wanted, f"take out {name}")
    for name, part in model.components.items():
        if part.sky not in CATALOGUES:
            continue
        # another file is another version of the same survey
        known = owners.setdefault(str(part.sky), {})
        for source in [None] if part.sources is None else part.sources:
            other = known.get(source, known.get(None) if source else next(iter(known.values()), None))
            if other is not None:
                found = f"{source or 'every source'}, as in {other}"
                remedy = f"take it out of {other} or {name}"
                yield Problem((*path, "components", name, "sources"), found, "each source in one component", remedy)
                break
            known[source] = name


def parameter_names(model: EventModel) -> list[str]:
    """Return the names of the single numbers that a model fits."""
    names = [
        f"{name}_{free}"
        for name, component in model.components.items()
        for free, prior in component.free.items()
        if not isinstance(prior, Branching)
    ]
    if model.likelihood == "extended":
        names += [f"{name}_norm" for name, part in model.components.items() if part.norm and not part.norm.is_fixed]
    return names


def _check_tree(path: KeyPath, model: EventModel) -> Problems:
    tree = model.fractions.tree
    if tree is None:
        return
    below = (*path, "fractions", "tree")
    leaves: list[str] = []
    wrong = _leaves(tree, leaves)
    if wrong is not None:
        remedy = "write for example {noise: [background], sky: [diffuse, catalogue]}"
        yield Problem(below, wrong, "names to lists of components, or to further names", remedy)
        return
    for name in {leaf for leaf in leaves if leaf not in model.components}:
        yield Problem(below, repr(name), "a component of the model", nearest(name, model.components))
    for name in [name for name in model.components if leaves.count(name) != 1]:
        found = f"{name} {leaves.count(name)} times"
        yield Problem(below, found, "every component once", f"put {name} into one list")


def _leaves(node: Any, found: list[str]) -> str | None:  # noqa: ANN401 - whatever the file holds
    """Collect the leaves below a node; return what is no tree."""
    if isinstance(node, dict) and node:
        wrong = [_leaves(child, found) for child in node.values()]
        return next((item for item in wrong if item is not None), None)
    if isinstance(node, list) and node and all(isinstance(leaf, str) for leaf in node):
        found.extend(node)
        return None
    return repr(node)


def _check_simulation(analysis: EventAnalysis) -> Problems:
    if analysis.simulate is None:
        return
    for name, chosen in analysis.simulate.sets.items():
        path: KeyPath = ("simulate", "sets", name)
        key = "events" if isinstance(chosen.events, dict) else "truth"
        for part in chosen.names:
            known = analysis.model.components.get(part)
            if known is not None and known.instrument == "outlier":
                yield Problem((*path, key, part), "outliers", "a source or background", "leave it out: it is no model")
            if known is None:
                remedy = nearest(part, analysis.model.components)
                yield Problem((*path, key, part), repr(part), "a component of the model", remedy)
        yield from _check_truth(analysis, path, chosen)


def _check_truth(analysis: EventAnalysis, path: KeyPath, chosen: EventSet) -> Problems:
    free = {f"{name}_{own}": prior for name, part in analysis.model.components.items()
            for own, prior in part.free.items()}  # fmt: skip
    for parameter, value in chosen.parameters.items():
        below = (*path, "parameters", parameter)
        if parameter not in free:
            remedy = nearest(parameter, free) if free else "leave parameters out: no source has a free parameter"
            yield Problem(below, repr(parameter), "a free parameter of a component", remedy)
            continue
        prior = free[parameter]
        if isinstance(prior, Branching) or isinstance(value, list):
            count = len(prior.names) if isinstance(prior, Branching) else 0
            shares = value if isinstance(value, list) else [value]
            if len(shares) != count or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
                wanted = f"{count} shares >= 0 that sum to 1" if count else "one number"
                yield Problem(below, str(value), wanted, "correct the truth")
            continue
        low, high = prior.support
        if not low <= value <= high:
            yield Problem(
                below, f"{value:g}, outside the prior", f"a value between {low:g} and {high:g}", "widen the prior"
            )
