"""From marginals and a configured model to a `MixtureModel`: known columns, and those that move with parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skysift.errors import InputError
from skysift.geometry.sparse import SparseMatrix
from skysift.models.events.dark_matter import make_map
from skysift.models.events.lights import Finder, make_spectrum
from skysift.models.events.measure import measure_spectrum
from skysift.models.events.nodes import find_nodes, interpolate_nodes, list_nodes
from skysift.models.events.parameters import channel_names, full_names, make_source_prior, source_parameters
from skysift.models.mixture import MixtureModel
from skysift.models.mixture.densities import DensityTable, read_densities
from skysift.models.mixture.norms import Norms
from skysift.models.mixture.tree import Fractions
from skysift.parameters import Parameter
from skysift.parameters.priors import StandardNormal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.config.events import EventComponent, EventModel
    from skysift.instruments.ctao.pointing import Axes
    from skysift.models.events.columns import Column
    from skysift.models.events.marginals import Marginals

__all__ = ["build_mixture"]

Values = Mapping[str, "Tensor"]
#: Inner slope of a halo at which its J-factor diverges.
STEEPEST = 1.5
#: From values of parameters (B, ...) to flux in energies (B, E), bins (B, E J) or factors in pixels (B, J).
Flux = Callable[[Values], "Tensor"]


def build_mixture(
    model: EventModel,
    sources: Mapping[str, str],
    marginals: Marginals,
    true: Axes,
    find: Finder,
    device: str = "cpu",
    weights: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
) -> MixtureModel:
    """Return the model of one fit.

    Parameters
    ----------
    model : its settings
    sources : component to the name of its column
    marginals : columns at the events
    true : axes of true coordinates
    find : where files of spectra are
    device : where tensors live
    weights : of `skysift.models.events.fields.weigh_fields`, for every component that is modulated

    Raises
    ------
    InputError : events that no component allows, or components that do not fit the marginals
    """
    names = list(model.components)
    columns = {name: marginals.columns[sources[name]] for name in names}
    movers = {
        name: _mover(name, part, columns[name], true, find, device, weights) for name, part in model.components.items()
    }
    further = [*source_parameters(model.components), *(item for mover in movers.values() for item in mover.latent)]
    middle = {
        item.name: item.prior.from_cube(torch.full((1, *item.cube_shape()), 0.5, dtype=torch.float64)).to(device)
        for item in further
    }
    densities, totals = (
        torch.stack(part, -1)[0] for part in zip(*(mover(middle) for mover in movers.values()), strict=True)
    )
    for name, total in zip(names, totals.tolist(), strict=True):
        if not total > 0:
            wanted = "a source that the field and the response see"
            raise InputError("marginals", f"component {name}", f"{total:g} expected events", wanted, "leave it out")
    # where bins are points their events are no number of anything
    is_absolute = not true.is_discrete
    known = totals.cpu() if is_absolute else None
    table, counts = read_densities((densities / totals).log().cpu(), names, marginals.counts, known)
    table, counts = DensityTable(*(part.to(device) for part in table if part is not None)), counts.to(device)
    shares: Fractions | Norms
    if model.likelihood == "extended":
        shares = Norms.of(names, {name: _norm(part) for name, part in model.components.items()})
    else:
        tree = None if model.fractions.tree is None else _prune(model.fractions.tree)
        shares = Fractions.of(names, tree, each=model.fractions.dirichlet)
    if not further:
        return MixtureModel(shares, table, counts, warnings=marginals.warnings)

    def at(values: Values) -> DensityTable:
        rows = [mover(values) for mover in movers.values()]
        batch = max(part.shape[0] for part, _ in rows)
        density = torch.stack([part.expand(batch, -1) for part, _ in rows], -1)
        total = torch.stack([part.expand(batch) for _, part in rows], -1)
        # where a source sends nothing it explains nothing
        lit = torch.where(total > 0, total, torch.inf)
        scaled = density / lit[:, None] * torch.exp(-table.offsets)[:, None]
        return DensityTable(scaled, table.offsets, total if is_absolute else None)

    labels = channel_names(model.components)
    return MixtureModel(shares, at, counts, tuple(further), warnings=marginals.warnings, labels=labels)


def _norm(component: EventComponent) -> Any:  # noqa: ANN401 - a prior, or a number
    norm = component.norm
    if norm is None or norm.is_fixed:
        return float(norm.value or 0.0) if norm is not None else 1.0
    return make_source_prior(norm)


def _prune(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree in which a name that stands for one component alone is that component."""
    pruned: dict[str, Any] = {}
    for name, below in tree.items():
        if isinstance(below, list) and len(below) == 1:
            pruned[below[0]] = None
        else:
            pruned[name] = below if isinstance(below, list) else _prune(below)
    return pruned


@dataclass(frozen=True)
class _Mover:
    """Density (B, n) and total (B,) of one component at values of the parameters."""

    density: Any
    totals: Tensor
    flux: Flux | None = None
    latent: tuple[Parameter, ...] = ()

    def __call__(self, values: Values) -> tuple[Tensor, Tensor]:
        if self.flux is None:
            return self.density[None], self.totals[None]
        flux = self.flux(values).to(self.totals.device)
        density = self.density.multiply(flux) if isinstance(self.density, SparseMatrix) else flux @ self.density.T
        # polynomials between nodes leave rounding, of either sign, where a source sends nothing
        return density.clamp_min(0.0), flux @ self.totals


def _mover(
    name: str,
    component: EventComponent,
    column: Column,
    true: Axes,
    find: Finder,
    device: str,
    weights: Mapping[str, NDArray[np.float64]],
) -> _Mover:
    totals = torch.as_tensor(column.totals, dtype=torch.float64, device=device)
    if column.kind == "fixed":
        return _Mover(torch.as_tensor(column.density, device=device), totals)
    if column.kind == "spectrum":
        density = torch.as_tensor(np.ascontiguousarray(column.density), device=device)
        return _Mover(density, totals, _spectrum_flux(name, component, true, find))
    if column.kind == "nodes":
        density = torch.as_tensor(np.ascontiguousarray(column.density), device=device)
        return _Mover(density, totals, _nodes_flux(name, component, true, find))
    matrix = SparseMatrix(column.density, device)
    if column.kind == "map":
        return _Mover(matrix, totals, _map_flux(name, component, true, find))
    from skysift.models.events.fields import make_field

    field = make_field(component.modulate, true.grid, weights[name])
    latent = Parameter(f"{name}_field", StandardNormal(), (field.shape[1],), block="field")
    projection = torch.as_tensor(field, device=device)
    return _Mover(matrix, totals, lambda values: torch.exp(values[latent.name] @ projection.T), (latent,))


def _own(name: str, component: EventComponent, values: Values) -> dict[str, Tensor | float]:
    # spectra and profiles are small: they stay on the processor
    return {own: values[full].cpu() for own, full in full_names(component, name).items()}


def _rows(values: Tensor) -> Tensor:
    """Return values with a batch axis in front."""
    return values if values.ndim > 1 else values[None]


def _spectrum_flux(name: str, component: EventComponent, true: Axes, find: Finder) -> Flux:
    def flux(values: Values) -> Tensor:
        return _rows(measure_spectrum(make_spectrum(component, _own(name, component, values), find), true))

    return flux


def _nodes_flux(name: str, component: EventComponent, true: Axes, find: Finder) -> Flux:
    spectrum, nodes = _spectrum_flux(name, component, true, find), find_nodes(component)
    places = list_nodes(nodes)
    diverges = _diverges(component, true)
    totals = torch.stack([make_map(component, true, place).sum() for place in places])
    if diverges:
        totals = totals * torch.tensor([STEEPEST - place["gamma"] for place in places], dtype=torch.float64)
    logs = totals.log()

    def flux(values: Values) -> Tensor:
        own = {key: torch.as_tensor(value) for key, value in _own(name, component, values).items()}
        weights = interpolate_nodes(nodes, own)
        total = torch.exp(weights @ logs)
        if diverges:
            total = total / (STEEPEST - own["gamma"])
        energy = total[:, None] * spectrum(values)
        return (weights[:, :, None] * energy[:, None, :]).flatten(1)

    return flux


def _diverges(component: EventComponent, true: Axes) -> bool:
    """Whether the J-factor of the grid has a pole at the steepest slope, which polynomials cannot follow."""
    if component.profile is None or "gamma" not in component.profile.priors or component.profile.core_kpc is not None:
        return False
    annihilates = component.spectrum is not None and component.spectrum.kind == "annihilation"
    return annihilates and int(true.grid.find(0.0, 0.0)) >= 0


def _map_flux(name: str, component: EventComponent, true: Axes, find: Finder) -> Flux:
    spectrum = _spectrum_flux(name, component, true, find)

    def flux(values: Values) -> Tensor:
        share = _rows(make_map(component, true, _own(name, component, values)))
        energy = spectrum(values)
        # as a product of matrices, so that the gradient is two of them
        return (energy[:, :, None] @ share[:, None, :]).flatten(1)

    return flux
