"""No prior: a constant density on the line, for maximum likelihood; samplers that draw from priors refuse it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NoReturn

import torch

from skysift.errors import InputError
from skysift.parameters.bijections import Affine, Bijection, HalfLine
from skysift.parameters.priors.base import ScalarPrior

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Flat"]


@dataclass(frozen=True)
class Flat(ScalarPrior):
    """Density one wherever the value may be: improper, so that evidences have no meaning.

    Parameters
    ----------
    value, scale : where z is zero, and about how far values move; results do not depend on them
    low, high : at most one limit; two make a `Uniform`

    Examples
    --------
    >>> Flat(2.0, 0.5).from_z(torch.tensor([0.0, 1.0]))
    tensor([2.0000, 2.5000])
    """

    is_proper: ClassVar[bool] = False

    value: float
    scale: float
    low: float | None = None
    high: float | None = None

    @cached_property
    def _bijection(self) -> Bijection:
        edge = self.low if self.low is not None else self.high
        if edge is None:
            return Affine(self.value, self.scale)
        height = max(abs(self.value - edge) / self.scale, 1e-3)
        return HalfLine(edge, self.scale, height + math.log(-math.expm1(-height)), self.low is not None)

    def from_z(self, z: Tensor) -> Tensor:
        """Return the physical value at z."""
        return self._bijection.forward(z)

    def to_z(self, x: Tensor) -> Tensor:
        """Return the unconstrained coordinate of x."""
        return self._bijection.inverse(x)

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz|."""
        return self._bijection.log_jacobian(z)

    def log_density(self, x: Tensor) -> Tensor:
        """Return zero within the limits, -inf beyond."""
        inside = torch.ones_like(x, dtype=torch.bool)
        if self.low is not None:
            inside = inside & (x >= self.low)
        if self.high is not None:
            inside = inside & (x <= self.high)
        return torch.where(inside, torch.zeros_like(x), -torch.inf)

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the log density of z."""
        return self.log_jacobian(z)

    def from_cube(self, u: Tensor) -> NoReturn:
        """Refuse: nothing can be drawn.

        Raises
        ------
        InputError : always
        """
        raise InputError(
            "parameters", "prior", "none, and no limits on both sides", "a prior to draw from",
            "add a prior or both limits, or begin with optimise, which needs neither",
        )  # fmt: skip
