"""Absolute fluxes of components: expected events are a norm times those of the component as declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.parameters import Parameter
from skysift.parameters.priors.base import ScalarPrior

__all__ = ["Norms"]

EDGE = 1e-4


@dataclass(frozen=True)
class Norms:
    r"""Expected events of each component, :math:`\nu_s = A_s N_s`, for the extended likelihood.

    Parameters
    ----------
    names : components, in the order of the densities
    sources : A of each component, a number or the name of a parameter (one name for two ties them)
    parameters : the free norms
    """

    names: tuple[str, ...]
    sources: tuple[float | str, ...]
    parameters: list[Parameter]

    @classmethod
    def of(cls, names: Sequence[str], priors: Mapping[str, ScalarPrior | float | str]) -> Norms:
        """Return norms from a prior, a fixed number, or the name of the component whose norm is shared.

        Parameters
        ----------
        names : components
        priors : by component; free norms become parameters ``<component>_norm``

        Raises
        ------
        InputError : a component without a norm, or one that shares with a component whose norm is not free
        """
        free = {name: prior for name, prior in priors.items() if isinstance(prior, ScalarPrior)}
        sources: list[float | str] = []
        for name in names:
            if name not in priors:
                wanted = "a prior, a number or the name of a component"
                raise InputError("mixture", f"components.{name}.norm", "nothing", wanted, "give every component a norm")
            norm = priors[name]
            owner = norm if isinstance(norm, str) else name
            if isinstance(norm, str) and norm not in free:
                wanted = "a component whose norm is free"
                raise InputError("mixture", f"components.{name}.norm", norm, wanted, nearest(norm, free))
            # a prior is always free, and so is named: what is left is a number
            sources.append(f"{owner}_norm" if owner in free else float(norm))  # type: ignore[arg-type]
        for name in priors:
            if name not in names:
                raise InputError("mixture", f"norms.{name}", name, "the name of a component", nearest(name, names))
        items = [Parameter(f"{name}_norm", prior, label=f"{name} norm") for name, prior in free.items()]
        return cls(tuple(names), tuple(sources), items)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """No parameter has an axis."""
        return {}

    @property
    def coordinates(self) -> dict[str, tuple[str, ...]]:
        """Names of the components."""
        return {"component": self.names}

    @property
    def prior_counts(self) -> tuple[float, ...]:
        """One for each component: keeps the start of a norm away from zero."""
        return (1.0,) * len(self.names)

    def shares(self, values: Mapping[str, Tensor], totals: Tensor | None = None) -> Tensor:
        """Return the expected events of each component, (B, S); ``totals`` (S,) or (B, S) are N."""
        rows = len(next(iter(values.values())))
        like = next(iter(values.values()))
        columns = [
            values[source] if isinstance(source, str) else like.new_full((rows,), source) for source in self.sources
        ]
        norms = torch.stack(columns, -1)
        return norms if totals is None else norms * totals

    def split(self, shares: Tensor, totals: Tensor | None = None) -> dict[str, Tensor]:
        """Return norms that expect so many events, inside their priors; a shared norm explains the sum of its own."""
        values = {}
        for item in self.parameters:
            mine = [k for k, source in enumerate(self.sources) if source == item.name]
            events = shares[..., mine].sum(-1)
            norm = events if totals is None else events / totals[..., mine].sum(-1).clamp_min(1e-300)
            edges = item.prior.from_cube(torch.tensor([EDGE, 1.0 - EDGE], dtype=torch.float64)).to(norm)
            values[item.name] = norm.clamp(float(edges[0]), float(edges[1]))
        return values
