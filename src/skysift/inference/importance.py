"""Importance sampling from the Gaussian at a mode: heavy tails where the posterior may have them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from skysift.inference.engine import Check
from skysift.inference.result import factorise_covariance

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Colour
    from skysift.inference.target import Target
    from skysift.parameters import Parameters

__all__ = ["FREEDOM", "Proposal", "Weighted", "log_student", "weigh"]

FREEDOM = 5.0
#: Draws worth less than this share of their number, or with a heavier tail, are followed by draws from a better place;
#: in many dimensions even those of a Gaussian are worth less, and this share of what those are is enough.
ENOUGH_ESS, ENOUGH_K_HAT, ENOUGH_OF_GAUSSIAN = 0.5, 0.5, 0.7
MOST_ROUNDS = 4


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
            log_q = log_q + log_student(x.square().sum(1), n)
        else:
            log_q = log_q - 0.5 * x.square().sum(1) - 0.5 * n * math.log(2 * math.pi)
        z = self.mode.repeat(count, 1)
        z[:, self.few] += x @ self.first.T
        z[:, self.many] += x @ self.cross.T + rest @ self.second.T
        return z, log_q

    def log_density(self, z: Tensor) -> Tensor:
        """Return the log density of the heavy-tailed proposal at points (n, d), (n,)."""
        away = (z - self.mode).T
        x = torch.linalg.solve_triangular(self.first, away[self.few], upper=False)
        rest = torch.linalg.solve_triangular(self.second, away[self.many] - self.cross @ x, upper=False)
        volume = self.first.diagonal().log().sum() + self.second.diagonal().log().sum()
        density: Tensor = -0.5 * rest.square().sum(0) - 0.5 * len(self.many) * math.log(2 * math.pi) - volume
        return density + log_student(x.square().sum(0), len(self.few)) if len(self.few) else density

    def gaussian_share(self, z: Tensor) -> float:
        """Return what share of draws (n, d) of the heavy-tailed proposal count, if the posterior is the Gaussian."""
        if not len(self.few):
            return 1.0
        x = torch.linalg.solve_triangular(self.first, (z - self.mode).T[self.few], upper=False)
        square = x.square().sum(0)
        weights = torch.softmax(-0.5 * square - log_student(square, len(self.few)), 0)
        return float(1.0 / weights.square().sum()) / len(z)

    def _noise(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, size, generator=generator, dtype=self.mode.dtype, device=self.mode.device)

    def _chi_square(self, count: int, generator: torch.Generator) -> Tensor:
        return self._noise(count, int(FREEDOM), generator).square().sum(1)


def log_student(square: Tensor, n: int) -> Tensor:
    """Return the log density of the standard n-dimensional Student-t at squared radius."""
    constant = math.lgamma(0.5 * (FREEDOM + n)) - math.lgamma(0.5 * FREEDOM) - 0.5 * n * math.log(FREEDOM * math.pi)
    return constant - 0.5 * (FREEDOM + n) * torch.log1p(square / FREEDOM)


def weigh(target: Target, proposal: Proposal, count: int, generator: torch.Generator, rounds: int = 1) -> Weighted:
    r"""Return weighted draws of the target: log Z is the log of the mean weight.

    Where a posterior has tails that a Student-t at its mode misses, as that of a mass whose source is faint, the first
    draws are worth little. Then a Student-t with their weighted mean and covariance follows, and so on; every draw is
    weighed by the mean of all proposals,

    .. math:: w_i = \frac{\pi(z_i)}{\frac1R \sum_r q_r(z_i)}

    Parameters
    ----------
    target : log density
    proposal : the first one
    count : draws of each round
    generator : random numbers
    rounds : at most so many; a proposal with a field has one, its covariance is not for draws to find

    References
    ----------
    Cornuet, Marin, Mira and Robert (2012), Scandinavian Journal of Statistics 39, 798
    """
    from skysift.inference.psis import smooth_weights

    proposals = [proposal]
    z, log_q = proposal.draw(count, generator)
    density = target.log_density(z)
    smoothed = smooth_weights(density - log_q)
    # fitted to draws that count for little, the next place is worse than the first, and log Z low
    enough = min(ENOUGH_ESS, ENOUGH_OF_GAUSSIAN * proposal.gaussian_share(z))
    for _ in range(0 if len(proposal.many) else rounds - 1):
        if smoothed.ess >= enough * len(z) and smoothed.k_hat < ENOUGH_K_HAT:
            break
        proposals.append(_follow(z, smoothed.log_weights, proposal))
        drawn, _ = proposals[-1].draw(count, generator)
        z, density = torch.cat([z, drawn]), torch.cat([density, target.log_density(drawn)])
        log_q = torch.stack([one.log_density(z) for one in proposals]).logsumexp(0) - math.log(len(proposals))
        smoothed = smooth_weights(density - log_q)
    return Weighted(
        z,
        density - log_q,
        smoothed.log_mean,
        smoothed.log_mean_error,
        smoothed.k_hat,
        smoothed.ess / len(z),
        smoothed.largest,
    )


def _follow(z: Tensor, log_weights: Tensor, before: Proposal) -> Proposal:
    """Return the proposal with the weighted mean and covariance of draws (n, d), all of them few."""
    weights = log_weights.exp()
    return Proposal(weights @ z, before.few, before.many, factorise_covariance(z, weights), before.cross, before.second)
