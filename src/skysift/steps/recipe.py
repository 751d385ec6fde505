"""Fits by a published recipe, labelled as what they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from skysift.errors import InputError
from skysift.geometry.healpix import pixel_vectors
from skysift.inference.engine import Check, Stream
from skysift.models import build
from skysift.models.legacy import (
    LABEL,
    LegacyResult,
    LegacySettings,
    LegacySky,
    make_projection,
    model_on_lattice,
    run_legacy,
)
from skysift.models.template import TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal
from skysift.steps.progress import Progress
from skysift.steps.results import Origin, Region, derive, summarise_prior, true_norm
from skysift.storage.posterior import Posterior, Stage, Variable

if TYPE_CHECKING:
    from skysift.config import FitSlice
    from skysift.instruments.fermi import Counts, Observation

__all__ = ["fit_recipe", "recipe_model"]


def fit_recipe(settings: FitSlice, observation: Observation, counts: Counts, origin: Origin) -> Posterior:
    """Return what the published recipe leaves: draws of norms and field, never called converged.

    Raises
    ------
    InputError : a model that the recipe does not know: one modulated template with a fixed kernel and norm, one bin
    """
    recipe = settings.recipe
    assert recipe is not None  # noqa: S101 - the caller asked
    began = time.process_time(), time.perf_counter()
    model = build(settings, observation, counts)
    sky, glowing = _gather_sky(settings, observation, model)
    kernel = settings.model.components[glowing].modulate[0]
    chosen = LegacySettings(
        recipe.guide, recipe.steps, recipe.batch, recipe.lr, recipe.inducing, recipe.draws,
        float(kernel.lengthscale.value_rad or 0.0), float(kernel.variance.value or 0.0),
    )  # fmt: skip
    stream = Stream(settings.seed, ("fit", settings.name, counts.name))
    with Progress(f"legacy {recipe.guide}", recipe.steps) as bar:
        found = run_legacy(sky, chosen, stream.number("legacy"), bar.update)
    cost = {
        "cpu_s": time.process_time() - began[0],
        "wall_s": time.perf_counter() - began[1],
        "steps": float(recipe.steps),
    }
    names = {name: part.template for name, part in settings.model.components.items()}
    region = Region.of(observation, counts, names)
    lattice = _on_lattice(settings, model, sky, glowing)
    variables = _variables(lattice, found, sky.parameters, region, glowing)
    check = Check("likelihood scaled to the whole map", 0.0, "N / B", "red", LABEL)
    stage = Stage(f"legacy {recipe.guide}", None, None, "", cost, [check], {"loss": found.loss.numpy()})
    return Posterior(
        variables,
        checks=[check],
        stages=[stage],
        converged=False,
        cost=cost,
        warnings=[*observation.warnings, *counts.warnings, *model.warnings, LABEL],
        attributes=origin.attributes() | {"engine": "legacy", "label": LABEL, "inducing": found.field.shape[1]},
    )


def recipe_model(settings: FitSlice, observation: Observation, counts: Counts) -> TemplateModel:
    """Return the model that the recipe's draws belong to: its field on the recipe's own points."""
    model = build(settings, observation, counts)
    sky, glowing = _gather_sky(settings, observation, model)
    return _on_lattice(settings, model, sky, glowing)


def _on_lattice(settings: FitSlice, model: TemplateModel, sky: LegacySky, glowing: str) -> TemplateModel:
    recipe, kernel = settings.recipe, settings.model.components[glowing].modulate[0]
    assert recipe is not None  # noqa: S101 - both callers asked
    length_rad, variance = float(kernel.lengthscale.value_rad or 0.0), float(kernel.variance.value or 0.0)
    projection = make_projection(sky.pixels, sky.nside, recipe.inducing, length_rad)
    return model_on_lattice(model, glowing, projection, variance)


def _gather_sky(settings: FitSlice, observation: Observation, model: TemplateModel) -> tuple[LegacySky, str]:
    """Return the inputs of the recipe and the name of the modulated component."""
    components = settings.model.components
    glowing = [name for name, part in components.items() if part.modulate]
    single = len(glowing) == 1 and len(components[glowing[0]].modulate) == 1 if glowing else False
    norm = next((item.norm for item in model.components if glowing and item.name == glowing[0]), None)
    if not single or isinstance(norm, str) or norm is None or model.hyper is not None or len(model.counts) != 1:
        raise InputError(
            f"fit {settings.name}",
            "recipe",
            f"{len(glowing)} modulated components, {len(model.counts)} energy bins",
            "one energy bin, one modulated template with a fixed norm and one kernel of fixed hyper-parameters",
            "write 'norm: {fixed: rigid_fit}' and 'modulate: {lengthscale: 0.2 rad, variance: 0.5}'",
        )
    pixels = torch.as_tensor(pixel_vectors(observation.nside, observation.pixels[observation.region]))
    rigid = [item for item in model.components if item.field is None]
    diffuse = next(item for item in model.components if item.field is not None)
    loose = Parameters([_untruncate(model.parameters[str(item.norm)]) for item in rigid if isinstance(item.norm, str)])
    fixed = sum((item.norm * item.template[0] for item in rigid if not isinstance(item.norm, str)), torch.zeros(()))
    if float(fixed.abs().sum()) > 0:
        raise InputError(
            f"fit {settings.name}", "recipe", "a rigid component of fixed norm", "free norms", "give it a prior"
        )
    templates = torch.stack([item.template[0] for item in rigid])
    return LegacySky(model.counts[0], templates, norm * diffuse.template[0], pixels, observation.nside, loose), glowing[
        0
    ]


def _untruncate(item: Parameter) -> Parameter:
    prior = item.prior
    loose = Normal(prior.mean, prior.sd) if isinstance(prior, Normal) else prior
    return Parameter(item.name, loose, item.shape, item.unit, item.label, item.block)


def _variables(
    model: TemplateModel, found: LegacyResult, loose: Parameters, region: Region, glowing: str
) -> dict[str, Variable]:
    values: dict[str, Any] = {name: part.numpy() for name, part in loose.unpack(found.norms).items()}
    values[f"{glowing}_field"] = found.field.numpy()
    variables = {
        item.name: Variable(
            values[item.name][None],
            item.unit,
            item.label,
            () if item.block == "norm" else (f"{item.name}_point",),
            true_norm(region, item.name) if item.block == "norm" else None,
            summarise_prior(loose[item.name].prior if item.block == "norm" else item.prior),
        )
        for item in model.parameters
    }
    derived = derive(model, values, {}, region)
    return variables | {name: _one_chain(part) for name, part in derived.items()}


def _one_chain(item: Variable) -> Variable:
    return Variable(item.array[None], item.unit, item.label, item.dims, item.truth, item.prior_summary)
