"""What every prior offers: three coordinates of one quantity, and its density in each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOG_SQRT_2PI", "Derivatives", "Prior", "ScalarPrior", "clip_cube"]

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class Derivatives(NamedTuple):
    """Elementwise derivatives at z: of the value (first, second), and of log density in z (gradient, minus second)."""

    first: Tensor
    second: Tensor
    gradient: Tensor
    curvature: Tensor


def clip_cube(u: Tensor) -> Tensor:
    """Keep cube coordinates inside (0, 1), so that quantile functions and their gradients stay finite."""
    return u.clamp(torch.finfo(u.dtype).tiny, 1.0 - 0.5 * torch.finfo(u.dtype).eps)


class Prior(ABC):
    """One quantity with its density, in physical value x, unconstrained z and unit cube u.

    Scalar priors act on every element alone, whatever the shape; coupled ones act on the last axis, whose length
    differs by coordinate: ``value_size``, ``z_size`` and ``cube_size``.
    """

    scalar: ClassVar[bool] = False
    periodic: ClassVar[bool] = False

    @property
    @abstractmethod
    def value_size(self) -> int:
        """Length of the last axis of x (1 for scalar priors, which have no such axis)."""

    @property
    @abstractmethod
    def z_size(self) -> int:
        """Length of the last axis of z."""

    @property
    def cube_size(self) -> int:
        """Length of the last axis of u."""
        return self.z_size

    @property
    def is_gaussian_in_z(self) -> bool:
        """Whether z is exactly N(0, 1) under the prior."""
        return False

    @abstractmethod
    def from_z(self, z: Tensor) -> Tensor:
        """Return the physical value at z."""

    @abstractmethod
    def to_z(self, x: Tensor) -> Tensor:
        """Return the unconstrained coordinate of x; infinite on the edge of the support."""

    @abstractmethod
    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz|, one number per quantity."""

    @abstractmethod
    def log_density(self, x: Tensor) -> Tensor:
        """Return the normalised log density of x, -inf outside the support, one number per quantity."""

    @abstractmethod
    def from_cube(self, u: Tensor) -> Tensor:
        """Return the physical value whose cube coordinate is u: u uniform gives x from the prior."""

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the normalised log density of z, one number per quantity."""
        return self.log_density(self.from_z(z)) + self.log_jacobian(z)


class ScalarPrior(Prior):
    """A prior that acts on each element alone."""

    scalar: ClassVar[bool] = True

    @property
    def value_size(self) -> int:
        """One: scalar priors have no axis of their own."""
        return 1

    @property
    def z_size(self) -> int:
        """One: scalar priors have no axis of their own."""
        return 1

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return derivatives at z of the value and of the log density, elementwise, by differentiating sums."""
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            first, second = _two_derivatives(self.from_z(point), point)
            gradient, bend = _two_derivatives(self.z_log_density(point), point)
        return Derivatives(first, second, gradient, -bend)


def _two_derivatives(function: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    if not function.requires_grad:
        return torch.zeros_like(z).detach(), torch.zeros_like(z).detach()
    (first,) = torch.autograd.grad(function.sum(), z, create_graph=True)
    if not first.requires_grad:
        return first, torch.zeros_like(first)
    (second,) = torch.autograd.grad(first.sum(), z, allow_unused=True)
    return first.detach(), torch.zeros_like(first).detach() if second is None else second
