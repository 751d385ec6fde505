"""``skysift fit``, events: one posterior of one event list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skysift.config import load_slice
from skysift.errors import InputError, nearest
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.progress import observe
from skysift.instruments.ctao.digest import digest_observation
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.build import build_mixture
from skysift.models.events.dark_matter import measure_strength
from skysift.models.events.fields import weigh_fields
from skysift.models.events.marginals import read_marginals
from skysift.steps.checkpoints import EVERY_S, keep
from skysift.steps.device import choose_device, set_threads
from skysift.steps.events.sources import Finder
from skysift.steps.progress import Progress
from skysift.steps.results import Origin, gather_engines
from skysift.storage.hdf5 import check_writable, collect
from skysift.storage.posterior import Variable, write_posterior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config.events import EventComponent
    from skysift.config.events.slices import EventFitSlice
    from skysift.models.events.marginals import Marginals
    from skysift.models.mixture import MixtureModel
    from skysift.storage.posterior import Posterior

__all__ = ["load_model", "run"]

BATCH = 256


def run(
    config: Path,
    observation: Path,
    data: Path,
    out: Path,
    checkpoint_every: float = EVERY_S,
    restart: bool = False,
    strict: bool = False,
) -> None:
    """Fit one event list and write its posterior; a fit that was stopped goes on from its checkpoint.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``event_observation``
    data : file of format ``marginals``
    out : ArviZ NetCDF
    checkpoint_every : seconds between two checkpoints
    restart : begin anew, whatever an earlier attempt has left
    strict : refuse, rather than begin anew, where libraries have other versions since

    Raises
    ------
    InputError : inputs that do not belong together, or events that no component allows
    ResumeError : an earlier attempt had other inputs
    InterruptedRunError : stopped by the system
    """
    check_writable(out)
    settings = load_slice(config, "events/fit")
    device = choose_device(settings.device, config)
    set_threads(settings.threads)
    model, marginals, used = load_model(settings, config, observation, data, device)
    origin = Origin(settings.name, marginals.data, settings.run, settings.seed)
    stream = Stream(settings.seed, ("fit", settings.name, marginals.data), device)
    steps = [(step.name, {k: v for k, v in step.settings.model_dump().items() if v is not None})
             for step in settings.sequence]  # fmt: skip
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, *used])
    with (
        keep(
            out, provenance, "events/fit", every_s=checkpoint_every, restart=restart, strict=strict, device=device
        ) as kept,
        observe(Progress),
    ):
        results = sequence.run(model, steps, stream, kept.checkpoint.child("sequence"))
    posterior = gather_engines(model, results, origin, stream, kept.spent(), {})
    posterior = _with_counts(posterior, model, marginals, settings.model.components)
    warnings = [*posterior.warnings, *kept.warnings]
    write_posterior(out, replace(posterior, warnings=warnings, provenance=provenance))
    kept.remove()


def load_model(
    settings: EventFitSlice, config: Path, observation: Path, data: Path, device: str, known: Marginals | None = None
) -> tuple[MixtureModel, Marginals, Sequence[Path]]:
    """Return the model of a fit, its marginals (``known``, or those of the file), and further files that were read."""
    looked_at, marginals, find = read_event_observation(observation), known or read_marginals(data), Finder(config)
    found, wanted = str(marginals.digests["observation"]), digest_observation(looked_at)
    if found != wanted:
        remedy = "axes, pointings or responses changed: run `skysift response` and `skysift marginalise` again"
        raise InputError(data, "digest of the observation", found, wanted, remedy)
    for component, source in settings.sources.items():
        if source not in marginals.columns:
            raise InputError(
                data, f"columns of {component}", "none", nearest(source, marginals.columns), "marginalise it again"
            )
    try:
        weights = weigh_fields(settings.model.components, settings.sources, looked_at)
        model = build_mixture(settings.model, settings.sources, marginals, looked_at.true, find, device, weights)
    except InputError as error:
        if error.place != "mixture":
            raise
        raise InputError(data, error.field, error.found, error.wanted, error.remedy) from None
    return model, marginals, find.used


def _with_counts(
    posterior: Posterior, model: MixtureModel, marginals: Marginals, components: Mapping[str, EventComponent]
) -> Posterior:
    """Add each component's share of the events, its number, what that means for dark matter, and known truths."""
    chains, count = next(iter(posterior.variables.values())).array.shape[:2]
    values = {
        item.name: torch.as_tensor(np.asarray(posterior.variables[item.name].array)).flatten(0, 1)
        for item in model.parameters
    }
    is_dark = any(component.sky == "dark_matter" for component in components.values())
    batches = _batches(model, values, chains * count, is_dark=is_dark)
    expected, declared = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    fractions = expected / expected.sum(1, keepdims=True)
    truth = marginals.truth
    drawn: Mapping[str, float] = truth.get("counts", {})
    total = sum(drawn.values())
    stated: Mapping[str, float] = truth.get("fractions", {n: c / total for n, c in drawn.items()} if total else {})
    variables = {name: _with_truth(name, item, truth) for name, item in posterior.variables.items()}
    for column, name in enumerate(model.names):
        words = name.replace("_", " ")
        share, number, own = (part[:, column].reshape(chains, count) for part in (fractions, expected, declared))
        summary = _fraction_prior(model, name)
        known = stated.get(name) if stated else None
        variables[f"{name}_fraction"] = Variable(share, "", f"{words} share of events", (), known, summary)
        variables[f"{name}_counts"] = Variable(number, "counts", f"{words} events", (), drawn.get(name))
        strength = measure_strength(components[name], number / own)
        if strength is not None and np.isfinite(own).all():
            norm = truth.get("norms", {}).get(name)
            true = None if norm is None else measure_strength(components[name], norm)
            variables[f"{name}_{strength.ending}"] = Variable(
                strength.values, strength.unit, f"{words} {strength.words}", (), None if true is None else true.values
            )
    return replace(posterior, variables=variables)


def _with_truth(name: str, item: Variable, truth: Mapping[str, Mapping[str, float]]) -> Variable:
    known = truth.get("parameters", {}).get(name)
    if known is None and name.endswith("_norm"):
        known = truth.get("norms", {}).get(name.removesuffix("_norm"))
    return item if known is None else replace(item, truth=known)


def _batches(
    model: MixtureModel, values: Mapping[str, torch.Tensor], count: int, *, is_dark: bool
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield expected events (rows, S), and those of the components as declared, NaN where nobody asks or knows."""
    with torch.no_grad():
        for start in range(0, count, BATCH):
            some = {name: part[start : start + BATCH] for name, part in values.items()}
            totals = model.table(some).totals if is_dark or model.is_extended else None
            expected = (1.0 if model.is_extended else model.total) * model.shares.shares(some, totals)
            declared = torch.full_like(expected, torch.nan) if totals is None else totals.expand_as(expected)
            yield expected.cpu().numpy(), declared.cpu().numpy()


def _fraction_prior(model: MixtureModel, name: str) -> dict[str, Any] | None:
    """Return what the prior says about one fraction; None with absolute norms."""
    if model.is_extended:
        return None
    leaf = model.shares.summarise_prior()[name]  # type: ignore[union-attr]  # fractions, as it is not extended
    return {"family": "Dirichlet", "mean": leaf.mean, "sd": leaf.sd, "interval_90": [leaf.low, leaf.high]}
