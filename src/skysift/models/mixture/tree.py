"""Fractions of components as a tree of named groups: one Dirichlet per group, leaves bound to components by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.parameters import Parameter
from skysift.parameters.priors import Dirichlet

__all__ = ["Fractions", "Group", "LeafPrior"]

QUANTILES = (0.05, 0.95)
SUMMARY_DRAWS = 20_000
Tree = Mapping[str, Any] | Sequence[str]


class Group(NamedTuple):
    """One node with its children: parameter, names of the children, concentrations, and the leaves below each."""

    parameter: str
    children: tuple[str, ...]
    concentration: tuple[float, ...]
    leaves: tuple[tuple[str, ...], ...]


class LeafPrior(NamedTuple):
    """What the prior says about one leaf's fraction: mean, standard deviation, 5 % and 95 % quantiles."""

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Fractions:
    r"""Shares of events, one per component: products of the fractions down the tree.

    .. math:: f_s = \prod_{g \ni s} x_g, \qquad p(f) = \prod_{\rm groups} {\rm Dir}(f_{\rm child} / f_{\rm parent}; a)
        \, f_{\rm parent}^{-(n - 1)}

    with n children. A node's concentration is the number of leaves below it unless stated: then the prior of the
    leaves is exactly flat, whatever the tree.

    Parameters
    ----------
    names : components, in the order of the densities
    groups : the tree, root first
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        tree: Tree | None = None,
        concentration: float | Mapping[str, float] | None = None,
        each: float = 1.0,
    ) -> Fractions:
        """Return the fractions of components.

        Parameters
        ----------
        names : components; a single one has nothing to share
        tree : nested mapping such as ``{"background": None, "sky": {"diffuse": None, "catalogue": None}}``, or a list
            of names; None for one group of all
        concentration : of every node, or by name of node or leaf; those left out count the leaves below them
        each : what a leaf counts there: the leaves' prior is then one Dirichlet with this concentration, whatever the
            tree

        Raises
        ------
        InputError : a leaf that is no component, a component that is no leaf, two nodes of one name, a group of one
        """
        if len(names) == 1 and tree is None:
            return cls(tuple(names), ())
        groups = tuple(_read(_normalise(names if tree is None else tree), "fractions", concentration, each))
        _check_names(names, groups, concentration)
        return cls(tuple(names), groups)

    @property
    def is_flat(self) -> bool:
        """Whether there is one group whose children are the components, in their order."""
        return len(self.groups) == 1 and self.groups[0].children == self.names

    @property
    def has_flat_leaves(self) -> bool:
        """Whether every node's concentration is the number of leaves below it."""
        return all(
            concentration == len(leaves)
            for group in self.groups
            for concentration, leaves in zip(group.concentration, group.leaves, strict=True)
        )

    @cached_property
    def parameters(self) -> list[Parameter]:
        """One parameter per group: ``fractions`` at the root, ``<group>_fractions`` below it."""
        return [Parameter(group.parameter, Dirichlet(group.concentration)) for group in self.groups]

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the axes of each parameter."""
        if self.is_flat:
            return {"fractions": ("component",)}
        return {group.parameter: (f"{group.parameter.removesuffix('fractions')}branch",) for group in self.groups}

    @property
    def coordinates(self) -> dict[str, tuple[str, ...]]:
        """Names along each axis of `dims`, and of the components."""
        axes = {self.dims[group.parameter][0]: group.children for group in self.groups}
        return axes | {"component": self.names}

    @property
    def prior_counts(self) -> tuple[float, ...]:
        """Concentration of each component's prior when the leaves are flat or nearly so: where EM begins."""
        share = dict.fromkeys(self.names, 1.0)
        for group in self.groups:
            for weight, leaves in zip(group.concentration, group.leaves, strict=True):
                for leaf in leaves:
                    share[leaf] *= weight / sum(group.concentration)
        return tuple(len(self.names) * share[name] for name in self.names)

    def shares(self, values: Mapping[str, Tensor], totals: Tensor | None = None) -> Tensor:
        """Return the fraction of each component, (B, S); ``totals`` play no part."""
        if self.is_flat:
            return values["fractions"]
        if not self.groups:
            like = next(iter(values.values()))
            return torch.ones(len(like), 1, dtype=torch.float64, device=like.device)
        factors: dict[str, Tensor] = {}
        for group in self.groups:
            for column, leaves in zip(values[group.parameter].unbind(-1), group.leaves, strict=True):
                for leaf in leaves:
                    factors[leaf] = factors[leaf] * column if leaf in factors else column
        return torch.stack([factors[name] for name in self.names], -1)

    def split(self, shares: Tensor, totals: Tensor | None = None) -> dict[str, Tensor]:
        """Return the values of the parameters at fractions of the components, the inverse of `shares`."""
        place = {name: k for k, name in enumerate(self.names)}
        values = {}
        for group in self.groups:
            sums = [shares[..., [place[leaf] for leaf in leaves]].sum(-1) for leaves in group.leaves]
            parts = torch.stack(sums, -1)
            parent = parts.sum(-1, keepdim=True)
            # where a group has nothing its children have equal shares of that
            values[group.parameter] = torch.where(parent > 0, parts / parent, 1.0 / len(group.children))
        return values

    def log_prior(self, shares: Tensor) -> Tensor:
        """Return the normalised log prior density of the components' fractions (the first S - 1 of them), (...,)."""
        place = {name: k for k, name in enumerate(self.names)}
        total = torch.zeros(shares.shape[:-1], dtype=shares.dtype, device=shares.device)
        for group, item in zip(self.groups, self.parameters, strict=True):
            parts = torch.stack([shares[..., [place[leaf] for leaf in leaves]].sum(-1) for leaves in group.leaves], -1)
            parent = parts.sum(-1)
            density = item.prior.log_density(parts / parent[..., None])
            total = total + density - (len(group.children) - 1) * torch.log(parent)
        return total

    def summarise_prior(self) -> dict[str, LeafPrior]:
        """Return what the prior says about each component: exact mean and sd, quantiles from 20 000 draws."""
        generator = torch.Generator().manual_seed(0)
        u = [
            torch.rand(SUMMARY_DRAWS, len(group.children) - 1, generator=generator, dtype=torch.float64)
            for group in self.groups
        ]
        pairs = zip(self.parameters, u, strict=True)
        draws = self.shares({item.name: item.prior.from_cube(numbers) for item, numbers in pairs})
        edges = torch.quantile(draws, torch.tensor(QUANTILES, dtype=draws.dtype), dim=0)
        return {
            name: LeafPrior(*self._moments(name), float(edges[0, k]), float(edges[1, k]))
            for k, name in enumerate(self.names)
        }

    def _moments(self, leaf: str) -> tuple[float, float]:
        mean = square = 1.0
        for group in self.groups:
            total = sum(group.concentration)
            for weight, leaves in zip(group.concentration, group.leaves, strict=True):
                if leaf in leaves:
                    mean *= weight / total
                    square *= weight * (weight + 1.0) / (total * (total + 1.0))
        return mean, math.sqrt(max(0.0, square - mean**2))


def _normalise(tree: Tree) -> dict[str, Any]:
    return dict(tree) if isinstance(tree, Mapping) else dict.fromkeys(tree)


def _leaves(name: str, below: Any) -> tuple[str, ...]:  # noqa: ANN401 - a mapping, a list or nothing
    if not below:
        return (name,)
    return tuple(leaf for child, rest in _normalise(below).items() for leaf in _leaves(child, rest))


def _read(
    tree: Mapping[str, Any], parameter: str, concentration: float | Mapping[str, float] | None, each: float
) -> Iterator[Group]:
    leaves = {name: _leaves(name, below) for name, below in tree.items()}
    own = concentration if isinstance(concentration, Mapping) else {}
    weights = tuple(float(own.get(name, each * len(below))) for name, below in leaves.items())
    if isinstance(concentration, float | int):
        weights = (float(concentration),) * len(leaves)
    if len(tree) < 2:
        wanted, remedy = "two or more children", "write the child in the place of its group"
        raise InputError("mixture", parameter, ", ".join(tree) or "nothing", wanted, remedy)
    yield Group(parameter, tuple(tree), weights, tuple(leaves.values()))
    for name, below in tree.items():
        if below:
            yield from _read(_normalise(below), f"{name}_fractions", concentration, each)


def _check_names(
    names: Sequence[str], groups: Sequence[Group], concentration: float | Mapping[str, float] | None
) -> None:
    nodes = [child for group in groups for child in group.children]
    leaves = [leaf for below in groups[0].leaves for leaf in below]
    for name in nodes:
        if nodes.count(name) > 1:
            raise InputError("mixture", f"fractions.{name}", "twice", "every name once", "rename one of them")
    for leaf in leaves:
        if leaf not in names:
            raise InputError("mixture", f"fractions.{leaf}", leaf, "the name of a component", nearest(leaf, names))
    for name in names:
        if name not in leaves:
            raise InputError("mixture", "fractions", f"no leaf {name}", "every component once", f"add {name}")
    for name in concentration if isinstance(concentration, Mapping) else ():
        if name not in nodes:
            raise InputError("mixture", "concentration", name, "a node or leaf of the tree", nearest(name, nodes))
