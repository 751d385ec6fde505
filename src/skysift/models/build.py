"""From a fit's configuration, an observation and counts to a template model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.geometry.pixels import nest_vectors, ring_to_nest, ring_vectors
from skysift.models.build_populations import MadePopulation, add_populations, make_population
from skysift.models.fields import Field
from skysift.models.kernels import Grain, make_field
from skysift.models.priors import make_prior
from skysift.models.rigid import fit_rigid
from skysift.models.template import Component, TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.instruments.fermi import Counts, Observation

__all__ = ["build", "make_prior"]

LARGEST_RIGID = 30.0


def build(
    settings: Any,  # noqa: ANN401 - a fit slice, known here by its attributes
    observation: Observation,
    counts: Counts,
    *,
    region: NDArray[np.bool_] | None = None,
    templates: Mapping[str, NDArray[np.float64]] | None = None,
    device: str = "cpu",
) -> TemplateModel:
    """Return the model of one fit, bound to the counts of one region.

    Parameters
    ----------
    settings : with ``model.components``: name to template, norm, energy and modulation
    observation : exposure, templates and regions on P stored pixels
    counts : (E, P)
    region : (P,), pixels to fit; the observation's region when None
    templates : name of a component to (E, P), in place of its configured template
    device : where tensors live

    Raises
    ------
    InputError : counts of another observation, a template that the observation lacks, a region without pixels, or
        photons where every template vanishes
    """
    inside = observation.region if region is None else region
    if counts.counts.shape != observation.exposure_cm2_s.shape:
        raise InputError(
            counts.name,
            "counts",
            f"shape {counts.counts.shape}",
            f"{observation.exposure_cm2_s.shape}, energies x stored pixels of the observation",
            "make the counts anew from this observation",
        )
    if not inside.any():
        raise InputError("observation", "region", "no pixel", "at least one", "enlarge the region or loosen its mask")
    parts = settings.model.components
    whole = {name: _template(observation, name, part, templates or {}) for name, part in parts.items()}
    maps = {name: part[:, inside] for name, part in whole.items()}
    seen = torch.as_tensor(counts.counts[:, inside].astype(np.float64), device=device)
    _check_explained(counts.name, counts.counts[:, inside], maps, observation.pixels[inside])
    rigid = fit_rigid(counts.counts[:, inside].astype(np.float64), np.stack(list(maps.values())), LARGEST_RIGID)
    assembly = _Assembly(observation, inside, maps, dict(zip(maps, rigid, strict=True)), device)
    for name, part in parts.items():
        if getattr(part, "population", None) is None:
            assembly.add(name, part)
        else:
            light = assembly.rigid[name] * float(maps[name].sum())
            exposure = settings.model.exposure
            assembly.add_made(make_population(name, part, exposure, observation, whole[name], inside, light))
    return assembly.model(seen)


def _template(
    observation: Observation,
    name: str,
    part: Any,  # noqa: ANN401 - duck-typed
    given: Mapping[str, NDArray[np.float64]],
) -> NDArray[np.float64]:
    if name in given:
        return given[name]
    if part.template not in observation.templates:
        known = list(observation.templates)
        raise InputError(
            "observation", f"templates/{part.template}", "missing", nearest(part.template, known), "run prepare again"
        )
    return observation.templates[part.template]


def _check_explained(
    name: str,
    counts: NDArray[np.int64],
    maps: Mapping[str, NDArray[np.float64]],
    pixels: NDArray[np.int64],
) -> None:
    """Raise where there are photons and none of this fit's own templates (those of other fits may be positive)."""
    band, place = np.nonzero((counts > 0) & (np.sum(list(maps.values()), axis=0) <= 0))
    if len(place):
        raise InputError(
            name,
            "counts",
            f"{len(place)} values > 0 where every component vanishes, first {counts[band[0], place[0]]} counts at "
            f"pixel {pixels[place[0]]}",
            f"counts only where one of {', '.join(maps)} is positive",
            "add a component that fills the region (such as isotropic), or mask these pixels",
        )


class _Assembly:
    """Components, fields and parameters, gathered one component at a time."""

    def __init__(
        self,
        observation: Observation,
        inside: NDArray[np.bool_],
        maps: Mapping[str, NDArray[np.float64]],
        rigid: Mapping[str, float],
        device: str,
    ) -> None:
        self.observation, self.inside, self.maps, self.rigid, self.device = observation, inside, maps, rigid, device
        self.norms: list[Parameter] = []
        self.latent: list[Parameter] = []
        self.hyper: list[Parameter] = []
        self.nodes = [1]
        self.choices: set[str] = set()
        self.components: list[Component] = []
        self.populations: list[MadePopulation] = []
        self.fields: dict[str, Field] = {}
        self.starts: dict[str, Tensor] = {}
        self.warnings: list[str] = []
        self.groups = self._groups(max(1, observation.nside // 8))[1]

    def _tensor(self, array: object) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float64, device=self.device)

    def _groups(self, nside: int) -> tuple[Tensor, Tensor]:
        """Return the centres of the coarse pixels that hold fitted pixels, (G, 3), and each pixel's number there."""
        pixels = self.observation.pixels[self.inside]
        nested = ring_to_nest(self.observation.nside, pixels) // (self.observation.nside // nside) ** 2
        coarse, inverse = np.unique(nested, return_inverse=True)
        return self._tensor(nest_vectors(nside, coarse)), torch.as_tensor(inverse.ravel(), device=self.device)

    def add(self, name: str, part: Any) -> None:  # noqa: ANN401 - a configured component
        """Take in one component."""
        self.choices |= {kernel.hyper for kernel in part.modulate}
        field, coefficient, mean = self._modulate(name, part.modulate)
        norm = self._norm(name, part)
        self.components.append(Component(name, self._tensor(self.maps[name]), norm, field, coefficient, mean))

    def add_made(self, made: MadePopulation) -> None:
        """Take in one population."""
        self.populations.append(made)
        self.norms += made.parameters
        self.starts |= {name: self._tensor(start) for name, start in made.starts.items()}

    def _norm(self, name: str, part: Any) -> float | str:  # noqa: ANN401 - duck-typed
        if part.norm.is_fixed:
            if part.norm.is_rigid_fit:
                self.warnings.append(
                    f"{name}: norm fixed at the rigid fit {self.rigid[name]:.4g}, which uses the data twice"
                )
                return self.rigid[name]
            return float(part.norm.value)
        prior = make_prior(part.norm)
        shape = (self.observation.energies,) if part.energy == "free" else ()
        label = f"{name.replace('_', ' ')} norm"
        self.norms.append(Parameter(f"{name}_norm", prior, shape, "", label))
        edges = prior.from_cube(torch.tensor([0.02, 0.98], dtype=torch.float64))
        start = min(max(self.rigid[name], float(edges[0])), float(edges[1]))
        self.starts[f"{name}_norm"] = self._tensor(np.full(shape, start))
        return f"{name}_norm"

    def _modulate(self, name: str, kernels: Sequence[Any]) -> tuple[str | None, float | str, str | None]:
        """Return the name of the field, its coefficient and its mean for one component."""
        if not kernels:
            return None, 1.0, None
        first = kernels[0]
        if first.shared is not None:
            coefficient: float | str = f"{name}_coefficient"
            if first.coefficient.is_fixed:
                coefficient = float(first.coefficient.value)
            else:
                self.norms.append(Parameter(f"{name}_coefficient", make_prior(first.coefficient)))
            return first.shared, coefficient, None
        self.fields[name] = self._field(name, kernels)
        mean = next((kernel.mean for kernel in kernels if kernel.mean is not None), None)
        if mean is None:
            return name, 1.0, None
        self.norms.append(Parameter(f"{name}_mean", Normal(mean.mean, mean.sd), label=f"{name} mean of f"))
        return name, 1.0, f"{name}_mean"

    def _field(self, name: str, kernels: Sequence[Any]) -> Field:
        nside = next((kernel.nside for kernel in kernels if getattr(kernel, "nside", None) is not None), None)
        if nside is not None and nside < self.observation.nside:
            places, groups = self._groups(nside)
        else:
            places = self._tensor(ring_vectors(self.observation.nside, self.observation.pixels[self.inside]))
            groups = None
        weights = self._tensor(self.maps[name].sum(0))
        if groups is not None:
            weights = weights.new_zeros(len(places)).index_add_(0, groups, weights)
        grain = Grain(places, weights, self._tensor(np.sqrt(self._band_edges())))
        made = make_field(name, kernels, grain)
        self.latent += made.latent
        self.hyper += made.hyper
        self.norms += made.sampled
        self.nodes.append(made.nodes)
        self.warnings += made.warnings
        return Field(tuple(made.terms), groups)

    def _band_edges(self) -> NDArray[np.float64]:
        edges = self.observation.energy_edges_gev
        product: NDArray[np.float64] = edges[1:] * edges[:-1]
        return product

    def model(self, counts: Tensor) -> TemplateModel:
        """Return the finished model."""
        if not (self.norms or self.latent):
            wanted = "at least one norm with a prior, or a modulated component"
            raise InputError("model", "components", "nothing that is free", wanted, "free a norm")
        free = sum(math.prod(item.shape) for item in self.norms)
        if free > counts.numel():
            self.warnings.append(f"{free} free norms and only {counts.numel()} pixels: priors decide")
        if {"maximised", "marginalised"} <= self.choices:
            self.warnings.append("hyper: maximised beside hyper: marginalised: all are marginalised")
        hyper = Parameters(self.hyper) if self.hyper else None
        middle = {} if hyper is None else hyper.from_cube(torch.full((hyper.cube_size,), 0.5, dtype=torch.float64))
        model = TemplateModel(
            Parameters([*self.norms, *self.latent]),
            counts,
            tuple(self.components),
            {name: item.at(middle) for name, item in self.fields.items()},
            self.fields,
            hyper,
            max(self.nodes),
            self.groups,
            norm_starts=self.starts,
            warnings=tuple(self.warnings),
        )
        model = replace(model, warnings=(*model.warnings, *_degenerate(model)))
        return add_populations(model, self.populations, self.observation) if self.populations else model


def _degenerate(model: TemplateModel) -> list[str]:
    """Warn where a rigid component's shape is one that a modulated component can take exactly."""
    warnings = []
    weight = 1.0 / torch.clamp(model.counts.flatten(), min=1.0)
    shapes = {item.name: item.template.flatten() for item in model.components}
    for item in model.components:
        for other in model.components:
            if item.field is None and other.field is not None and isinstance(item.norm, str):
                a, b = shapes[item.name], shapes[other.name]
                overlap = float((weight * a * b).sum() / ((weight * a * a).sum() * (weight * b * b).sum()).sqrt())
                if overlap > 0.95:
                    text = f"{item.name} and {other.name} overlap by {overlap:.3f}"
                    warnings.append(f"{text}: the Gaussian process may absorb {item.name}")
    return warnings
