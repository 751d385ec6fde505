"""Density profiles of the Galaxy's dark matter, every parameter live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from skysift.errors import InputError

__all__ = ["Burkert", "Einasto", "GeneralisedNfw", "Moore", "Nfw", "Profile", "check_slope", "is_batch", "lift"]

Value = float | Tensor


class Profile(Protocol):
    """What line-of-sight integrals need to know; parameters are numbers or tensors (batch,)."""

    @property
    def distance_kpc(self) -> Value:
        """Distance of the centre, kpc."""

    @property
    def core_kpc(self) -> Value | None:
        """Radius within which the density is constant, kpc."""

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""

    def density(self, radius_kpc: Tensor) -> Tensor:
        """Return the density, GeV cm-3, at radii whose leading axes are those of the parameters."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Halo:
    r"""Local normalisation and core, which all profiles share.

    .. math:: \rho(r) = \rho_\odot\, S(\max(r, r_c) / r_s) / S(R / r_s)

    Parameters
    ----------
    scale_kpc : r_s
    local_density_gev_cm3 : rho at the Sun
    distance_kpc : R, of the Sun from the centre
    core_kpc : r_c, None without a core

    Each a number, or a tensor (batch,) that may ask for gradients.
    """

    scale_kpc: Value
    local_density_gev_cm3: Value = 0.39
    distance_kpc: Value = 8.33
    core_kpc: Value | None = None

    def density(self, radius_kpc: Tensor) -> Tensor:
        """Return the density, GeV cm-3, at radii (...) or, with parameters (batch,), (batch or 1, ...)."""
        radius = torch.as_tensor(radius_kpc, dtype=torch.float64)
        if self.core_kpc is not None:
            radius = torch.maximum(radius, lift(self.core_kpc, radius.ndim))
        scale, local, sun = (
            lift(value, radius.ndim) for value in (self.scale_kpc, self.local_density_gev_cm3, self.distance_kpc)
        )
        # as many axes as the radii, so that a batch of slopes meets its own axis also where R and r_s are numbers
        here = sun / scale
        here = here if here.ndim else here.reshape((1,) * radius.ndim)
        return local * (self._shape(radius / scale) / self._shape(here))

    def _shape(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def lift(value: Value, ndim: int) -> Tensor:
    """Return a parameter with axes appended, to meet arrays of ``ndim`` axes whose first is the batch."""
    tensor = torch.as_tensor(value, dtype=torch.float64)
    return tensor.reshape(*tensor.shape, *(1,) * (ndim - tensor.ndim)) if tensor.ndim else tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneralisedNfw(_Halo):
    r"""Generalised Navarro-Frenk-White: :math:`S = x^{-\gamma} (1 + x^\alpha)^{(\gamma - \beta) / \alpha}`."""

    gamma: Value = 1.0
    alpha: Value = 1.0
    beta: Value = 3.0
    scale_kpc: Value = 24.42

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""
        return self.gamma

    def _shape(self, x: Tensor) -> Tensor:
        gamma, alpha, beta = (lift(value, x.ndim) for value in (self.gamma, self.alpha, self.beta))
        # logarithms are taken once and differentiated cheaply: powers take three times as long
        log_x = x.log()
        return (((gamma - beta) / alpha) * (alpha * log_x).exp().log1p() - gamma * log_x).exp()


@dataclass(frozen=True, eq=False, kw_only=True)
class Nfw(_Halo):
    r"""Navarro-Frenk-White: :math:`S = x^{-1} (1 + x)^{-2}` (1996, ApJ 462, 563)."""

    scale_kpc: Value = 24.42

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""
        return 1.0

    def _shape(self, x: Tensor) -> Tensor:
        return 1 / (x * (1 + x) ** 2)


@dataclass(frozen=True, eq=False, kw_only=True)
class Einasto(_Halo):
    r"""Einasto: :math:`S = \exp(-\tfrac{2}{\alpha} (x^\alpha - 1))`."""

    alpha: Value = 0.17
    scale_kpc: Value = 28.44

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""
        return 0.0

    def _shape(self, x: Tensor) -> Tensor:
        alpha = lift(self.alpha, x.ndim)
        return (-2 / alpha * (x**alpha - 1)).exp()


@dataclass(frozen=True, eq=False, kw_only=True)
class Burkert(_Halo):
    r"""Burkert: :math:`S = (1 + x)^{-1} (1 + x^2)^{-1}` (1995, ApJ 447, L25)."""

    scale_kpc: Value = 12.67

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""
        return 0.0

    def _shape(self, x: Tensor) -> Tensor:
        return 1 / ((1 + x) * (1 + x**2))


@dataclass(frozen=True, eq=False, kw_only=True)
class Moore(_Halo):
    r"""Moore, with the slope found later: :math:`S = x^{-1.16} (1 + x)^{-1.84}` (Diemand et al. 2004)."""

    scale_kpc: Value = 30.28

    @property
    def inner_slope(self) -> Value:
        """Gamma of rho ~ r^-gamma at the centre, without the core."""
        return 1.16

    def _shape(self, x: Tensor) -> Tensor:
        return x ** (-1.16) * (1 + x) ** (-1.84)


def is_batch(profile: Profile) -> bool:
    """Tell whether any parameter is a batch."""
    return any(isinstance(value, Tensor) and value.ndim > 0 for value in vars(profile).values())


def check_slope(profile: Profile, limit: float) -> None:
    """Refuse a cusp whose integral over a pixel diverges.

    Raises
    ------
    InputError : an inner slope of ``limit`` or more, and no core
    """
    steepest = float(torch.as_tensor(profile.inner_slope).detach().max())
    if steepest >= limit and profile.core_kpc is None:
        raise InputError(
            "dark matter profile", "gamma", f"{steepest:g}", f"an inner slope below {limit:g}: the integral diverges",
            "lower gamma, or give a core",
        )  # fmt: skip
