"""Free parameters of event sources: their full names, priors, and values at the middle of the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from skysift.models.build import make_prior
from skysift.parameters import Parameter
from skysift.parameters.priors import Dirichlet, LogNormal, LogUniform, Uniform

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.config.events import EventComponent
    from skysift.parameters.priors import Prior, ScalarPrior

__all__ = ["channel_names", "full_names", "make_source_prior", "middle_of", "short_values", "source_parameters"]

UNITS = {"mass": "TeV", "cutoff": "TeV", "break": "TeV", "r_s": "kpc", "local_density": "GeV cm-3"}


def make_source_prior(prior: Any) -> Prior:  # noqa: ANN401 - a configured prior: of a number, an energy, or of shares
    """Return the prior of a source parameter; energies are in TeV."""
    if prior.kind == "dirichlet":
        return Dirichlet((prior.dirichlet,) * len(prior.names))
    if not hasattr(prior, "numbers"):
        return make_prior(prior)
    families = {"lognormal": LogNormal, "loguniform": LogUniform, "uniform": Uniform}
    made: ScalarPrior = families[prior.kind](*prior.numbers)
    return made


def full_names(component: EventComponent, name: str) -> dict[str, str]:
    """Return short to full name of every parameter that is not fixed, those shared with another component included."""
    return {own: f"{name}_{own}" for own in component.free} | {
        own: f"{owner}_{own}" for own, owner in component.share.items()
    }


def source_parameters(components: Mapping[str, EventComponent]) -> list[Parameter]:
    """Return the free parameters of all sources, in the order of the components."""
    return [
        Parameter(
            f"{name}_{own}", make_source_prior(prior), unit=UNITS.get(own, ""), label=f"{name} {own}", block="norm"
        )
        for name, component in components.items()
        for own, prior in component.free.items()
    ]


def middle_of(components: Mapping[str, EventComponent]) -> dict[str, Any]:
    """Return the median of each free parameter's prior, by full name; of shares, equal ones."""
    half = torch.tensor(0.5, dtype=torch.float64)
    return {
        item.name: [1.0 / item.shape[0]] * item.shape[0] if item.shape else float(item.prior.from_cube(half))
        for item in source_parameters(components)
    }


def channel_names(components: Mapping[str, EventComponent]) -> dict[str, tuple[str, ...]]:
    """Return the channels whose shares each vector parameter holds, by full name."""
    return {
        f"{name}_branching": tuple(component.free["branching"].names)  # type: ignore[union-attr]  # it is one
        for name, component in components.items()
        if "branching" in component.free
    }


def short_values(component: EventComponent, name: str, values: Mapping[str, Any]) -> dict[str, Tensor | float]:
    """Return the values of a component's parameters by short name."""
    return {own: values[full] for own, full in full_names(component, name).items()}
