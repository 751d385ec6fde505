"""Importance sampling from the Gaussian at a mode: heavy tails where the posterior may have them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from skysift.inference.engine import Check

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Colour
    from skysift.inference.target import Target
    from skysift.parameters import Parameters

__all__ = ["Proposal", "Weighted", "weigh"]

FREEDOM = 5.0


@dataclass(frozen=True)
class Weighted:
    """Weighted draws (n, d), log weights (n,), and what they say: log Z with error, k-hat, ESS, largest weight."""

    draws: Tensor
    log_weights: Tensor
    log_z: float
    log_z_error: float
    k_hat: float
    ess_fraction: float
    largest: float

    def checks(self) -> list[Check]:
        """Return the checks on the weights: k-hat below 0.5 is green, below 0.7 amber."""
        colour: Colour = "green" if self.k_hat < 0.5 else "amber" if self.k_hat < 0.7 else "red"
        advice = "" if colour == "green" else "trust the answer only if hmc agrees; add an hmc stage"
        return [
            Check("importance k-hat", self.k_hat, "< 0.5, amber to 0.7", colour, advice),
            Check("importance ESS fraction", self.ess_fraction, "reported", "green"),
            Check("largest importance weight", self.largest, "reported", "green"),
        ]


@dataclass(frozen=True)
class Proposal:
    r"""Student-t in the few numbers u, Gaussian in the field v given u, both from one mode and covariance.

    A Student-t over hundreds of whitened field numbers would spend its draws far outside the posterior; over the few
    norms it guards against tails.

    Parameters
    ----------
    mode : (d,)
    few : (n,), places of u in z
    many : (m,), places of v in z
    first : (n, n), lower factor of the covariance of u
    cross : (m, n), v's response to standardised u
    second : (m, m), lower factor of the covariance of v given u
    """

    mode: Tensor
    few: Tensor
    many: Tensor
    first: Tensor
    cross: Tensor
    second: Tensor

    @classmethod
    def at(cls, mode: Tensor, covariance_factor: Tensor, parameters: Parameters) -> Proposal:
        """Return the proposal of a mode (d,) and a covariance factor (d, d)."""
        field = parameters.block_mask("field")
        few, many = (~field).nonzero()[:, 0].to(mode.device), field.nonzero()[:, 0].to(mode.device)
        order = torch.cat([few, many])
        # rows in the new order, made triangular again by the QR of the transpose
        triangle = torch.linalg.qr(covariance_factor[order].T, mode="r").R.T
        lower = triangle * torch.sign(triangle.diagonal())
        n = len(few)
        return cls(mode, few, many, lower[:n, :n], lower[n:, :n], lower[n:, n:])

    def draw(self, count: int, generator: torch.Generator, *, heavy: bool = True) -> tuple[Tensor, Tensor]:
        """Return draws (count, d) and their log densities (count,); Gaussian in u as well unless ``heavy``."""
        n, m = len(self.few), len(self.many)
        x = self._noise(count, n, generator)
        rest = self._noise(count, m, generator)
        log_q = -self.first.diagonal().log().sum() - self.second.diagonal().log().sum()
        log_q = log_q - 0.5 * rest.square().sum(1) - 0.5 * m * math.log(2 * math.pi)
        if heavy and n:
            x = x * (FREEDOM / self._chi_square(count, generator))[:, None].sqrt()
            log_q = log_q + _log_student(x.square().sum(1), n)
        else:
            log_q = log_q - 0.5 * x.square().sum(1) - 0.5 * n * math.log(2 * math.pi)
        z = self.mode.repeat(count, 1)
        z[:, self.few] += x @ self.first.T
        z[:, self.many] += x @ self.cross.T + rest @ self.second.T
        return z, log_q

    def _noise(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, size, generator=generator, dtype=self.mode.dtype, device=self.mode.device)

    def _chi_square(self, count: int, generator: torch.Generator) -> Tensor:
        return self._noise(count, int(FREEDOM), generator).square().sum(1)


def _log_student(square: Tensor, n: int) -> Tensor:
    """Return the log density of the standard n-dimensional Student-t at squared radius."""
    constant = math.lgamma(0.5 * (FREEDOM + n)) - math.lgamma(0.5 * FREEDOM) - 0.5 * n * math.log(FREEDOM * math.pi)
    return constant - 0.5 * (FREEDOM + n) * torch.log1p(square / FREEDOM)


def weigh(target: Target, proposal: Proposal, count: int, generator: torch.Generator) -> Weighted:
    """Return weighted draws of the target: log Z is the log of the mean weight."""
    from skysift.inference.psis import smooth_weights

    z, log_q = proposal.draw(count, generator)
    log_weights = target.log_density(z) - log_q
    smoothed = smooth_weights(log_weights)
    return Weighted(
        z,
        log_weights,
        smoothed.log_mean,
        smoothed.log_mean_error,
        smoothed.k_hat,
        smoothed.ess / count,
        smoothed.largest,
    )
