"""First-order climbs of many points at once: Adam, and quasi-Newton in whitened coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from skysift.inference.checkpoint import NOWHERE, Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.target import Target

__all__ = ["climb_adam", "climb_quasi_newton"]

MEMORY = 8
RETREAT = 0.3
TOLERANCE = 1e-2


def climb_adam(
    target: Target,
    z: Tensor,
    steps: int,
    lr: float = 0.03,
    checkpoint: Checkpoint = NOWHERE,
    lr_end: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Climb from every row of z, (batch, d), by Adam with the rate falling from ``lr`` to ``lr_end``, or to a tenth.

    The loss is the sum over rows: Adam's scale is each coordinate's own, so the rows do not couple. The climb can go on
    from its ``checkpoint``.

    Returns
    -------
    the best point of each row (batch, d), and its log density (batch,)
    """
    state = checkpoint.load() or {
        "step": 0,
        "z": z.clone(),
        "mean": torch.zeros_like(z),
        "square": torch.zeros_like(z),
        "best": z.clone(),
        "best_density": torch.full_like(z[:, 0], -torch.inf),
    }
    while state["step"] < steps:
        state = _step_adam(target, state, steps, (lr, 0.1 * lr if lr_end is None else lr_end))
        checkpoint.save(partial(dict, state))
    z, best, best_density = state["z"], state["best"], state["best_density"]
    density = target.log_density(z)
    better = density > best_density
    return torch.where(better[:, None], z, best), torch.where(better, density, best_density)


def _step_adam(target: Target, state: dict[str, Any], steps: int, rates: tuple[float, float]) -> dict[str, Any]:
    """Return the state after one step of Adam."""
    step, z = state["step"] + 1, state["z"]
    density, gradient = target.log_density_and_gradient(z)
    better = density > state["best_density"]
    mean = 0.9 * state["mean"] + 0.1 * gradient
    square = 0.999 * state["square"] + 0.001 * gradient**2
    rate = rates[0] * math.exp(math.log(rates[1] / rates[0]) * (step - 1) / max(1, steps - 1))
    return {
        "step": step,
        "z": z + rate * (mean / (1.0 - 0.9**step)) / ((square / (1.0 - 0.999**step)).sqrt() + 1e-12),
        "mean": mean,
        "square": square,
        "best": torch.where(better[:, None], z, state["best"]),
        "best_density": torch.where(better, density, state["best_density"]),
    }


def climb_quasi_newton(
    target: Target, z: Tensor, frame: tuple[Tensor, Tensor], steps: int = 60, checkpoint: Checkpoint = NOWHERE
) -> tuple[Tensor, Tensor, Tensor]:
    """Climb from every row of z by limited-memory BFGS in whitened w, where z = centre + factor w.

    Each row has its own step length and memory, and leaves the batch when its squared gradient in w (twice the gain
    still to be had, near an optimum of about that covariance) is below 0.01.

    Parameters
    ----------
    target : the target
    z : (batch, d) starts, all of finite log density
    frame : centre (d,) and lower-triangular factor (d, d)
    steps : at most so many
    checkpoint : where the climb is kept, to go on from

    Returns
    -------
    points (batch, d), their log density (batch,), their squared gradient in w (batch,)

    References
    ----------
    Nocedal 1980, Mathematics of Computation 35, 773
    """
    centre, factor = frame
    kept = checkpoint.load()
    if kept is None:
        w = torch.linalg.solve_triangular(factor, (z - centre).T, upper=False).T
        density, gradient = _evaluate(target, w, centre, factor)
        climbers = _Climbers(0, w, density, gradient, 1.0 / gradient.norm(dim=-1).clamp_min(1.0), *_empty_memory(w))
    else:
        climbers = _Climbers(**kept)
    while climbers.step < steps:
        rows = (((climbers.gradient**2).sum(-1) > TOLERANCE) & (climbers.length > 1e-10)).nonzero()[:, 0]
        if not len(rows):
            break
        climbers.advance(target, rows, centre, factor)
        checkpoint.save(climbers.state)
    return centre + climbers.w @ factor.T, climbers.density, (climbers.gradient**2).sum(-1)


def _evaluate(target: Target, w: Tensor, centre: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    density, gradient = target.log_density_and_gradient(centre + w @ factor.T)
    return density, gradient @ factor


def _empty_memory(w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pairs = w.new_zeros(MEMORY, *w.shape)
    return pairs, pairs.clone(), w.new_zeros(MEMORY, w.shape[0]), w.new_ones(w.shape[0])


@dataclass
class _Climbers:
    """Where all rows stand, how far they dare to step, and their memory.

    ``moves`` and ``changes`` (memory, batch, d): steps and gradient changes of each row, the newest last; pairs of
    weight zero do nothing.
    """

    step: int
    w: Tensor
    density: Tensor
    gradient: Tensor
    length: Tensor
    moves: Tensor
    changes: Tensor
    weights: Tensor
    scale: Tensor

    def state(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(vars(self))

    def advance(self, target: Target, rows: Tensor, centre: Tensor, factor: Tensor) -> None:
        """Let some rows try one step each."""
        self.step += 1
        direction = self._direct(rows)
        trial = self.w[rows] + self.length[rows, None] * direction
        value, slope = _evaluate(target, trial, centre, factor)
        wanted = 1e-4 * self.length[rows] * (direction * self.gradient[rows]).sum(-1)
        # a gain below rounding counts: it is how a climb ends
        accepted = value >= self.density[rows] + wanted - 1e-12 * self.density[rows].abs()
        moved = rows[accepted]
        self._store(moved, trial[accepted] - self.w[moved], self.gradient[moved] - slope[accepted])
        self.w[moved], self.density[moved], self.gradient[moved] = trial[accepted], value[accepted], slope[accepted]
        self.length[moved] = 1.0
        self.length[rows[~accepted]] *= RETREAT

    def _store(self, rows: Tensor, step: Tensor, change: Tensor) -> None:
        """Remember one pair per row; drops pairs of wrong curvature."""
        product = (step * change).sum(-1)
        good = product > 1e-10 * (change**2).sum(-1)
        rows, step, change, product = rows[good], step[good], change[good], product[good]
        for kept in (self.moves, self.changes, self.weights):
            kept[:-1, rows] = kept[1:, rows]
        self.moves[-1, rows], self.changes[-1, rows], self.weights[-1, rows] = step, change, 1.0 / product
        self.scale[rows] = product / (change**2).sum(-1)

    def _direct(self, rows: Tensor) -> Tensor:
        """Return the uphill direction of each row by the two-loop recursion."""
        direction, shares = self.gradient[rows], []
        moves, changes, weights = self.moves[:, rows], self.changes[:, rows], self.weights[:, rows]
        for k in reversed(range(MEMORY)):
            share = weights[k] * (moves[k] * direction).sum(-1)
            shares.append(share)
            direction = direction - share[:, None] * changes[k]
        direction = self.scale[rows, None] * direction
        for k in range(MEMORY):
            back = weights[k] * (changes[k] * direction).sum(-1)
            direction = direction + (shares[MEMORY - 1 - k] - back)[:, None] * moves[k]
        return direction
