"""Contradictions between parts of a configuration, each naming both sides."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any

from skysift.config.analysis import OBSERVED, Analysis
from skysift.config.calibration_checks import check_calibration
from skysift.config.components import Component, Model
from skysift.config.modulation import Modulation
from skysift.config.population_checks import check_populations
from skysift.config.problems import Problem
from skysift.config.slices import template_of
from skysift.errors import nearest

__all__ = ["find_contradictions"]

#: Engines that integrate hyper-parameters by evidence, and `map`, which looks for their start.
INTEGRATORS = ("map", "laplace", "grid")
KeyPath = tuple[str | int, ...]
Problems = Iterator[Problem]

# A component named like one of these of another component would share its name in the posterior.
_SUFFIXES = (
    "norm",
    "field",
    "lengthscale",
    "variance",
    "mean",
    "coefficient",
    "counts",
    "fraction",
    "intensity",
    "slope",
    "break",
)
_MOST_VARIANTS = 1000
_SIDEBANDS: KeyPath = ("systematics", "sidebands")


def find_contradictions(analysis: Analysis) -> list[Problem]:
    """Return everything that no part of the configuration can see alone."""
    checks: list[Callable[[Analysis], Problems]] = [
        _check_masks,
        _check_models,
        _check_truth,
        _check_fits,
        _check_sidebands,
        check_populations,
        lambda analysis: check_calibration(analysis, analysis.fits),
    ]
    return [problem for check in checks for problem in check(analysis)]


def _check_masks(analysis: Analysis) -> Problems:
    observation = analysis.observation
    for path, mask in observation.masks.items():
        for name in mask.names():
            if name not in observation.known_masks:
                yield Problem(
                    ("observation", *path.split(".", 1), "mask"),
                    repr(name),
                    f"a mask of observation.data: {observation.data}",
                    f"{nearest(name, observation.known_masks)}; a map of your own is {{file: mask.npy}}",
                )


def _models(analysis: Analysis) -> Iterator[tuple[KeyPath, Model, dict[str, Any]]]:
    """Yield each model with its path and the components that are written there."""
    yield ("model", "components"), analysis.model, dict(analysis.model.components)
    for name, fit in analysis.fits.items():
        if fit.model is not None:
            yield ("fits", name, "model", "components"), analysis.model_of(name), dict(fit.model.components)


def _check_models(analysis: Analysis) -> Problems:
    for path, model, written in _models(analysis):
        yield from _check_override(analysis, path, written)
        if not model.components:
            yield Problem(path, "no component is left", "at least one component", "remove fewer components")
        yield from _check_names(path, model, written)
        for name, component in written.items():
            if component is not None:
                yield from _check_component(analysis, (*path, name), component, model)


def _check_override(analysis: Analysis, path: KeyPath, written: dict[str, Any]) -> Problems:
    for name, component in written.items():
        if component is None and name not in analysis.model.components:
            yield Problem(
                (*path, name),
                f"null for {name!r}, which is not in model.components",
                "a component of model.components",
                nearest(name, analysis.model.components),
            )


def _check_names(path: KeyPath, model: Model, written: dict[str, Any]) -> Problems:
    for name in model.components:
        for other in model.components:
            suffix = name.removeprefix(f"{other}_").rstrip("_0123456789")
            if name.startswith(f"{other}_") and suffix in _SUFFIXES and (name in written or other in written):
                yield Problem(
                    (*path, name),
                    f"a component {name!r} beside the parameter {name!r} of component {other!r}",
                    "names that differ from every parameter",
                    f"rename {name!r} or {other!r}",
                )


def _check_component(analysis: Analysis, path: KeyPath, component: Component, model: Model) -> Problems:
    known = analysis.observation.known_templates
    if component.template not in known:
        yield Problem(
            (*path, "template"),
            repr(component.template),
            f"a template of observation.data: {analysis.observation.data}, or of observation.templates",
            nearest(component.template, known) if known else "declare it under observation.templates",
        )
    variants = 1
    for number, kernel in enumerate(component.modulate):
        variants *= kernel.variants
        yield from _check_kernel(analysis, (*path, "modulate", number), kernel, model, str(path[-1]))
    if variants > _MOST_VARIANTS:
        yield Problem(
            (*path, "modulate"),
            f"{variants} grid points over hyper-parameters",
            f"at most {_MOST_VARIANTS}",
            "write a smaller modulate.grid, or numbers for some hyper-parameters",
        )


def _check_kernel(analysis: Analysis, path: KeyPath, kernel: Modulation, model: Model, owner: str) -> Problems:
    if kernel.shared is not None:
        giver = model.components.get(kernel.shared)
        has_field = giver is not None and any(other.shared is None for other in giver.modulate)
        if not has_field or kernel.shared == owner:
            givers = [
                n for n, c in model.components.items() if n != owner and any(k.shared is None for k in c.modulate)
            ]
            yield Problem(
                (*path, "shared"),
                repr(kernel.shared),
                "another component with a field of its own (modulate)",
                nearest(kernel.shared, givers) if givers else "add modulate to that component, or leave shared out",
            )
    if kernel.energies != "shared" and len(analysis.observation.energy_edges_gev) == 2:
        yield Problem(
            (*path, "energies"),
            f"{kernel.energies} with one energy bin in observation.energy_edges",
            "energies: shared, or more energy bins",
            "leave energies out, or add edges to observation.energy_edges",
        )


def _check_truth(analysis: Analysis) -> Problems:
    if analysis.simulate is None:
        return
    known = sorted({*analysis.model.components, *analysis.observation.known_templates})
    for name, chosen in analysis.simulate.sets.items():
        for part, norm in chosen.truth.items():
            path = ("simulate", "sets", name, "truth", part)
            if part not in known:
                wanted = "a component of model.components, or a template"
                yield Problem(path, repr(part), wanted, nearest(part, known))
            else:
                yield from _check_support(analysis, name, part, norm)


def _check_support(analysis: Analysis, chosen: str, part: str, norm: float) -> Problems:
    """Refuse a truth that a fit of these data cannot find; the edges of the support are inside."""
    template = template_of(analysis, part)
    for fit in _fits_of_set(analysis, chosen):
        component = analysis.model_of(fit).components.get(part)
        if component is None or component.template != template:
            continue
        low, high = component.norm.support
        if not low <= norm <= high:
            override = analysis.fits[fit].model
            at_fit = override is not None and part in override.components
            where = f"fits.{fit}.model" if at_fit else "model"
            yield Problem(
                ("simulate", "sets", chosen, "truth", part),
                f"{norm:g}, outside the prior {where}.components.{part}.norm",
                f"a value between {low:g} and {high:g}",
                f"change the truth, or widen {where}.components.{part}.norm",
            )
            if not at_fit:
                return


def _fits_of_set(analysis: Analysis, chosen: str) -> list[str]:
    own = set(analysis.data_of_set(chosen))
    return [name for name, used in analysis.fit_data().items() if own & set(used)]


def _check_fits(analysis: Analysis) -> Problems:
    for name, fit in analysis.fits.items():
        path: KeyPath = ("fits", name)
        model = analysis.model_of(name)
        for number, chosen in enumerate(fit.data or []):
            if chosen not in analysis.set_names() and not fnmatch.filter(analysis.all_data(), chosen):
                yield _unknown_set(analysis, (*path, "data", number), chosen)
        yield from _check_guides(analysis, name, model)
        yield from _check_engines(analysis, name, model)
        for number, step in enumerate(fit.sequence):
            if step.engine == "grid":
                below = (*path, "sequence", number, "grid", "settings", "parameter")
                yield from _check_grid(below, step.settings.parameter, model)


def _unknown_set(analysis: Analysis, path: KeyPath, chosen: str) -> Problem:
    if analysis.simulate is None:
        return Problem(path, repr(chosen), f"{OBSERVED}, as nothing is simulated", "leave data out, or add simulate")
    known = analysis.set_names()
    remedy = nearest(chosen, known)
    return Problem(path, repr(chosen), "a set of simulate.sets, or a pattern of its data sets", remedy)


def _check_guides(analysis: Analysis, name: str, model: Model) -> Problems:
    fit = analysis.fits[name]
    has_field = any(component.modulate for component in model.components.values())
    needs_field = "conditional_iaf" in fit.guides or fit.recipe is not None
    if needs_field and not has_field:
        what = "guide conditional_iaf" if fit.recipe is None else f"recipe {fit.recipe.name}"
        yield Problem(
            ("fits", name),
            f"{what}, but no component of model.components has modulate",
            "a Gaussian process that it can work on",
            "add modulate to a component under model.components, or choose another guide",
        )
    if not any(_is_free(component) for component in model.components.values()):
        yield Problem(
            ("fits", name),
            "all norms of model.components are fixed and none has modulate",
            "at least one free parameter",
            "give one norm a prior, for example {uniform: [0, 2]}",
        )


def _is_free(component: Component) -> bool:
    return bool(component.modulate or component.free) or not component.norm.is_fixed


def _check_engines(analysis: Analysis, name: str, model: Model) -> Problems:
    """Refuse what an engine or the recipe cannot do with the fields of the model."""
    fit = analysis.fits[name]
    fields = [field for component in model.components.values() for field in component.modulate]
    if fit.recipe is not None and any(field.free_hypers or field.shared for field in fields):
        yield Problem(
            ("fits", name),
            f"recipe {fit.recipe.name} with a shared field, or a prior on a lengthscale or variance",
            "one field with numbers for both, as published",
            "write for example 'modulate: {lengthscale: 0.2 rad, variance: 0.5}' in the model of this fit",
        )
    marginalised = any(field.hyper == "marginalised" and field.free_hypers for field in fields)
    for number, step in enumerate(fit.sequence):
        if marginalised and step.engine not in INTEGRATORS:
            yield Problem(
                ("fits", name, "sequence", number),
                f"{step.engine} with hyper: marginalised",
                "laplace or grid, which integrate hyper-parameters by evidence",
                "end the sequence with laplace or grid, or write 'hyper: sampled' or 'hyper: maximised'",
            )


def _check_grid(path: KeyPath, parameter: str, model: Model) -> Problems:
    free = [f"{name}_norm" for name, component in model.components.items() if not component.norm.is_fixed]
    if parameter not in free:
        wanted = "the norm of a component that is fitted, such as gce_norm"
        meant = parameter if f"{parameter}_norm" not in free else f"{parameter}_norm"
        yield Problem(path, repr(parameter), wanted, nearest(meant, free))


def _check_sidebands(analysis: Analysis) -> Problems:
    sidebands = analysis.sidebands
    if sidebands is None:
        return
    unknown = [fit for fit in sidebands.fits or [] if fit not in analysis.fits]
    for fit in unknown:
        yield Problem((*_SIDEBANDS, "fits"), repr(fit), "a name in fits", nearest(fit, analysis.fits))
    if not unknown:
        for fit in analysis.sideband_fits():
            yield from _check_sideband_fit(analysis, fit)
        yield from _check_signal(analysis, sidebands.signal)


def _check_sideband_fit(analysis: Analysis, fit: str) -> Problems:
    if f"{fit}_sidebands" in analysis.fits:
        yield Problem(
            ("fits", f"{fit}_sidebands"),
            f"a fit {fit}_sidebands beside systematics.sidebands of fit {fit}",
            "another name: this one is taken by the posterior with the systematic",
            "rename the fit",
        )
    if analysis.fits[fit].recipe is not None:
        yield Problem(
            (*_SIDEBANDS, "fits"), f"{fit!r}, whose recipe gives no posterior", "fits with a sequence", "leave it out"
        )


def _check_signal(analysis: Analysis, signal: str) -> Problems:
    models = {fit: analysis.model_of(fit).components for fit in analysis.sideband_fits()}
    without = [fit for fit, components in models.items() if signal not in components]
    if without or not models:
        yield Problem(
            (*_SIDEBANDS, "signal"),
            repr(signal) + (f", which fits.{without[0]} does not have" if without else ""),
            "a component of model.components",
            nearest(signal, analysis.model.components),
        )
        return
    fixed = [fit for fit, components in models.items() if components[signal].norm.is_fixed]
    if fixed:
        yield Problem(
            (*_SIDEBANDS, "signal"),
            f"{signal!r}, whose norm is fixed in fits.{fixed[0]}",
            "a signal whose norm is fitted",
            f"give model.components.{signal}.norm a prior",
        )
    templates = {components[signal].template for components in models.values()}
    if len(templates) > 1:
        yield Problem(
            (*_SIDEBANDS, "signal"),
            f"templates {' and '.join(sorted(templates))} for {signal!r}",
            "one template for the signal in all fits of the systematic",
            "list fits that share it in systematics.sidebands.fits",
        )
