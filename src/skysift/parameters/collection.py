"""An ordered set of named parameters in three coordinates: physical values, unconstrained z and unit cube u."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from skysift.errors import InputError, nearest
from skysift.parameters.priors.base import LOG_SQRT_2PI, Derivatives, Prior, ScalarPrior

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Parameter", "Parameters"]

Block = Literal["norm", "field", "hyper"]


@dataclass(frozen=True)
class Parameter:
    """One named quantity: its prior, shape, unit, label, and the block that it belongs to.

    For priors of vectors (fractions, breaks), ``shape`` ends in the vector's length; left empty it becomes that.
    """

    name: str
    prior: Prior
    shape: tuple[int, ...] = ()
    unit: str = ""
    label: str = ""
    block: Block = "norm"

    def __post_init__(self) -> None:
        """Complete and check the shape."""
        if not self.prior.scalar and self.shape == ():
            object.__setattr__(self, "shape", (self.prior.value_size,))
        if not self.prior.scalar and self.shape[-1] != self.prior.value_size:
            wanted = f"a shape that ends in {self.prior.value_size}"
            raise InputError("parameters", self.name, self.shape, wanted, "change shape or prior")

    @property
    def lead(self) -> tuple[int, ...]:
        """Shape without the axis along which the prior couples."""
        return self.shape if self.prior.scalar else self.shape[:-1]

    def z_shape(self) -> tuple[int, ...]:
        """Shape of this parameter's part of z."""
        return self.shape if self.prior.scalar else (*self.lead, self.prior.z_size)

    def cube_shape(self) -> tuple[int, ...]:
        """Shape of this parameter's part of the unit cube."""
        return self.shape if self.prior.scalar else (*self.lead, self.prior.cube_size)


class Parameters:
    """Ordered parameters and their priors; flat vectors hold one parameter after the other.

    Every method takes any leading batch shape, zero included. ``slices``, ``packed_slices`` and ``cube_slices`` give
    each parameter's place in z (``size``), in the packed physical vector (``packed_size``) and in the cube
    (``cube_size``).

    Raises
    ------
    InputError : no parameter, or two of the same name

    Examples
    --------
    >>> from skysift.parameters.priors import LogNormal, StandardNormal
    >>> norms = Parameters([Parameter("gce_norm", LogNormal(2.0, 0.5)), Parameter("field", StandardNormal(), (3,))])
    >>> norms.size
    4
    >>> norms.values(torch.zeros(1, 4))["gce_norm"]
    tensor([2.])
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        listed = list(parameters)
        self._items = {item.name: item for item in listed}
        if not listed or len(self._items) != len(listed):
            found = ", ".join(item.name for item in listed) or "none"
            raise InputError("parameters", "names", found, "one or more different names", "rename or add parameters")
        self.names: tuple[str, ...] = tuple(self._items)
        self.slices = self._slices(Parameter.z_shape)
        self.packed_slices = self._slices(lambda item: item.shape)
        self.cube_slices = self._slices(Parameter.cube_shape)
        self.size = self.slices[self.names[-1]].stop
        self.packed_size = self.packed_slices[self.names[-1]].stop
        self.cube_size = self.cube_slices[self.names[-1]].stop
        gaussian = [torch.full((math.prod(item.z_shape()),), float(item.prior.is_gaussian_in_z)) for item in self]
        self._gaussian = torch.cat(gaussian).to(torch.float64)
        self._gaussian_count = float(self._gaussian.sum())

    def _slices(self, shape_of: Callable[[Parameter], tuple[int, ...]]) -> dict[str, slice]:
        slices, begin = {}, 0
        for item in self:
            end = begin + math.prod(shape_of(item))
            slices[item.name] = slice(begin, end)
            begin = end
        return slices

    def __iter__(self) -> Iterator[Parameter]:
        """Iterate over the parameters in order."""
        return iter(self._items.values())

    def __len__(self) -> int:
        """Return how many parameters there are (not numbers: see ``size``)."""
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a parameter of this name."""
        return name in self._items

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter ``name``."""
        if name not in self._items:
            raise InputError("parameters", name, name, "the name of a parameter", nearest(name, self.names))
        return self._items[name]

    @property
    def is_elementwise(self) -> bool:
        """Whether each physical number depends on one number of z alone."""
        return all(item.prior.scalar for item in self)

    def block_mask(self, block: Block) -> Tensor:
        """Which numbers of z belong to ``block``, (d,) bool."""
        mask = torch.zeros(self.size, dtype=torch.bool)
        for item in self:
            mask[self.slices[item.name]] = item.block == block
        return mask

    def element_names(self) -> list[str]:
        """Return one name per number of z, such as ``gce_norm`` or ``diffuse_field[3]``."""
        names = []
        for item in self:
            size = math.prod(item.z_shape())
            names += [item.name] if item.z_shape() == () else [f"{item.name}[{k}]" for k in range(size)]
        return names

    def values(self, z: Tensor) -> dict[str, Tensor]:
        """Return the physical values at z, (..., d) to {name: (..., *shape)}."""
        return {item.name: item.prior.from_z(self._part(z, item)) for item in self}

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the unconstrained coordinates of physical values, (..., d); infinite on an edge of a support."""
        parts = []
        for item in self:
            x = values[item.name]
            batch = x.shape[: x.ndim - len(item.shape)]
            parts.append(item.prior.to_z(x).reshape((*batch, math.prod(item.z_shape()))))
        return torch.cat(parts, -1)

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dvalues/dz|, (..., d) to (...,)."""
        return self._total(z, {item.name: item.prior.log_jacobian(self._part(z, item)) for item in self})

    def log_prior(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the log prior density of physical values, (...,); -inf outside the support."""
        terms = {item.name: item.prior.log_density(values[item.name]) for item in self}
        first = self[self.names[0]]
        batch = values[first.name].shape[: values[first.name].ndim - len(first.shape)]
        return self._sum(terms, batch)

    def log_density(self, z: Tensor) -> Tensor:
        """Return the log prior density of z: ``log_prior(values(z)) + log_jacobian(z)``, (...,)."""
        total, _ = self.gaussian_log_density(z)
        return self.add_other_log_density(total, z)

    def gaussian_log_density(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the coordinates that are standard normal in z add to `log_density`, (...,), and its gradient.

        They are taken at once and differentiated by hand, for most coordinates are such and each operation costs.
        """
        masked = z * self._gaussian.to(z)
        return -0.5 * (z * masked).sum(-1) - LOG_SQRT_2PI * self._gaussian_count, -masked

    def add_other_log_density(self, total: Tensor, z: Tensor) -> Tensor:
        """Return ``total`` plus the log prior density of all other coordinates, (...,)."""
        for item in self:
            if not item.prior.is_gaussian_in_z:
                term = item.prior.z_log_density(self._part(z, item))
                total = total + self._flatten_sum(term, item, z.shape[:-1])
        return total

    def from_cube(self, u: Tensor) -> dict[str, Tensor]:
        """Return the physical values of unit-cube coordinates, (..., c) to {name: (..., *shape)}."""
        return {
            item.name: item.prior.from_cube(self._place(u, self.cube_slices[item.name], item.cube_shape()))
            for item in self
        }

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw ``count`` sets of values from the prior, {name: (count, *shape)}."""
        device = generator.device
        u = torch.rand(count, self.cube_size, generator=generator, dtype=torch.float64, device=device)
        return self.from_cube(u)

    def pack(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the physical values as one flat vector, (..., D)."""
        parts = []
        for item in self:
            x = values[item.name]
            parts.append(x.reshape((*x.shape[: x.ndim - len(item.shape)], math.prod(item.shape))))
        return torch.cat(parts, -1)

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """Return named physical values of a flat vector, (..., D) to {name: (..., *shape)}."""
        return {item.name: self._place(packed, self.packed_slices[item.name], item.shape) for item in self}

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return elementwise derivatives at one point z, (d,).

        Returns
        -------
        ``first`` and ``second`` derivatives of the physical values, ``gradient`` and ``curvature`` (minus the second
        derivative) of `log_density`, each (d,)

        Raises
        ------
        InputError : a prior couples several numbers, so that derivatives are matrices
        """
        parts = []
        for item in self:
            if not isinstance(item.prior, ScalarPrior):
                wanted, remedy = "a prior of single numbers", "differentiate `values` and `log_density` instead"
                raise InputError("parameters", item.name, type(item.prior).__name__, wanted, remedy)
            parts.append(item.prior.derivatives(z[self.slices[item.name]]))
        return Derivatives(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _part(self, z: Tensor, item: Parameter) -> Tensor:
        return self._place(z, self.slices[item.name], item.z_shape())

    @staticmethod
    def _place(flat: Tensor, where: slice, shape: tuple[int, ...]) -> Tensor:
        return flat[..., where].reshape((*flat.shape[:-1], *shape))

    def _total(self, z: Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        return self._sum(terms, z.shape[:-1])

    def _sum(self, terms: Mapping[str, Tensor], batch: torch.Size) -> Tensor:
        return functools.reduce(operator.add, [self._flatten_sum(terms[item.name], item, batch) for item in self])

    @staticmethod
    def _flatten_sum(term: Tensor, item: Parameter, batch: torch.Size) -> Tensor:
        return term.reshape((*batch, math.prod(item.lead))).sum(-1) if item.lead else term
