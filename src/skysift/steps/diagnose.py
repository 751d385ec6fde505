"""``skysift diagnose``: draw from a posterior what the instrument should have seen, and compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.config import FitSlice, load_slice
from skysift.diagnostics.comparison import compare_prediction
from skysift.diagnostics.posterior_maps import LEVELS, PosteriorMaps, gather_maps, score_ratio, true_ratio
from skysift.diagnostics.residuals import Smoother, make_smoother
from skysift.errors import InputError
from skysift.geometry.healpix import pixel_vectors
from skysift.instruments.fermi import Counts, Observation, read_counts, read_observation
from skysift.models import build
from skysift.steps.diagnose_sources import SourceDraws
from skysift.steps.recipe import recipe_model
from skysift.storage.hdf5 import Dataset, check_writable, collect, write
from skysift.storage.posterior import Posterior, read_posterior
from skysift.streams import numpy_stream, torch_stream

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.config.components import Component

__all__ = ["run"]

DRAWS = 200
BATCH = 25
SMOOTHING_DEG = 1.0
#: A true ratio below this is rounding.
_NOTHING = 1e-9
Map = NDArray[np.float64]
Datasets = dict[str, Dataset]


def run(config: Path, observation: Path, data: Path, posterior: Path, out: Path) -> None:
    """Write the predictive maps and checks of one fit.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``observation``
    data : file of format ``counts``, the one that was fitted
    posterior : NetCDF made by `fit`
    out : file of format ``predictive``

    Raises
    ------
    InputError : files that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "fit")
    looked_at, counts, fitted = read_observation(observation), read_counts(data), read_posterior(posterior)
    _check_belonging(posterior, fitted, settings, counts)
    role = _find_absorber(settings, looked_at, counts)
    sources = SourceDraws(looked_at, float(_inside(looked_at, counts.counts).max()))
    maps = _evaluate(settings, looked_at, counts, fitted, role, sources)
    random = numpy_stream(settings.seed, "diagnose", settings.name, counts.name)
    datasets, attributes = _compare(looked_at, counts, maps, random)
    scores = _add_modulation(datasets, settings, looked_at, counts, maps, role)
    datasets |= sources.datasets(counts)
    attributes |= {"fit": settings.name, "data": counts.name, "ratio": scores}
    attributes |= {"absorber": role, "absorber_group": _find_group(settings, counts, role)}
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, posterior])
    write(out, format="predictive", datasets=datasets, attributes=attributes, provenance=provenance)


def _check_belonging(place: Path, fitted: Posterior, settings: FitSlice, counts: Counts) -> None:
    for field, wanted in (("fit", settings.name), ("data", counts.name)):
        found = fitted.attributes.get(field, wanted)
        if found != wanted:
            raise InputError(place, field, found, wanted, "hand in the posterior of this fit and these data")


def _find_absorber(settings: FitSlice, observation: Observation, counts: Counts) -> str:
    """Return the component that has to explain the rest: modulated, else without a truth, else the brightest."""
    components = settings.model.components
    modulated = [name for name, component in components.items() if component.modulate]
    if len(modulated) == 1:
        return modulated[0]
    unknown = [name for name, component in components.items() if not _is_drawn(counts, name, component)]
    if counts.truth and len(unknown) == 1:
        return unknown[0]
    among = modulated or [name for name in components if components[name].population is None] or list(components)
    return max(among, key=lambda name: _inside(observation, observation.templates[components[name].template]).sum())


def _is_drawn(counts: Counts, name: str, component: Component) -> bool:
    """Whether the true sky has a component: its template, or the population of its name."""
    if component.population is not None:
        return name in counts.populations
    return component.template in counts.components.values()


def _inside(observation: Observation, values: NDArray[Any]) -> NDArray[Any]:
    return values[:, observation.region]


def _evaluate(
    settings: FitSlice, observation: Observation, counts: Counts, fitted: Posterior, role: str, sources: SourceDraws
) -> PosteriorMaps:
    """Evaluate the model at evenly spaced posterior draws."""
    make = build if settings.recipe is None else recipe_model
    model = make(settings, observation, counts)
    components = settings.model.components
    wanted = [name for name, component in components.items() if component.modulate or name == role]
    templates = {name: _inside(observation, observation.templates[components[name].template]) for name in wanted}
    groups = {role: _find_group(settings, counts, role)}
    maps = PosteriorMaps()
    for member, values in _batches(model, fitted):
        made = {name: part.detach().cpu().numpy() for name, part in member.component_counts(values).items()}
        gather_maps(maps, made, templates, groups)
        maps.log_likelihood = maps.log_likelihood + member.log_likelihood_map(values).sum(0).cpu().numpy()
        sources.add(member, values)
        if getattr(member, "populations", ()):
            drawn = member.simulate(values, torch_stream(settings.seed, "diagnose", counts.name, str(maps.count)))
            maps.replicas.append(drawn.cpu().numpy().astype(np.int64))
    return maps


def _find_group(settings: FitSlice, counts: Counts, role: str) -> list[str]:
    """Return the absorber and, in simulated data, every other component that the true sky does not have."""
    components = settings.model.components.items()
    return [name for name, item in components if name == role or (counts.truth and not _is_drawn(counts, name, item))]


def _batches(model: Any, fitted: Posterior) -> Iterator[tuple[Any, dict[str, Tensor]]]:  # noqa: ANN401 - any Model
    """Go through posterior draws, batch by batch, with the model whose hyper-parameters they belong to."""
    import torch

    names = list(model.parameters.names)
    hyper = list(model.hyper.names) if getattr(model, "hyper", None) is not None else []
    flat = _thin(fitted, names, hyper)
    index = np.arange(len(flat[names[0]]))
    settings = np.stack([flat[name].reshape(len(index), -1)[:, 0] for name in hyper], axis=1) if hyper else None
    groups = [np.arange(len(index))]
    if settings is not None:
        which = np.unique(settings, axis=0, return_inverse=True)[1].ravel()
        groups = [np.flatnonzero(which == k) for k in range(which.max() + 1)]
    for group in groups:
        member = model.at({name: torch.as_tensor(flat[name][group[0]]) for name in hyper}) if hyper else model
        for start in range(0, group.size, BATCH):
            rows = group[start : start + BATCH]
            yield member, {name: torch.as_tensor(flat[name][rows]) for name in names}


def _thin(fitted: Posterior, names: list[str], hyper: list[str]) -> dict[str, Map]:
    """Return evenly spaced draws; hyper-parameters at the maximum of their evidence are the same in all of them."""
    total = fitted.flat(names[0]).shape[0]
    index = np.unique(np.linspace(0, total - 1, min(total, DRAWS)).astype(int))
    fixed = fitted.attributes.get("hyper", {})
    flat = {}
    for name in (*names, *hyper):
        if name not in fitted.variables and name not in fixed:
            found = ", ".join(fitted.variables)
            raise InputError("posterior", name, f"only {found}", "draws of every parameter", "fit again")
        values = fitted.flat(name)[index] if name in fitted.variables else np.full(len(index), fixed[name])
        flat[name] = np.asarray(values, dtype=np.float64)
    return flat


def _compare(
    observation: Observation, counts: Counts, maps: PosteriorMaps, random: np.random.Generator
) -> tuple[Datasets, dict[str, Any]]:
    """Return what the comparison of data and prediction leaves in the file."""
    pixels, seen = observation.pixels[observation.region], _inside(observation, counts.counts)
    directions = pixel_vectors(observation.nside, pixels)
    replicas = np.concatenate(maps.replicas) if maps.replicas else None
    made = compare_prediction(seen, maps.draws, directions, observation.pixel_area_sr, random, replicas)
    probability = (np.zeros(seen.size) + maps.log_likelihood).reshape(seen.shape) / maps.count
    pixel_deg = float(np.degrees(np.sqrt(observation.pixel_area_sr)))
    smoother = make_smoother(directions, max(SMOOTHING_DEG, 1.2 * pixel_deg))
    planes = ("energy", "pixel")
    datasets = {
        "pixel": Dataset(pixels, "", "HEALPix pixels, RING, Galactic", ("pixel",)),
        "counts": Dataset(seen, "counts", "photons per pixel", planes),
        "expected": Dataset(made.mean, "counts", "posterior mean", planes),
        "expected_sd": Dataset(made.sd, "counts", "posterior sd of the mean", planes),
        "residual_sigma": Dataset(made.sigma, "", "(counts - expected) / sqrt(expected)", planes),
        "deviance": Dataset(made.deviance, "", "Poisson deviance at the posterior mean", planes),
        "log_likelihood": Dataset(probability, "", "log probability of the counts, mean over the posterior", planes),
        "pit": Dataset(made.pit, "", "randomised probability integral transform", planes),
        "histogram/counts": Dataset(made.histogram.counts, "", "fewest photons of each bin", ("photons",)),
        "histogram/observed": Dataset(made.histogram.observed, "", "pixels", ("photons",)),
        "histogram/predicted": Dataset(made.histogram.predicted, "", "pixels", ("level", "photons")),
        "autocorrelation/edges": Dataset(made.autocorrelation.edges_deg, "deg", "separation", ("edge",)),
    }
    for name in ("observed", "low", "high"):
        text = "mean product of residuals; low and high hold 95 % of replicas"
        datasets[f"autocorrelation/{name}"] = Dataset(getattr(made.autocorrelation, name), "", text, ("lag",))
    for name, part in maps.components.items():
        datasets[f"components/{name}"] = Dataset(part.reshape(seen.shape), "counts", "posterior mean", planes)
    _add_smoothed(datasets, smoother, maps)
    attributes = {
        "nside": observation.nside, "draws": maps.count, "levels": list(LEVELS), "p_values": made.p_values,
        "counts": int(seen.sum()), "pixels": int(pixels.size), "deviance": float(made.deviance.sum()),
        "smoothing_deg": smoother.sigma_deg,
    }  # fmt: skip
    return datasets, attributes


def _add_smoothed(datasets: Datasets, smoother: Smoother, maps: PosteriorMaps) -> None:
    shape = datasets["counts"].array.shape
    seen, mean = datasets["counts"].array.sum(axis=0).astype(np.float64), datasets["expected"].array.sum(axis=0)
    text = f"energies summed, smoothed with a Gaussian of sigma {smoother.sigma_deg:.3g} deg"
    made = {
        "residual_sigma": (smoother.significance(seen, mean), ""),
        "residual": (smoother.mean(seen - mean), "counts"),
    }
    for name, part in maps.components.items():
        made[f"components/{name}"] = (smoother.mean(part.reshape(shape).sum(axis=0)), "counts")
    for name, (values, unit) in made.items():
        datasets[f"smoothed/{name}"] = Dataset(values, unit, text, ("pixel",))


def _add_modulation(
    datasets: Datasets,
    settings: FitSlice,
    observation: Observation,
    counts: Counts,
    maps: PosteriorMaps,
    role: str,
) -> Mapping[str, Mapping[str, float]]:
    """Add ratio maps with bands, and their truth where it is known; return scores by component."""
    scores = {}
    for name, draws in maps.ratios.items():
        quantiles = np.quantile(draws, LEVELS, axis=0)
        text = "component over template at unit norm"
        datasets[f"modulation/{name}/quantiles"] = Dataset(quantiles, "", text, ("level", "pixel"))
        datasets[f"modulation/{name}/mean"] = Dataset(draws.mean(axis=0), "", text, ("pixel",))
        if name == role and counts.expected is not None:
            truth = _find_truth(settings, observation, counts, role)
            if not np.nanmax(truth, initial=0.0) > _NOTHING:
                continue  # the true sky has nothing that this component stands for
            datasets[f"modulation/{name}/truth"] = Dataset(truth, "", f"true {text}", ("pixel",))
            scores[name] = asdict(score_ratio(quantiles, truth))
    return scores


def _find_truth(settings: FitSlice, observation: Observation, counts: Counts, role: str) -> Map:
    assert counts.expected is not None  # noqa: S101 - the caller asks first
    components, group = settings.model.components, _find_group(settings, counts, role)
    rest = {name: component for name, component in components.items() if name not in group}
    others = {component.template for component in rest.values() if component.population is None}
    explained = {name: _inside(observation, true.counts) for name, true in counts.populations.items() if name in rest}
    for part, norm in counts.truth.items():
        template = counts.components[part]
        if template in others:
            own = norm * observation.templates[template]
            explained[part] = _inside(observation, own * np.exp(counts.fields[part]) if part in counts.fields else own)
    own_template = _inside(observation, observation.templates[components[role].template])
    return true_ratio(_inside(observation, counts.expected), explained, own_template)
