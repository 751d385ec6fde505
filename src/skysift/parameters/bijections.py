"""Smooth one-to-one maps from the real line onto the supports of scalar parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import logsigmoid

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Affine", "Bijection", "HalfLine", "Interval", "Plateau"]


class Bijection(Protocol):
    """x(z), z(x) and log |dx/dz|, elementwise."""

    def forward(self, z: Tensor) -> Tensor:
        """Return x at z."""
        ...

    def inverse(self, x: Tensor) -> Tensor:
        """Return z at x; infinite at (or beyond) the edge of the support."""
        ...

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz| at z."""
        ...


@dataclass(frozen=True)
class Affine:
    """x = loc + scale z."""

    loc: float
    scale: float

    def forward(self, z: Tensor) -> Tensor:
        """Return x at z."""
        return self.loc + self.scale * z

    def inverse(self, x: Tensor) -> Tensor:
        """Return z at x."""
        return (x - self.loc) / self.scale

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz| at z."""
        return torch.full_like(z, math.log(self.scale))


@dataclass(frozen=True)
class HalfLine:
    """x = edge ± scale softplus(z' + shift): linear far from the edge, logarithmic close to it.

    Far inside, a Gaussian posterior stays Gaussian; at the edge, x falls like exp(z), so z never meets a wall.
    ``upward`` False mirrors the map onto (-inf, edge), with z still increasing in x.
    """

    edge: float
    scale: float
    shift: float
    upward: bool = True

    def forward(self, z: Tensor) -> Tensor:
        """Return x at z."""
        sign = 1.0 if self.upward else -1.0
        return self.edge + sign * self.scale * _softplus(sign * z + self.shift)

    def inverse(self, x: Tensor) -> Tensor:
        """Return z at x."""
        sign = 1.0 if self.upward else -1.0
        height = (sign * (x - self.edge) / self.scale).clamp_min(0.0)
        return sign * (height + torch.log(-torch.expm1(-height)) - self.shift)

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz| at z."""
        sign = 1.0 if self.upward else -1.0
        return math.log(self.scale) + logsigmoid(sign * z + self.shift)


@dataclass(frozen=True)
class Interval:
    """x = low + (high - low) sigmoid(loc + scale z)."""

    low: float
    high: float
    loc: float = 0.0
    scale: float = 1.0

    def forward(self, z: Tensor) -> Tensor:
        """Return x at z."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.loc + self.scale * z)

    def inverse(self, x: Tensor) -> Tensor:
        """Return z at x."""
        below, above = (x - self.low).clamp_min(0.0), (self.high - x).clamp_min(0.0)
        return (torch.log(below) - torch.log(above) - self.loc) / self.scale

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz| at z."""
        y = self.loc + self.scale * z
        return math.log((self.high - self.low) * self.scale) + logsigmoid(y) + logsigmoid(-y)


@dataclass(frozen=True)
class Plateau:
    r"""Nearly linear inside an interval, exponential within a width eps of its edges.

    .. math:: x = l + (h - l)\,\epsilon\,[\mathrm{softplus}(t / \epsilon) - \mathrm{softplus}((t - 1) / \epsilon)],
        \qquad t = 1/2 + s z

    A uniform prior becomes a smooth plateau in z, so a posterior that is Gaussian inside the interval, and Gaussian
    jointly with other parameters, stays so; a logistic map bends both everywhere.

    Parameters
    ----------
    low, high : edges
    width : eps, as a share of the interval
    scale : s
    """

    low: float
    high: float
    width: float = 0.1
    scale: float = 0.3

    def arms(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return t / eps and (1 - t) / eps."""
        t = 0.5 + self.scale * z
        return t / self.width, (1.0 - t) / self.width

    def forward(self, z: Tensor) -> Tensor:
        """Return x at z."""
        below, above = self.arms(z)
        # from the nearer edge, so that neither loses its last digits
        from_low = self.width * (_softplus(below) - _softplus(-above))
        from_high = self.width * (_softplus(above) - _softplus(-below))
        span = self.high - self.low
        return torch.where(z < 0, self.low + span * from_low, self.high - span * from_high)

    def inverse(self, x: Tensor) -> Tensor:
        """Return z at x."""
        span = (self.high - self.low) * self.width
        below, above = ((x - self.low) / span).clamp_min(0.0), ((self.high - x) / span).clamp_min(0.0)
        rise = below + torch.log(-torch.expm1(-below)) - torch.log(-torch.expm1(-above))
        return (self.width * rise - 0.5) / self.scale

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz| at z."""
        return math.log((self.high - self.low) * self.scale) + self.log_share(z)

    def log_share(self, z: Tensor) -> Tensor:
        """Return the log density of t when x is uniform."""
        below, above = self.arms(z)
        return logsigmoid(below) + logsigmoid(above) + math.log(-math.expm1(-1.0 / self.width))


def _softplus(y: Tensor) -> Tensor:
    # not torch's softplus, which turns linear above a threshold and so is not exactly invertible there
    return -logsigmoid(-y)
