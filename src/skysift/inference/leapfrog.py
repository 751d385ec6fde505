"""Hamiltonian trajectories of many chains in one batch, and the search for their step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.target import Target

__all__ = ["Chains", "StepSearch", "Transition", "Whitening", "place_chains", "recentre", "transit"]

DIVERGENCE = 1000.0
# one chain of 32 in a bad place must not set the step of all
FLOOR = 0.1


@dataclass(frozen=True)
class Whitening:
    """z = centre + factor w: chains walk in w, where the posterior is close to N(0, 1)."""

    centre: Tensor
    factor: Tensor

    def to_z(self, w: Tensor) -> Tensor:
        """Return z of w, (..., d)."""
        return self.centre + w @ self.factor.T

    def to_w(self, z: Tensor) -> Tensor:
        """Return w of z, (batch, d)."""
        w: Tensor = torch.linalg.solve_triangular(self.factor, (z - self.centre).T, upper=False).T
        return w


class Chains(NamedTuple):
    """Where all chains stand: w (chain, d), log density (chain,), its gradient in w (chain, d)."""

    w: Tensor
    log_density: Tensor
    gradient: Tensor


class Transition(NamedTuple):
    """What one transition did: acceptance probability, whether it diverged, and energy, each (chain,)."""

    acceptance: Tensor
    is_divergent: Tensor
    energy: Tensor


def place_chains(target: Target, whitening: Whitening, w: Tensor) -> Chains:
    """Return chains at w, (chain, d)."""
    density, gradient = target.log_density_and_gradient(whitening.to_z(w))
    return Chains(w, density, gradient @ whitening.factor)


def recentre(chains: Chains, old: Whitening, new: Whitening) -> Chains:
    """Return the same chains in other coordinates."""
    w = new.to_w(old.to_z(chains.w))
    slope = torch.linalg.solve_triangular(old.factor.T, chains.gradient.T, upper=True)
    return Chains(w, chains.log_density, slope.T @ new.factor)


def transit(
    target: Target, whitening: Whitening, chains: Chains, step: float, count: int, generator: torch.Generator
) -> tuple[Chains, Transition]:
    """Move every chain along one trajectory of ``count`` leapfrogs of length ``step``, and accept or stay.

    Where the density is not finite its gradient counts as zero: the map still preserves volume and can be reversed,
    and no trajectory that ends there is accepted.
    """
    momentum = torch.randn(chains.w.shape, generator=generator, dtype=chains.w.dtype, device=chains.w.device)
    energy = 0.5 * (momentum**2).sum(-1) - chains.log_density
    moved, speed = chains, momentum
    for _ in range(count):
        speed = speed + 0.5 * step * moved.gradient
        moved = place_chains(target, whitening, moved.w + step * speed)
        speed = speed + 0.5 * step * moved.gradient
    error = 0.5 * (speed**2).sum(-1) - moved.log_density - energy
    acceptance = torch.exp(-torch.nan_to_num(error, nan=torch.inf).clamp_min(0.0))
    dice = torch.rand(acceptance.shape, generator=generator, dtype=acceptance.dtype, device=acceptance.device)
    accepted = dice < acceptance
    kept = Chains(
        torch.where(accepted[:, None], moved.w, chains.w),
        torch.where(accepted, moved.log_density, chains.log_density),
        torch.where(accepted[:, None], moved.gradient, chains.gradient),
    )
    return kept, Transition(acceptance, ~(error < DIVERGENCE), energy)


class StepSearch:
    """Dual averaging of the logarithm of a step common to all chains, on their harmonic mean acceptance.

    References
    ----------
    Hoffman & Gelman 2014, Journal of Machine Learning Research 15, 1593, eq. 6; Hoffman, Radul & Sountsov 2021,
    AISTATS (harmonic mean)
    """

    def __init__(self, step: float, wanted: float) -> None:
        self.step = step
        self.wanted = wanted
        self._anchor = math.log(2.0 * step)
        self._mean_error = 0.0
        self._mean_log = math.log(step)
        self._count = 0

    @property
    def settled(self) -> float:
        """The averaged step, for use once the search is over."""
        return math.exp(self._mean_log)

    def state(self) -> dict[str, float]:
        """Return all that the search needs to go on from here."""
        return dict(vars(self))

    def load(self, state: dict[str, float]) -> None:
        """Take over what `state` returned."""
        vars(self).update(state)

    def update(self, acceptance: Tensor) -> None:
        """Take in the acceptance probabilities of one transition, (chain,)."""
        self._count += 1
        harmonic = float(1.0 / (1.0 / acceptance.clamp_min(FLOOR)).mean())
        self._mean_error += (self.wanted - harmonic - self._mean_error) / (self._count + 10.0)
        log_step = self._anchor - math.sqrt(self._count) / 0.05 * self._mean_error
        share = self._count**-0.75
        self._mean_log = share * log_step + (1.0 - share) * self._mean_log
        self.step = math.exp(log_step)
