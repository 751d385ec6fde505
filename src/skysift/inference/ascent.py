"""First-order climbs of many points at once: Adam, and quasi-Newton in whitened coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.target import Target

__all__ = ["climb_adam", "climb_quasi_newton"]

MEMORY = 8
RETREAT = 0.3


def climb_adam(target: Target, z: Tensor, steps: int, lr: float = 0.03) -> tuple[Tensor, Tensor]:
    """Climb from every row of z, (batch, d), by Adam with the rate falling from ``lr`` to a tenth of it.

    The loss is the sum over rows: Adam's scale is each coordinate's own, so the rows do not couple.

    Returns
    -------
    the best point of each row (batch, d), and its log density (batch,)
    """
    z = z.clone()
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    best, best_density = z.clone(), torch.full_like(z[:, 0], -torch.inf)
    for step in range(1, steps + 1):
        density, gradient = target.log_density_and_gradient(z)
        better = density > best_density
        best[better], best_density[better] = z[better], density[better]
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = lr * math.exp(-math.log(10.0) * (step - 1) / max(1, steps - 1))
        z = z + rate * (mean / (1.0 - 0.9**step)) / ((square / (1.0 - 0.999**step)).sqrt() + 1e-12)
    density = target.log_density(z)
    better = density > best_density
    return torch.where(better[:, None], z, best), torch.where(better, density, best_density)


def climb_quasi_newton(
    target: Target, z: Tensor, centre: Tensor, factor: Tensor, steps: int = 60, tolerance: float = 1e-2
) -> tuple[Tensor, Tensor, Tensor]:
    """Climb from every row of z by limited-memory BFGS in whitened w, where z = centre + factor w.

    Each row has its own step length and memory, and leaves the batch when its squared gradient in w (twice the gain
    still to be had, near an optimum of about that covariance) is below ``tolerance``.

    Parameters
    ----------
    target : the target
    z : (batch, d) starts, all of finite log density
    centre : (d,)
    factor : (d, d) lower-triangular

    Returns
    -------
    points (batch, d), their log density (batch,), their squared gradient in w (batch,)

    References
    ----------
    Nocedal 1980, Mathematics of Computation 35, 773
    """
    w = torch.linalg.solve_triangular(factor, (z - centre).T, upper=False).T
    density, gradient = _evaluate(target, w, centre, factor)
    memory = _Memory(w)
    length = 1.0 / gradient.norm(dim=-1).clamp_min(1.0)
    for _ in range(steps):
        active = ((gradient**2).sum(-1) > tolerance) & (length > 1e-10)
        rows = active.nonzero()[:, 0]
        if not len(rows):
            break
        direction = memory.direct(gradient, rows)
        trial = w[rows] + length[rows, None] * direction
        value, slope = _evaluate(target, trial, centre, factor)
        wanted = 1e-4 * length[rows] * (direction * gradient[rows]).sum(-1)
        # a gain below rounding counts: it is how a climb ends
        accepted = value >= density[rows] + wanted - 1e-12 * density[rows].abs()
        moved = rows[accepted]
        memory.store(moved, trial[accepted] - w[moved], gradient[moved] - slope[accepted])
        w[moved], density[moved], gradient[moved] = trial[accepted], value[accepted], slope[accepted]
        length[moved] = 1.0
        length[rows[~accepted]] *= RETREAT
    return centre + w @ factor.T, density, (gradient**2).sum(-1)


def _evaluate(target: Target, w: Tensor, centre: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    density, gradient = target.log_density_and_gradient(centre + w @ factor.T)
    return density, gradient @ factor


class _Memory:
    """Steps and gradient changes of each row; pairs of weight zero do nothing."""

    def __init__(self, w: Tensor) -> None:
        self.steps = w.new_zeros(MEMORY, *w.shape)
        self.changes = w.new_zeros(MEMORY, *w.shape)
        self.weights = w.new_zeros(MEMORY, w.shape[0])
        self.scale = w.new_ones(w.shape[0])

    def store(self, rows: Tensor, step: Tensor, change: Tensor) -> None:
        """Remember one pair per row, the newest last; drops pairs of wrong curvature."""
        product = (step * change).sum(-1)
        good = product > 1e-10 * (change**2).sum(-1)
        rows, step, change, product = rows[good], step[good], change[good], product[good]
        for kept in (self.steps, self.changes, self.weights):
            kept[:-1, rows] = kept[1:, rows]
        self.steps[-1, rows], self.changes[-1, rows], self.weights[-1, rows] = step, change, 1.0 / product
        self.scale[rows] = product / (change**2).sum(-1)

    def direct(self, gradient: Tensor, rows: Tensor) -> Tensor:
        """Return the uphill direction of each row by the two-loop recursion."""
        direction, shares = gradient[rows], []
        steps, changes, weights = self.steps[:, rows], self.changes[:, rows], self.weights[:, rows]
        for k in reversed(range(MEMORY)):
            share = weights[k] * (steps[k] * direction).sum(-1)
            shares.append(share)
            direction = direction - share[:, None] * changes[k]
        direction = self.scale[rows, None] * direction
        for k in range(MEMORY):
            back = weights[k] * (changes[k] * direction).sum(-1)
            direction = direction + (shares[MEMORY - 1 - k] - back)[:, None] * steps[k]
        return direction
