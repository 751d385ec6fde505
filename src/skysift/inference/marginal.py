"""The marginal likelihood of one parameter on a fine grid, joined from profiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skysift.inference.hyper import Quadrature
    from skysift.inference.profiles import Profile
    from skysift.parameters.priors import Prior

__all__ = ["Marginal", "join_profiles"]

FINE = 4001
#: values so many nats below the peak say nothing about it, and bend a spline that has to reach them
DEPTH = 30.0


@dataclass(frozen=True)
class Marginal:
    r"""Marginal likelihood :math:`\ln L(a)` of one parameter, its own prior left out, on a fine grid.

    ``grid`` (n,), ``log_likelihood`` (n,), and ``shares`` (nodes, n): the part of each hyper-parameter node in it.
    """

    grid: np.ndarray
    log_likelihood: np.ndarray
    shares: np.ndarray

    @property
    def step(self) -> float:
        """Spacing of the grid."""
        return float(self.grid[1] - self.grid[0])

    def moments(self) -> tuple[float, float, float]:
        """Return peak, mean and standard deviation of the normalised marginal likelihood."""
        density = np.exp(self.log_likelihood - self.log_likelihood.max())
        density /= density.sum()
        mean = float(density @ self.grid)
        return float(self.grid[self.log_likelihood.argmax()]), mean, float(math.sqrt(density @ (self.grid - mean) ** 2))

    def log_posterior(self, prior: Prior) -> np.ndarray:
        """Return the unnormalised log posterior on the grid."""
        density: np.ndarray = self.log_likelihood + prior.log_density(torch.as_tensor(self.grid)).numpy()
        return density


def join_profiles(quadrature: Quadrature, profiles: Sequence[Profile]) -> tuple[Marginal, float]:
    """Return the marginal likelihood over all nodes on one fine grid, normalised to peak zero, and its offset."""
    from scipy.interpolate import CubicSpline

    low = min(profile.at[0] for profile in profiles)
    high = max(profile.at[-1] for profile in profiles)
    grid = np.linspace(low, high, FINE)
    rows = []
    for node, profile in zip(quadrature.nodes, profiles, strict=True):
        at, log_likelihood = _leave_out_depths(profile)
        spline = CubicSpline(at, log_likelihood, extrapolate=True)
        inside = np.clip(grid, at[0], at[-1])
        # beyond the climbed values: the edge's slope, which is falling there
        edge = np.where(grid < inside, spline(at[0], 1), spline(at[-1], 1))
        rows.append(node.log_weight - node.log_z + quadrature.log_z + spline(inside) + edge * (grid - inside))
    table = np.stack(rows)
    total = np.logaddexp.reduce(table, axis=0)
    peak = float(total.max())
    return Marginal(grid, total - peak, np.exp(table - total)), peak


def _leave_out_depths(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Return the values around the peak and their log likelihoods, without those far below it at either end."""
    near = np.flatnonzero(profile.log_likelihood > profile.log_likelihood.max() - DEPTH)
    # a spline needs four
    first, last = near[0], max(near[-1] + 1, near[0] + 4)
    first = max(0, min(first, len(profile.at) - 4))
    return profile.at[first:last], profile.log_likelihood[first:last]
