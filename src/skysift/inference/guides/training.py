"""Training a guide: warm-up, a plateau, then decay; networks by Adam, frames by natural gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.inference.guides.base import Climb, Guide

__all__ = ["Plan", "Trained", "train"]

WINDOW = 25
WARM_UP = 20
LEAST_RATE = 0.005
AVERAGE = 0.1  # share of the last steps over which weights are averaged


@dataclass(frozen=True)
class Plan:
    """How to train: ``steps`` at most, ``particles`` per step, ``rate`` of frames, ``lr`` of networks.

    A plateau is reached when the means of three successive windows of 25 steps differ by less than the larger of
    ``tolerance`` nats and two Monte Carlo errors; the last third of the steps then lets all rates fall to zero along
    a cosine. ``clip`` bounds the gradient norm of the networks, ``limit`` a natural-gradient step.
    """

    steps: int
    particles: int
    rate: float
    lr: float
    frame_steps: int = 0
    tolerance: float = 0.02
    clip: float = 5.0
    limit: float = 1.0


@dataclass
class Trained:
    """What training saw: the ELBO of each step, steps until the plateau (or None) and in all."""

    elbo: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    plateau: int | None = None

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.elbo)


def train(guide: Guide, pick: Callable[[int], Climb], plan: Plan, generator: torch.Generator) -> Trained:
    """Train a guide in place.

    Parameters
    ----------
    guide : moved to the end of its training
    pick : step number to the target of that step (the same one, or that of a fresh minibatch)
    plan : the schedule
    generator : source of all noise
    """
    trained = Trained()
    weights = guide.parameters()
    optimiser = torch.optim.Adam(weights, lr=plan.lr, betas=(0.9, 0.99)) if weights else None
    decay = max(plan.steps // 3, 1)
    end, hold, step = plan.steps, plan.steps - decay, 0
    average = _Average()
    while step < end:
        share = 1.0 if step < hold else 0.5 * (1.0 + math.cos(math.pi * (step - hold) / (end - hold)))
        rate = LEAST_RATE + (plan.rate - LEAST_RATE) * share
        gap = guide.climb(pick(step), guide.noise(plan.particles, generator), rate, plan.limit)
        if optimiser is not None and step >= plan.frame_steps:
            torch.nn.utils.clip_grad_norm_(weights, plan.clip)
            warm = min(1.0, (step - plan.frame_steps + 1) / WARM_UP)
            optimiser.param_groups[0]["lr"] = plan.lr * warm * share
            optimiser.step()
        _note(trained, gap)
        step += 1
        if step < hold and _is_flat(trained, plan):
            trained.plateau, hold, end = step, step, step + decay
        if step > end - max(1, int(AVERAGE * decay)):
            average.add(guide.state())
    guide.load(average.mean())
    return trained


def _note(trained: Trained, gap: Tensor) -> None:
    finite = gap[torch.isfinite(gap)]
    trained.elbo.append(float(finite.mean()) if len(finite) else -math.inf)
    trained.error.append(float(finite.std()) / math.sqrt(len(finite)) if len(finite) > 1 else math.inf)


def _is_flat(trained: Trained, plan: Plan) -> bool:
    """Return whether three successive windows agree; looked at once per window, after the warm-up."""
    steps = trained.steps
    if steps % WINDOW or steps < plan.frame_steps + WARM_UP + 3 * WINDOW:
        return False
    parts = [slice(steps - k * WINDOW, steps - (k - 1) * WINDOW) for k in (3, 2, 1)]
    means = [sum(trained.elbo[part]) / WINDOW for part in parts]
    errors = [math.sqrt(sum(e * e for e in trained.error[part])) / WINDOW for part in parts]
    allowed = max(plan.tolerance, 2.0 * math.sqrt(2.0) * max(errors))
    return max(means) - min(means) < allowed


class _Average:
    """Running mean of states."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: dict[str, Tensor] = {}

    def add(self, state: dict[str, Tensor]) -> None:
        self._count += 1
        for name, value in state.items():
            adds = value.is_floating_point() and name in self._sum  # masks and orders stay as they are
            self._sum[name] = self._sum[name] + value if adds else value

    def mean(self) -> dict[str, Tensor]:
        return {name: value / self._count if value.is_floating_point() else value for name, value in self._sum.items()}
