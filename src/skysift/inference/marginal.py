"""The marginal likelihood of one parameter on a fine grid, joined from profiles, and draws from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Stream
    from skysift.inference.hyper import Quadrature
    from skysift.inference.profiles import Profile
    from skysift.parameters.priors import Prior

__all__ = ["Marginal", "draw_from", "join_profiles"]

FINE = 4001
FARTHEST = 30.0


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
        spline = CubicSpline(profile.at, profile.log_likelihood, extrapolate=True)
        inside = np.clip(grid, profile.at[0], profile.at[-1])
        # beyond the climbed values: the edge's slope, which is falling there
        edge = np.where(grid < inside, spline(profile.at[0], 1), spline(profile.at[-1], 1))
        rows.append(node.log_weight - node.log_z + quadrature.log_z + spline(inside) + edge * (grid - inside))
    table = np.stack(rows)
    total = np.logaddexp.reduce(table, axis=0)
    peak = float(total.max())
    return Marginal(grid, total - peak, np.exp(table - total)), peak


def draw_from(
    model: Model,
    name: str,
    marginal: Marginal,
    log_density: np.ndarray,
    profiles: Sequence[Profile],
    count: int,
    stream: Stream,
    *,
    physical: bool = False,
) -> tuple[Tensor, Tensor]:
    """Draw the parameter from a density on the grid and the rest given it.

    ``physical`` leaves the parameter's physical value in its place in z, for values outside the prior's support.
    """
    from scipy.interpolate import interp1d

    random = stream.numpy("grid-draws", "flat" if physical else "posterior")
    density = np.exp(log_density - log_density.max())
    edges = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    position = np.interp((np.arange(count) + random.random(count)) / count, edges, np.arange(len(edges)))
    values = np.clip(marginal.grid[0] + (position - 0.5) * marginal.step, marginal.grid[0], marginal.grid[-1])
    nearest = np.clip(np.rint((values - marginal.grid[0]) / marginal.step).astype(int), 0, len(marginal.grid) - 1)
    pick = (marginal.shares[:, nearest].cumsum(0) < random.random(count)).sum(0).clip(max=len(profiles) - 1)
    place = model.parameters.slices[name].start
    rest = torch.ones(model.parameters.size, dtype=torch.bool)
    rest[place] = False
    z = torch.empty(count, model.parameters.size, dtype=torch.float64)
    column = torch.as_tensor(values)
    # a draw on the very edge of the support would be infinitely far out
    z[:, place] = column if physical else model.parameters[name].prior.to_z(column).clamp(-FARTHEST, FARTHEST)
    generator = stream.generator("grid-rest", "flat" if physical else "posterior")
    for k, profile in enumerate(profiles):
        mine = np.flatnonzero(pick == k)
        if not len(mine) or not bool(rest.any()):
            continue
        centres = interp1d(
            profile.at, profile.centres.cpu().numpy(), axis=0, bounds_error=False, fill_value="extrapolate"
        )
        noise = torch.randn(len(mine), int(rest.sum()), generator=generator, dtype=torch.float64, device=stream.device)
        drawn = torch.as_tensor(centres(values[mine])) + (noise @ profile.factor.T).cpu()
        block = torch.empty(len(mine), model.parameters.size, dtype=torch.float64)
        block[:, rest] = drawn
        block[:, place] = z[mine, place]
        z[mine] = block
    order = torch.as_tensor(random.permutation(count))
    return z[order], torch.as_tensor(pick)[order]
