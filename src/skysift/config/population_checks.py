"""Contradictions between populations and the rest of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skysift.config.problems import Problem
from skysift.errors import nearest

if TYPE_CHECKING:
    from skysift.config.analysis import Analysis
    from skysift.config.components import Component, Model
    from skysift.config.populations import Population, TruePopulation

__all__ = ["check_populations"]

KeyPath = tuple[str | int, ...]


def check_populations(analysis: Analysis) -> Iterator[Problem]:
    """Yield what contradicts the populations of the models or of the simulated sets."""
    yield from _check_likelihood(("model", "likelihood"), analysis.model)
    for name, fit in analysis.fits.items():
        if fit.model is not None:
            yield from _check_likelihood(("fits", name, "model", "likelihood"), analysis.model_of(name))
        yield from _check_fit(analysis, name)
    sets = analysis.simulate.sets if analysis.simulate else {}
    drawn = [part for chosen in sets.values() for part in chosen.populations]
    if drawn or any(_names(model) for model in _models(analysis)):
        yield from _check_observation(analysis)
    for name, chosen in sets.items():
        for part, population in chosen.populations.items():
            yield from _check_truth(analysis, ("simulate", "sets", name, "populations", part), part, population)


def _models(analysis: Analysis) -> list[Model]:
    return [analysis.model, *(analysis.model_of(name) for name in analysis.fits)]


def _names(model: Model) -> list[str]:
    return [name for name, component in model.components.items() if component.population is not None]


def _check_likelihood(path: KeyPath, model: Model) -> Iterator[Problem]:
    names = _names(model)
    if names and model.likelihood == "poisson":
        yield Problem(
            path,
            f"poisson, and a population in {', '.join(names)}",
            "non_poissonian",
            "write 'likelihood: non_poissonian', or take the population away",
        )
    if not names and model.likelihood == "non_poissonian":
        yield Problem(
            path,
            "non_poissonian, and no component with a population",
            "a component with a population",
            "give one component a population, or write 'likelihood: poisson'",
        )


def _check_fit(analysis: Analysis, name: str) -> Iterator[Problem]:
    populations, fit = _names(analysis.model_of(name)), analysis.fits[name]
    if populations and fit.recipe is not None:
        found = f"recipe {fit.recipe.name} with a population in {', '.join(populations)}"
        yield Problem(("fits", name), found, "a sequence of engines", "write for example [map, {svi: {guide: mvn}}]")
    signal = analysis.sidebands.signal if analysis.sidebands is not None else None
    if signal in populations and name in analysis.sideband_fits():
        yield Problem(
            ("systematics", "sidebands", "signal"),
            f"{signal!r}, a population in fits.{name}",
            "a smooth component",
            "name a smooth component as the signal, or list other fits in systematics.sidebands.fits",
        )


def _check_observation(analysis: Analysis) -> Iterator[Problem]:
    observation = analysis.observation
    bins = len(observation.energy_edges_gev) - 1
    if bins > 1:
        yield Problem(
            ("observation", "energy_edges"),
            f"{bins} energy bins with a population of sources",
            "one energy bin",
            "give two energy_edges, or take the populations away",
        )
    if observation.psf is None and observation.data == "files":
        yield Problem(
            ("observation", "psf"),
            "no point-spread function with data: files and a population of sources",
            "how photons of a source are spread",
            "write for example 'psf: {gaussian: 0.2 deg}', or 'psf: none' where pixels are much wider",
        )


def _check_truth(analysis: Analysis, path: KeyPath, name: str, true: TruePopulation) -> Iterator[Problem]:
    component = analysis.model.components.get(name)
    known = analysis.observation.known_templates
    if true.template is None and component is None:
        wanted = "a template, where no component has this name"
        yield Problem((*path, "template"), "missing", wanted, f"add 'template: {known[0] if known else 'name'}'")
    elif true.template is not None and true.template not in known:
        yield Problem((*path, "template"), repr(true.template), "a template", nearest(true.template, known))
    if component is not None and component.population is not None:
        yield from _check_support(path, component, component.population, true)


def _check_support(path: KeyPath, component: Component, model: Population, true: TruePopulation) -> Iterator[Problem]:
    """Refuse a truth outside the priors of the component of the same name, where both mean the same."""
    same = all(getattr(true, key) in (None, getattr(model, key)) for key in ("units", "norm_of", "template_is"))
    if not same or len(true.breaks) != len(model.breaks):
        return
    values = [("norm", true.norm, component.norm)]
    values += [
        (f"slopes[{k}]", value, prior) for k, (value, prior) in enumerate(zip(true.slopes, model.slopes, strict=True))
    ]
    breaks = list(true.breaks)
    if model.relative:
        breaks = [breaks[0], *(low / high for high, low in zip(true.breaks, true.breaks[1:], strict=False))]
    values += [
        (f"breaks[{k}]", value, prior) for k, (value, prior) in enumerate(zip(breaks, model.breaks, strict=True))
    ]
    for key, value, prior in values:
        low, high = prior.support
        if not low <= value <= high:
            yield Problem(
                (*path, key.split("[")[0]), f"{key} {value:g}, outside the prior of model.components.{path[-1]}",
                f"a value between {low:g} and {high:g}", "change the truth, or widen that prior",
            )  # fmt: skip
