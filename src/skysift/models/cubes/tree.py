"""From the numbers that are fitted to the values of every parameter of every source: links, expressions, constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Flat, LogUniform, Normal, Uniform

if TYPE_CHECKING:
    from skysift.config.models import ModelFile, ParameterDeclaration
    from skysift.parameters.priors.base import Prior

__all__ = ["ValueTree", "make_tree"]

Values = Mapping[str, Tensor]
#: About how far a parameter moves of which nobody said anything.
_SCALE = 0.1


@dataclass(frozen=True, eq=False)
class ValueTree:
    """Where the value of each parameter of a model file comes from.

    Parameters
    ----------
    parameters : what is fitted
    constants : full name, such as ``crab.spectral.index``, to a frozen value ()
    owners : full name to the fitted parameter that it is
    expressions : full name to a function of all values, in an order in which they can be computed
    starts : fitted parameter to the value of the file
    """

    parameters: Parameters
    constants: Values
    owners: Mapping[str, str]
    expressions: Mapping[str, Callable[[Values], Tensor]] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)

    @property
    def moving(self) -> list[str]:
        """Full names of all parameters that are not constants."""
        return [*self.owners, *self.expressions]

    def resolve(self, values: Values) -> dict[str, Tensor]:
        """Return the value of every parameter by its full name, (batch,) or () for constants."""
        found = {**self.constants, **{name: values[owner] for name, owner in self.owners.items()}}
        for name, expression in self.expressions.items():
            found[name] = expression(found)
        return found

    def differentiate(self, values: Values) -> Tensor:
        """Return the derivatives of moving values in the packed parameters at one point, (moving, D)."""
        places = {name: at.start for name, at in self.parameters.packed_slices.items()}
        matrix = torch.zeros(len(self.moving), self.parameters.packed_size, dtype=torch.float64)
        for row, owner in enumerate(self.owners.values()):
            matrix[row, places[owner]] = 1.0
        for row, name in enumerate(self.expressions, len(self.owners)):
            with torch.enable_grad():
                packed = self.parameters.pack(values).detach()[0].requires_grad_()
                found = self.resolve(self.parameters.unpack(packed[None]))[name]
                matrix[row] = torch.autograd.grad(found.sum(), packed)[0]
        return matrix

    def bend(self, values: Values, pull: Tensor) -> Tensor:
        """Return the sum of second derivatives of expressions, weighted by ``pull`` (moving,), (D, D)."""
        size = self.parameters.packed_size
        if not self.expressions:
            return torch.zeros(size, size, dtype=torch.float64)
        with torch.enable_grad():
            packed = self.parameters.pack(values).detach().expand(size, -1).clone().requires_grad_()
            found = self.resolve(self.parameters.unpack(packed))
            terms = [(weight * found[name]).sum() for name, weight in zip(self.moving, pull, strict=True)]
            total = torch.stack(terms).sum()
            (slope,) = torch.autograd.grad(total, packed, create_graph=True)
            if not slope.requires_grad:
                return torch.zeros(size, size, dtype=torch.float64)
            (second,) = torch.autograd.grad(slope.diagonal().sum(), packed)
        return second


def make_tree(
    declared: ModelFile, used: Sequence[str], expressions: Mapping[str, Callable[[Values], Tensor]] | None = None
) -> ValueTree:
    """Return where values come from.

    Parameters
    ----------
    declared : a model file in natural units
    used : names of the components that shine in some data set
    expressions : full name to a function, for parameters that are set by one

    Raises
    ------
    InputError : nothing is free, or a prior of another kind
    """
    expressions = expressions or {}
    fitted: dict[str, Parameter] = {}
    constants, owners, starts = {}, {}, {}
    labels: dict[str, str] = {}
    for name, item in declared.parameters().items():
        component = next(one for one in declared.components if name.startswith(f"{one.name}."))
        if component.name not in used or name in expressions:
            continue
        if item.is_frozen:
            constants[name] = torch.tensor(item.value, dtype=torch.float64)
            continue
        owner = labels.setdefault(item.link, name) if item.link is not None else name
        owners[name] = owner
        if owner == name:
            fitted[name] = Parameter(name, _make_prior(name, item), unit=item.unit, label=name.replace(".", " "))
            starts[name] = item.value
    if not fitted:
        raise InputError(declared.name, "parameters", "all are frozen", "a free parameter or more", "set frozen: false")
    return ValueTree(Parameters(fitted.values()), constants, owners, expressions, starts)


def _make_prior(name: str, item: ParameterDeclaration) -> Prior:
    prior = item.prior
    if prior is not None and prior.weight != 1.0:
        raise InputError(name, "prior.weight", prior.weight, "1: a prior is a probability", "leave the weight out")
    if prior is not None and prior.kind == "normal":
        return Normal(prior.numbers[0], prior.numbers[1], item.low, item.high)
    if prior is not None and prior.kind == "uniform":
        return Uniform(*prior.numbers[:2])
    if prior is not None and prior.kind == "loguniform":
        return LogUniform(*prior.numbers[:2])
    if prior is None and item.low is not None and item.high is not None:
        return Uniform(item.low, item.high)
    if prior is None:
        scale = item.error or abs(item.value) / 10 or _SCALE
        return Flat(item.value, scale, item.low, item.high)
    found = f"a prior of kind {prior.kind}"
    raise InputError(name, "prior", found, "normal, uniform or log-uniform", "write another prior")
