"""From the configuration of a population to its numbers, parameters and starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skysift.errors import InputError
from skysift.instruments.fermi.source_units import measure_sources
from skysift.likelihoods.source_counts import SourceCountTable
from skysift.models.non_poissonian import NonPoissonianModel
from skysift.models.population import Population, place_nodes
from skysift.models.priors import make_prior
from skysift.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.instruments.fermi import Observation
    from skysift.models.template import TemplateModel

__all__ = ["MadePopulation", "add_populations", "make_population"]

#: Pixels with more counts than this cost minutes.
MANY = 2000
NODES = 3
_NORM_UNITS = {
    ("break", "counts"): "count-1", ("break", "flux"): "cm2 s",
    ("counts", "counts"): "counts", ("counts", "flux"): "counts",
    ("intensity", "counts"): "cm-2 s-1 sr-1", ("intensity", "flux"): "cm-2 s-1 sr-1",
}  # fmt: skip
_BREAK_UNITS = {"counts": "counts", "flux": "cm-2 s-1"}


@dataclass(frozen=True)
class MadePopulation:
    """A population with its parameters and where they begin."""

    population: Population
    parameters: list[Parameter]
    starts: dict[str, Tensor]


def make_population(
    name: str,
    part: Any,  # noqa: ANN401 - a configured component with a population, known here by its attributes
    exposure: Any,  # noqa: ANN401 - the configured variation of the exposure, or None
    observation: Observation,
    template: NDArray[np.float64],
    inside: NDArray[np.bool_],
    light: float,
) -> MadePopulation:
    """Return one population.

    Parameters
    ----------
    name : of the component
    part : with norm and population
    exposure : with nodes, regions, nptfit; three nodes when None
    observation : of one energy bin
    template : (E, P), on the stored pixels
    inside : (P,), the pixels that are fitted
    light : counts that it may explain, to begin with
    """
    sources = part.population
    nptfit = None if exposure is None else exposure.nptfit
    units = measure_sources(
        observation, template, inside, units=sources.units, template_is=sources.template_is, nptfit=nptfit is not None
    )
    places = place_nodes(
        units.exposure_cm2_s[inside],
        units.mean_cm2_s,
        nodes=NODES if exposure is None or exposure.nodes is None else exposure.nodes,
        regions=nptfit or (None if exposure is None else exposure.regions),
        follows=nptfit is None,
    )
    density = units.density[inside]
    seen = density * (places.shares @ np.exp(places.log_ratios))
    is_total, log_unit = sources.norm_of != "break", units.log_norm_unit
    if is_total:
        whole = np.zeros(len(inside))
        whole[inside] = seen
        log_unit = units.log_total_unit(sources.norm_of, whole, inside, observation.pixel_area_sr)
    made = _Numbers(name)
    norm_unit = _NORM_UNITS[sources.norm_of, sources.units]
    norm = made.add("norm", part.norm, norm_unit)
    slopes = tuple(made.add(f"slope_{k}", prior, "") for k, prior in enumerate(sources.slopes, start=1))
    breaks = tuple(
        made.add(f"break_{k}", prior, "" if sources.relative and k > 1 else _BREAK_UNITS[sources.units])
        for k, prior in enumerate(sources.breaks, start=1)
    )
    population = Population(
        name,
        torch.as_tensor(density[:, None] * places.shares),
        torch.as_tensor(seen),
        torch.as_tensor(density),
        units.mean_cm2_s,
        torch.as_tensor(places.log_ratios),
        norm,
        slopes,
        breaks,
        log_unit,
        units.log_break_unit,
        is_total,
        sources.relative,
        sources.limits,
    )
    return MadePopulation(population, made.parameters, made.start(population, light))


class _Numbers:
    """Numbers of a population: fixed ones, and parameters with their starts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters: list[Parameter] = []

    def add(self, ending: str, prior: Any, unit: str) -> float | str:  # noqa: ANN401 - a configured prior
        if prior.is_fixed:
            return float(prior.value)
        full = f"{self.name}_{ending}"
        self.parameters.append(Parameter(full, make_prior(prior), (), unit, full.replace("_", " ")))
        return full

    def start(self, population: Population, light: float) -> dict[str, Tensor]:
        """Return the middle of each prior, and a norm with as much light as wanted."""
        half = torch.tensor(0.5, dtype=torch.float64)
        starts = {item.name: item.prior.from_cube(half) for item in self.parameters}
        if isinstance(population.norm, str):
            values = {name: part[None] for name, part in starts.items()}
            now = float(population.expected(values).sum())
            prior = next(item.prior for item in self.parameters if item.name == population.norm)
            low, high = prior.from_cube(torch.tensor([0.02, 0.98], dtype=torch.float64))
            wanted = starts[population.norm] * max(light, 1.0) / now
            starts[population.norm] = wanted.clamp(low, high)
        return starts


def add_populations(model: TemplateModel, made: list[MadePopulation], observation: Observation) -> NonPoissonianModel:
    """Return the model with populations beside its templates.

    Raises
    ------
    InputError : an observation that does not say how photons of a source are shared, several energy bins
    """
    bands = model.counts.shape[0]
    if observation.shares is None or bands != 1:
        found = "no shares of a source's photons" if observation.shares is None else f"{bands} energy bins"
        wanted = "an observation prepared for populations, with one energy bin"
        raise InputError("observation", "shares", found, wanted, "run prepare again with this configuration")
    largest, device = int(model.counts.max()), model.counts.device
    warnings = model.warnings
    if largest > MANY:
        warnings = (*warnings, f"a pixel of {largest} counts: the likelihood's cost grows with their square; mask it")
    table = SourceCountTable(observation.shares.fractions, observation.shares.pixels, max(largest, 1), device)
    fields = {name: getattr(model, name) for name in type(model).__dataclass_fields__} | {"warnings": warnings}
    return NonPoissonianModel(**fields, populations=tuple(item.population.to(device) for item in made), table=table)
