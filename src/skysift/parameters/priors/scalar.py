"""Priors of single numbers: normal, log-normal, uniform, log-uniform, angles and whitened Gaussian processes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch

from skysift.errors import InputError
from skysift.parameters.bijections import Affine, Bijection, HalfLine, Interval, Plateau
from skysift.parameters.priors.base import LOG_SQRT_2PI, Derivatives, ScalarPrior, clip_cube

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Angle", "LogNormal", "LogUniform", "Normal", "StandardNormal", "Uniform"]


@dataclass(frozen=True)
class StandardNormal(ScalarPrior):
    """N(0, 1), with z the value itself: the whitened vector of a Gaussian process."""

    @property
    def is_gaussian_in_z(self) -> bool:
        """Always."""
        return True

    def from_z(self, z: Tensor) -> Tensor:
        """Identity."""
        return z

    def to_z(self, x: Tensor) -> Tensor:
        """Identity."""
        return x

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(z)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the normalised log density of x."""
        return -0.5 * x**2 - LOG_SQRT_2PI

    def from_cube(self, u: Tensor) -> Tensor:
        """Return the quantile."""
        quantile: Tensor = torch.special.ndtri(clip_cube(u))
        return quantile

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return derivatives at z of the value and of the log density."""
        return Derivatives(torch.ones_like(z), torch.zeros_like(z), -z, torch.ones_like(z))


@dataclass(frozen=True)
class Normal(ScalarPrior):
    """Normal of ``mean`` and ``sd``, optionally cut at ``low`` and ``high`` and normalised there.

    Examples
    --------
    >>> Normal(0.5, 0.1).from_z(torch.tensor([0.0, 1.0]))
    tensor([0.5000, 0.6000])
    >>> bool(Normal(0.0, 1.0, low=0.0).from_z(torch.tensor(-20.0)) > 0)
    True
    """

    mean: float
    sd: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, math.isfinite(self.mean) and self.sd > 0 and math.isfinite(self.sd), "a finite mean and sd > 0")
        _check(self, self.low is None or self.high is None or self.low < self.high, "low < high")
        _check(self, self._mass > 1e-290, "limits less than 36 sd away from the mean")

    @property
    def is_gaussian_in_z(self) -> bool:
        """Whether it is not cut."""
        return self.low is None and self.high is None

    @cached_property
    def _edges(self) -> tuple[float, float]:
        low = -math.inf if self.low is None else (self.low - self.mean) / self.sd
        high = math.inf if self.high is None else (self.high - self.mean) / self.sd
        return low, high

    @cached_property
    def _tails(self) -> tuple[float, float, float]:
        # (sign, Phi of the lower edge, Phi of the upper edge), mirrored when both lie above the mean
        low, high = self._edges
        if low > 0:
            return -1.0, _phi(-high), _phi(-low)
        return 1.0, _phi(low), _phi(high)

    @property
    def _mass(self) -> float:
        return self._tails[2] - self._tails[1]

    @cached_property
    def _bijection(self) -> Bijection:
        if self.low is None and self.high is None:
            return Affine(self.mean, self.sd)
        median = float(self._quantile(torch.tensor(0.5, dtype=torch.float64)))
        if self.low is not None and self.high is not None:
            share = (median - self.low) / (self.high - self.low)
            scale = self.sd / ((self.high - self.low) * share * (1.0 - share))
            return Interval(self.low, self.high, math.log(share) - math.log1p(-share), min(1.0, scale))
        edge = self.low if self.low is not None else self.high
        assert edge is not None  # noqa: S101 - narrows the type
        height = abs(median - edge) / self.sd
        return HalfLine(edge, self.sd, height + math.log(-math.expm1(-height)), self.low is not None)

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
        """Return the normalised log density of x."""
        constant = LOG_SQRT_2PI + math.log(self.sd) + math.log(self._mass)
        return _within(x, self.low, self.high, -0.5 * ((x - self.mean) / self.sd) ** 2 - constant)

    def from_cube(self, u: Tensor) -> Tensor:
        """Return the quantile."""
        return self._quantile(clip_cube(u)).clamp(self.low, self.high) if self._cut else self._quantile(clip_cube(u))

    @property
    def _cut(self) -> bool:
        return not self.is_gaussian_in_z

    def _quantile(self, u: Tensor) -> Tensor:
        sign, below, above = self._tails
        share = below + u * (above - below) if sign > 0 else above - u * (above - below)
        quantile: Tensor = torch.special.ndtri(share)
        return self.mean + sign * self.sd * quantile

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the normalised log density of z."""
        return super().z_log_density(z) if self._cut else -0.5 * z**2 - LOG_SQRT_2PI

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return derivatives at z of the value and of the log density."""
        if self._cut:
            return super().derivatives(z)
        return Derivatives(torch.full_like(z, self.sd), torch.zeros_like(z), -z, torch.ones_like(z))


@dataclass(frozen=True)
class Uniform(ScalarPrior):
    """Uniform between ``low`` and ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high, "finite low < high")

    @cached_property
    def _bijection(self) -> Plateau:
        return Plateau(self.low, self.high)

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
        """Return the normalised log density of x."""
        return _within(x, self.low, self.high, torch.full_like(x, -math.log(self.high - self.low)))

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the log density of z: a plateau with logistic edges."""
        return self._bijection.log_share(z) + math.log(self._bijection.scale)

    def from_cube(self, u: Tensor) -> Tensor:
        """Return the quantile."""
        return self.low + (self.high - self.low) * u

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return derivatives at z of the value and of the log density."""
        below, above = self._bijection.arms(z)
        up, down = torch.sigmoid(below), torch.sigmoid(above)
        rate = self._bijection.scale / self._bijection.width
        slope = torch.exp(self._bijection.log_jacobian(z))
        gradient = rate * ((1.0 - up) - (1.0 - down))
        return Derivatives(slope, slope * gradient, gradient, rate**2 * (up * (1.0 - up) + down * (1.0 - down)))


@dataclass(frozen=True)
class Angle(Uniform):
    """Uniform angle that wraps: samplers that know ``periodic`` may step across the edge.

    The period is ``high - low``: a full turn for directions, half a turn for spin-2 angles such as shear.
    """

    periodic: ClassVar[bool] = True

    low: float = 0.0
    high: float = field(default=2.0 * math.pi)


@dataclass(frozen=True)
class _Exponential(ScalarPrior):
    """exp of a quantity with another prior."""

    @property
    def _log(self) -> ScalarPrior:
        raise NotImplementedError

    @property
    def is_gaussian_in_z(self) -> bool:
        """Whether the logarithm is."""
        return self._log.is_gaussian_in_z

    def from_z(self, z: Tensor) -> Tensor:
        """Return the physical value at z."""
        return torch.exp(self._log.from_z(z))

    def to_z(self, x: Tensor) -> Tensor:
        """Return the unconstrained coordinate of x."""
        return self._log.to_z(torch.log(x.clamp_min(0.0)))

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz|."""
        return self._log.log_jacobian(z) + self._log.from_z(z)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the normalised log density of x."""
        logarithm = torch.log(torch.where(x > 0, x, 1.0))
        return torch.where(x > 0, self._log.log_density(logarithm) - logarithm, -torch.inf)

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the normalised log density of z."""
        return self._log.z_log_density(z)

    def from_cube(self, u: Tensor) -> Tensor:
        """Return the quantile."""
        return torch.exp(self._log.from_cube(u))

    def derivatives(self, z: Tensor) -> Derivatives:
        """Return derivatives at z of the value and of the log density."""
        inner, x = self._log.derivatives(z), self.from_z(z)
        return Derivatives(x * inner.first, x * (inner.first**2 + inner.second), inner.gradient, inner.curvature)


@dataclass(frozen=True)
class LogNormal(_Exponential):
    """Log-normal of ``median``, with ``sd`` that of the natural logarithm; optionally cut at ``low`` and ``high``."""

    median: float
    sd: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, self.median > 0, "median > 0")
        _check(self, self.high is None or self.high > 0, "high > 0")
        _ = self._log

    @cached_property
    def _log(self) -> Normal:
        low = math.log(self.low) if self.low is not None and self.low > 0 else None
        high = math.log(self.high) if self.high is not None else None
        return Normal(math.log(self.median), self.sd, low, high)


@dataclass(frozen=True)
class LogUniform(_Exponential):
    """Uniform in the logarithm, between ``low`` > 0 and ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, 0 < self.low < self.high, "0 < low < high")

    @cached_property
    def _log(self) -> Uniform:
        return Uniform(math.log(self.low), math.log(self.high))


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _within(x: Tensor, low: float | None, high: float | None, log_density: Tensor) -> Tensor:
    if low is not None:
        log_density = torch.where(x >= low, log_density, -torch.inf)
    if high is not None:
        log_density = torch.where(x <= high, log_density, -torch.inf)
    return log_density


def _check(prior: ScalarPrior, is_good: bool, wanted: str) -> None:
    if not is_good:
        raise InputError("prior", type(prior).__name__, prior, wanted, "change the prior's numbers")
