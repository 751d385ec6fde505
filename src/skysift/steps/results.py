"""From the results of engines to the posterior that is stored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from skysift.inference.engine import Result, Stream, merge_cost
from skysift.inference.result import resample
from skysift.storage.posterior import Posterior, Stage, Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.contract import Model
    from skysift.instruments.fermi import Counts, Observation
    from skysift.models import TemplateModel

__all__ = ["Origin", "Region", "derive", "gather_engines", "gather_posterior", "summarise_prior", "true_norm"]

BATCH = 64
KEPT = 4000


@dataclass(frozen=True)
class Origin:
    """Where a posterior comes from: names of fit, data and run, and the run's seed."""

    fit: str
    data: str
    run: str
    seed: int

    def attributes(self) -> dict[str, Any]:
        """Return the names as attributes of a file."""
        return {"fit": self.fit, "data": self.data, "run": self.run, "seed": self.seed}


@dataclass(frozen=True)
class Region:
    """The fit region: exposure (E, P) in cm2 s, pixel area in sr, and the truth, where there is one.

    ``truth`` and ``drawn`` are norms and counts by template, ``expected`` (E, P) all counts, ``names`` the template of
    each smooth component of the fit; ``numbers`` and ``sources`` are true parameters and counts of populations.
    """

    exposure_cm2_s: NDArray[np.float64]
    pixel_area_sr: float
    truth: Mapping[str, float] = field(default_factory=dict)
    drawn: Mapping[str, float] = field(default_factory=dict)
    expected: NDArray[np.float64] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, observation: Observation, counts: Counts, names: Mapping[str, str]) -> Region:
        """Return the region of an observation with the truth of its counts; ``names``: component to template."""
        inside = observation.region
        expected = None if counts.expected is None else counts.expected[:, inside]
        # A truth may be given by component: what is drawn is that component's template, times its modulation.
        truth: dict[str, float] = {}
        drawn: dict[str, float] = {}
        for part, norm in counts.truth.items():
            template = counts.components.get(part, part)
            light = observation.templates[template]
            if part in counts.fields:
                light = light * np.exp(counts.fields[part])
            truth[template] = truth.get(template, 0.0) + norm
            drawn[template] = drawn.get(template, 0.0) + norm * float(light[:, inside].sum())
        numbers = {f"{name}_{key}": value for name, true in counts.populations.items()
                   for key, value in true.parameters.items()}  # fmt: skip
        sources = {name: float(true.counts[:, inside].sum()) for name, true in counts.populations.items()}
        exposure = observation.exposure_cm2_s[:, inside]
        return cls(exposure, observation.pixel_area_sr, truth, drawn, expected, names, numbers, sources)


def gather_posterior(
    model: TemplateModel,
    results: Sequence[Result],
    observation: Observation,
    counts: Counts,
    origin: Origin,
    stream: Stream,
    spent: Mapping[str, float],
    names: Mapping[str, str] | None = None,
) -> Posterior:
    """Return the posterior of the last engine on counts maps, with what every engine did, and derived quantities."""
    region = Region.of(observation, counts, names or {})
    truths = {item.name: true_norm(region, item.name) for item in model.parameters if item.block == "norm"}
    posterior = gather_engines(model, results, origin, stream, spent, truths)
    hyper = {item.name: posterior.variables[item.name].array for item in model.hyper or ()
             if item.name in posterior.variables}  # fmt: skip
    values = {item.name: np.asarray(posterior.variables[item.name].array) for item in model.parameters}
    chains, count = next(iter(values.values())).shape[:2]
    flat = {name: part.reshape(chains * count, *part.shape[2:]) for name, part in values.items()}
    totals = derive(model, flat, {name: np.asarray(part).reshape(-1) for name, part in hyper.items()}, region)
    derived = {
        name: replace(item, array=item.array.reshape(chains, count, *item.array.shape[1:]))
        for name, item in totals.items()
    }
    warnings = [*observation.warnings, *counts.warnings, *posterior.warnings]
    return replace(posterior, variables={**posterior.variables, **derived}, warnings=warnings)


def gather_engines(
    model: Model,
    results: Sequence[Result],
    origin: Origin,
    stream: Stream,
    spent: Mapping[str, float],
    truths: Mapping[str, float | None],
) -> Posterior:
    """Return the posterior of the last engine, with what every engine did.

    Parameters
    ----------
    model : with its parameters; ``dims`` and ``coordinates`` name their axes, ``warnings`` go into the file
    results : of each engine
    origin : names of fit, data and run
    stream : of the fit
    spent : time of all engines
    truths : parameter to its true value, where known
    """
    last = results[-1]
    draws, variant = _equal_weights(last, stream)
    chains, count, size = draws.shape
    hyper = _hyper_draws(last, variant)
    values = {name: part.cpu().numpy() for name, part in model.parameters.values(draws).items()}
    own_dims = getattr(model, "dims", {})
    variables = {
        item.name: Variable(
            values[item.name],
            item.unit,
            item.label,
            own_dims.get(item.name) or _dims(item.name, item.shape, item.block),
            truths.get(item.name),
            summarise_prior(item.prior),
        )
        for item in model.parameters
    }
    variables |= {
        item.name: Variable(hyper[item.name].reshape(chains, count), item.unit, item.label)
        for item in (getattr(model, "hyper", None) or ())
        if item.name in hyper
    }
    return Posterior(
        variables,
        sample_stats={"variant": Variable(variant.reshape(chains, count).numpy())} if hyper else {},
        arrays=_arrays(last, model),
        checks=last.checks,
        stages=[_stage(result) for result in results],
        log_z=last.log_z,
        log_z_error=last.log_z_error,
        log_z_method=last.log_z_method,
        converged=last.is_converged,
        cost={**merge_cost(*(result.cost for result in results)), **spent},
        warnings=list(getattr(model, "warnings", ())),
        attributes=origin.attributes() | {"engine": last.engine, "z_size": size} | last.labels,
        coordinates={name: np.asarray(labels) for name, labels in getattr(model, "coordinates", {}).items()},
    )


def _equal_weights(result: Result, stream: Stream) -> tuple[Tensor, Tensor]:
    """Return equally weighted draws (chains, n, d) and their variants (chains n,)."""
    if result.log_weights is None:
        draws, variant = result.draws, result.variant
    else:
        sample, variant = resample(result, min(KEPT, result.log_weights.numel()), stream.generator("resample"))
        draws = sample[None]
    if variant is None:
        return draws, torch.zeros(draws.shape[0] * draws.shape[1], dtype=torch.long)
    return draws, variant.reshape(-1).long().cpu()


def _hyper_draws(result: Result, variant: Tensor) -> dict[str, NDArray[np.float64]]:
    names = [name for name in result.traces if name.startswith("node_") and name != "node_log_weight"]
    return {name.removeprefix("node_"): result.traces[name].cpu().numpy()[variant.numpy()] for name in names}


def _dims(name: str, shape: tuple[int, ...], block: str) -> tuple[str, ...]:
    if block != "field":
        return ("energy",) * len(shape)
    return ("energy", f"{name}_point")[2 - len(shape) :]


def true_norm(region: Region, name: str) -> float | None:
    """Return the true value of ``<component>_norm``, or of a population's parameter; None where there is none."""
    if name in region.numbers:
        return region.numbers[name]
    return region.truth.get(region.names.get(name.removesuffix("_norm"), "")) if name.endswith("_norm") else None


def summarise_prior(prior: object) -> dict[str, Any]:
    """Return family, numbers, moments and quantiles of a prior of single numbers."""
    if not prior.scalar:  # type: ignore[attr-defined]  # every prior says
        # every prior is a dataclass
        return {"family": type(prior).__name__, "numbers": dataclasses.asdict(prior)}  # type: ignore[call-overload]
    if not getattr(prior, "is_proper", True):
        return {"family": type(prior).__name__, "numbers": dataclasses.asdict(prior)}  # type: ignore[call-overload]
    quantiles = torch.tensor([0.025, 0.16, 0.5, 0.84, 0.975], dtype=torch.float64)
    edges = prior.from_cube(quantiles)  # type: ignore[attr-defined]  # every scalar prior has it
    draws = prior.from_cube((torch.arange(4096, dtype=torch.float64) + 0.5) / 4096)  # type: ignore[attr-defined]
    return {
        "family": type(prior).__name__,
        "numbers": dataclasses.asdict(prior),  # type: ignore[call-overload]  # every prior is a dataclass
        "mean": float(draws.mean()),
        "sd": float(draws.std()),
        "quantiles": [float(edge) for edge in edges],
    }


def _members(
    model: TemplateModel, hyper: Mapping[str, NDArray[np.float64]], count: int
) -> Iterator[tuple[TemplateModel, NDArray[np.int64]]]:
    """Go through the draws in batches that share their hyper-parameters."""
    groups = [np.arange(count)]
    if hyper:
        which = np.unique(np.stack(list(hyper.values()), 1), axis=0, return_inverse=True)[1].ravel()
        groups = [np.flatnonzero(which == k) for k in range(which.max() + 1)]
    for group in groups:
        member = model.at({name: torch.as_tensor(part[group[0]]) for name, part in hyper.items()}) if hyper else model
        for start in range(0, len(group), BATCH):
            yield member, group[start : start + BATCH]


def derive(
    model: TemplateModel,
    values: Mapping[str, NDArray[np.float64]],
    hyper: Mapping[str, NDArray[np.float64]],
    region: Region,
) -> dict[str, Variable]:
    """Return counts, fractions and mean intensities of every component in the fit region, (n,) or (n, E) each.

    Parameters
    ----------
    model : of the fit
    values : parameters, (n, *shape)
    hyper : integrated hyper-parameters, (n,)
    region : exposure and truth
    """
    count = len(next(iter(values.values())))
    bands = model.counts.shape[0]
    device = model.counts.device
    # ph / cm2 / s / sr per count, averaged over the pixels of the region
    weight = torch.as_tensor(1.0 / (region.exposure_cm2_s * region.pixel_area_sr), device=device)
    weight = weight / weight.shape[1]
    counts: dict[str, NDArray[np.float64]] = {}
    intensity: dict[str, NDArray[np.float64]] = {}
    for member, rows in _members(model, hyper, count):
        batch = {name: torch.as_tensor(part[rows], device=device) for name, part in values.items()}
        for name, part in member.component_counts(batch).items():
            maps = part.reshape(len(rows), bands, -1)
            counts.setdefault(name, np.empty((count, bands)))[rows] = maps.sum(-1).cpu().numpy()
            intensity.setdefault(name, np.empty((count, bands)))[rows] = (maps * weight).sum(-1).cpu().numpy()
    return _pack_derived(counts, intensity, region)


def _pack_derived(
    counts: Mapping[str, NDArray[np.float64]], intensity: Mapping[str, NDArray[np.float64]], region: Region
) -> dict[str, Variable]:
    total = sum(part.sum(1) for part in counts.values())
    truth = _true_counts(counts, region)
    whole = None if region.expected is None else float(region.expected.sum())
    variables = {}
    for name, part in counts.items():
        words = name.replace("_", " ")
        known = truth.get(name)
        share = None if known is None or whole is None else known / whole
        dims, squeeze = ((), 0) if part.shape[1] == 1 else (("energy",), slice(None))
        per_band = known is None or part.shape[1] > 1
        variables[f"{name}_counts"] = Variable(
            part[:, squeeze], "counts", f"{words} counts", dims, None if per_band else known
        )
        variables[f"{name}_fraction"] = Variable(part.sum(1) / total, "", f"{words} share of counts", (), share)
        variables[f"{name}_intensity"] = Variable(
            intensity[name][:, squeeze], "cm-2 s-1 sr-1", f"{words} mean intensity", dims
        )
    return variables


def _true_counts(counts: Mapping[str, NDArray[np.float64]], region: Region) -> dict[str, float]:
    """Return the true counts of each component; one component without a template of the truth takes the rest."""
    if region.expected is None:
        return {}
    drawn = {name: region.drawn[region.names[name]] for name in counts if region.names.get(name) in region.drawn}
    drawn |= {name: region.sources[name] for name in counts if name in region.sources}
    missing = [name for name in counts if name not in drawn]
    if len(missing) == 1:
        drawn[missing[0]] = float(region.expected.sum()) - math.fsum(drawn.values())
    return drawn


def _arrays(result: Result, model: Model) -> dict[str, Variable]:
    """Return further arrays: the marginal likelihood of the grid engine, its draws without prior, and nodes."""
    arrays: dict[str, Variable] = {}
    for name, part in result.traces.items():
        if name.startswith(("node_", "marginal_")):
            axis = name.split("_")[0]
            arrays[name] = Variable(part.cpu().numpy(), dims=(axis,))
        elif name.startswith("flat_"):
            item = model.parameters[name.removeprefix("flat_")]
            arrays[name] = Variable(part.cpu().numpy(), item.unit, item.label, ("flat",))
    return arrays


def _stage(result: Result) -> Stage:
    series = {
        name: part.cpu().numpy()
        for name, part in result.traces.items()
        if part.ndim == 1 and not name.startswith(("node_", "marginal_", "flat_", "optima"))
    }
    return Stage(
        result.engine, result.log_z, result.log_z_error, result.log_z_method, result.cost, result.checks, series
    )
