"""``skysift fit``: one posterior of one data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from skysift.config import load_slice
from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Stream
from skysift.steps.checkpoints import EVERY_S, keep
from skysift.steps.device import choose_device, set_threads
from skysift.steps.progress import Progress
from skysift.storage.hdf5 import check_writable, collect
from skysift.storage.posterior import write_posterior

if TYPE_CHECKING:
    from skysift.config import FitSlice
    from skysift.inference.engine import Result
    from skysift.models import TemplateModel

__all__ = ["prepare_model", "run"]

INTEGRATORS = ("map", "laplace", "grid")


def run(
    config: Path,
    observation: Path,
    data: Path,
    out: Path,
    checkpoint_every: float = EVERY_S,
    restart: bool = False,
    strict: bool = False,
) -> None:
    """Fit one data set and write its posterior; a fit that was stopped goes on from its checkpoint.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``observation``
    data : file of format ``counts``
    out : ArviZ NetCDF
    checkpoint_every : seconds between two checkpoints
    restart : begin anew, whatever an earlier attempt has left
    strict : refuse, rather than begin anew, where libraries have other versions since

    Raises
    ------
    InputError : inputs that do not belong together, or an engine that the model does not suit
    ResumeError : an earlier attempt had other inputs
    InterruptedRunError : stopped by the system
    """
    check_writable(out)
    settings = load_slice(config, "fit")
    device = choose_device(settings.device, config)
    from skysift.instruments.fermi import read_counts, read_observation
    from skysift.steps.results import Origin, gather_posterior

    looked_at, counts = read_observation(observation), read_counts(data)
    set_threads(settings.threads)
    origin = Origin(settings.name, counts.name, settings.run, settings.seed)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data])
    if settings.recipe is not None:
        from skysift.steps.recipe import fit_recipe

        write_posterior(out, replace(fit_recipe(settings, looked_at, counts, origin), provenance=provenance))
        return
    from skysift.models import build

    stream = Stream(settings.seed, ("fit", settings.name, counts.name), device)
    with keep(out, provenance, "fit", every_s=checkpoint_every, restart=restart, strict=strict, device=device) as kept:
        model = build(settings, looked_at, counts, device=device)
        model, notes, hyper, results = _fit(model, settings, stream, kept.checkpoint)
        spent = kept.spent()
    components = settings.model.components.items()
    names = {name: part.template for name, part in components if part.population is None}
    posterior = gather_posterior(model, results, looked_at, counts, origin, stream, spent, names)
    attributes = {**posterior.attributes, "hyper": hyper} if hyper else posterior.attributes
    warnings = [*posterior.warnings, *notes, *kept.warnings]
    write_posterior(out, replace(posterior, warnings=warnings, attributes=attributes, provenance=provenance))
    kept.remove()


def _fit(
    model: TemplateModel, settings: FitSlice, stream: Stream, checkpoint: Checkpoint
) -> tuple[TemplateModel, Sequence[str], dict[str, float], list[Result]]:
    """Return the model as its engines saw it, notes and values of its hyper-parameters, and what engines found."""
    from skysift.inference import sequence
    from skysift.inference.progress import observe

    model, notes, hyper = prepare_model(model, settings, stream, checkpoint.child("hyper"))
    steps = [(step.name, engine_settings(step)) for step in settings.sequence]
    with observe(Progress):
        return model, notes, hyper, sequence.run(model, steps, stream, checkpoint.child("sequence"))


def engine_settings(step: Any) -> dict[str, Any]:  # noqa: ANN401 - one class of settings per engine
    """Return an engine's settings; those left at None take the engine's own default."""
    return {name: value for name, value in step.settings.model_dump().items() if value is not None}


def prepare_model(
    model: TemplateModel, settings: FitSlice, stream: Stream, checkpoint: Checkpoint = NOWHERE
) -> tuple[TemplateModel, Sequence[str], dict[str, float]]:
    """Return the model ready for its engines, with notes and the hyper-parameters set to the maximum of their evidence.

    Raises
    ------
    InputError : hyper-parameters to marginalise, and an engine that cannot
    """
    if model.hyper is None:
        return model, (), {}
    engines = [step.name for step in settings.sequence]
    if model.hyper_nodes == 1:
        from skysift.inference.engine import Start
        from skysift.inference.laplace import find_start, settle

        node = settle(model, find_start(model, Start(), stream), stream, checkpoint).nodes[0]
        values = {name: float(value) for name, value in node.values.items()}
        found = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
        return (
            cast("TemplateModel", node.model),
            (f"hyper-parameters at the maximum of their evidence: {found}",),
            values,
        )
    wrong = [name for name in engines if name not in INTEGRATORS]
    if wrong:
        raise InputError(
            f"fit {settings.name}",
            "sequence",
            f"{', '.join(wrong)} with hyper: marginalised",
            "laplace or grid, which integrate hyper-parameters by evidence",
            "end the sequence with laplace or grid, or write hyper: sampled or maximised",
        )
    return model, (), {}
