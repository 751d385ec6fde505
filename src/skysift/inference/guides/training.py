"""Training a guide: warm-up, a plateau, then decay; networks by Adam, frames by natural gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.guides.adam import Adam

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from skysift.inference.guides.base import Climb, Guide

__all__ = ["Plan", "Trained", "train"]

WARM_UP = 20
LEAST_RATE = 0.005
LEAST_DECAY = 30
AVERAGE = 0.1  # share of the last steps over which weights are averaged


@dataclass(frozen=True)
class Plan:
    """How to train: ``steps`` at most, ``particles`` per step, ``rate`` of frames, ``lr`` of networks.

    A plateau is reached when the means of three successive windows of ``window`` steps differ by less than the larger
    of ``tolerance`` nats and two Monte Carlo errors. From there, or from two thirds of the way, all rates fall to zero
    along a cosine: noise, not distance, is what keeps the ELBO down by then. ``clip`` bounds the gradient norm of the
    networks, ``limit`` a natural-gradient step.
    """

    steps: int
    particles: int
    rate: float
    lr: float
    window: int = 25
    tolerance: float = 0.02
    clip: float = 5.0
    limit: float = 1.0


@dataclass
class Trained:
    """What training saw: the ELBO of each step and its Monte Carlo error."""

    elbo: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, state: Tensor) -> Trained:
        """Return what `state` was made of."""
        return cls(state[0].tolist(), state[1].tolist())

    def state(self) -> Tensor:
        """Return ELBO and error as rows, (2, steps)."""
        return torch.tensor([self.elbo, self.error], dtype=torch.float64)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.elbo)

    def mean(self, begin: int, end: int) -> tuple[float, float]:
        """Return the mean ELBO of some steps, and its Monte Carlo error."""
        count = max(end - begin, 1)
        error = math.sqrt(sum(one * one for one in self.error[begin:end])) / count
        return sum(self.elbo[begin:end]) / count, error

    def rise(self) -> tuple[float, float]:
        """Return by how much the last tenth of the steps lies above the tenth before, and the error of that."""
        part = max(self.steps // 10, 1)
        (last, error), (before, other) = (
            self.mean(self.steps - part, self.steps),
            self.mean(self.steps - 2 * part, self.steps - part),
        )
        return last - before, math.hypot(error, other)


def train(
    guide: Guide,
    pick: Callable[[int], Climb],
    plan: Plan,
    generators: Mapping[str, torch.Generator],
    watch: Callable[[float], None] | None = None,
    checkpoint: Checkpoint = NOWHERE,
) -> Trained:
    """Train a guide in place.

    Parameters
    ----------
    guide : moved to the end of its training
    pick : step number to the target of that step (the same one, or that of a fresh minibatch)
    plan : the schedule
    generators : sources of randomness by name: all ``noise``, and whatever ``pick`` draws from
    watch : told the ELBO of each step
    checkpoint : keeps how far the training is, to go on from
    """
    training = _Training(guide, plan, generators)
    kept = checkpoint.load()
    if kept is not None:
        training.load(kept)
    while training.step < training.end:
        training.advance(pick)
        if watch is not None:
            watch(training.trained.elbo[-1])
        checkpoint.save(training.state)
    guide.load(training.average.mean())
    return training.trained


class _Training:
    """A guide on its way: its optimiser, its schedule, and the average of its last weights."""

    def __init__(self, guide: Guide, plan: Plan, generators: Mapping[str, torch.Generator]) -> None:
        self.guide, self.plan, self.generators = guide, plan, generators
        self.trained, self.average = Trained(), _Average()
        weights = guide.parameters()
        self.optimiser = Adam(weights) if weights else None
        self.step, self.end = 0, plan.steps
        self.hold = self.end - max(self.end // 3, 1)

    def advance(self, pick: Callable[[int], Climb]) -> None:
        """Take one step, and look whether a plateau is reached."""
        guide, plan, hold = self.guide, self.plan, self.hold
        share = 1.0 if self.step < hold else 0.5 * (1.0 + math.cos(math.pi * (self.step - hold) / (self.end - hold)))
        rate = LEAST_RATE + (plan.rate - LEAST_RATE) * share
        noise = guide.noise(plan.particles, self.generators["noise"])
        gap = guide.climb(pick(self.step), noise, rate, plan.limit)
        if self.optimiser is not None:
            self.optimiser.step(plan.lr * min(1.0, (self.step + 1) / WARM_UP) * share, plan.clip)
        _note(self.trained, gap)
        self.step += 1
        if self.step < self.hold and _is_flat(self.trained, plan):
            self.hold, self.end = self.step, min(self.end, self.step + max(self.step // 2, LEAST_DECAY))
        if self.step > self.end - max(1, int(AVERAGE * (self.end - self.hold))):
            self.average.add(guide.state())

    def state(self) -> dict[str, Any]:
        """Return all that the training needs to go on from here."""
        return {
            "step": self.step,
            "end": self.end,
            "hold": self.hold,
            "trained": self.trained.state(),
            "guide": self.guide.state(),
            "memory": self.guide.memory(),
            "optimiser": None if self.optimiser is None else self.optimiser.state(),
            "average": self.average.state(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.step, self.end, self.hold = state["step"], state["end"], state["hold"]
        self.trained = Trained.of(state["trained"])
        self.guide.load(state["guide"])
        self.guide.load_memory(state["memory"])
        if self.optimiser is not None:
            self.optimiser.load(state["optimiser"])
        self.average = _Average(**state["average"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])


def _note(trained: Trained, gap: Tensor) -> None:
    finite = gap[torch.isfinite(gap)]
    trained.elbo.append(float(finite.mean()) if len(finite) else -math.inf)
    trained.error.append(float(finite.std()) / math.sqrt(len(finite)) if len(finite) > 1 else math.inf)


def _is_flat(trained: Trained, plan: Plan) -> bool:
    """Return whether three successive windows agree; looked at once per window, after the warm-up."""
    steps = trained.steps
    if steps % plan.window or steps < WARM_UP + 3 * plan.window:
        return False
    windows = [trained.mean(steps - k * plan.window, steps - (k - 1) * plan.window) for k in (3, 2, 1)]
    means = [mean for mean, _ in windows]
    allowed = max(plan.tolerance, 2.0 * math.sqrt(2.0) * max(error for _, error in windows))
    return max(means) - min(means) < allowed


class _Average:
    """Running mean of states."""

    def __init__(self, count: int = 0, total: dict[str, Tensor] | None = None) -> None:
        self._count = count
        self._sum: dict[str, Tensor] = total or {}

    def state(self) -> dict[str, Any]:
        return {"count": self._count, "total": self._sum}

    def add(self, state: dict[str, Tensor]) -> None:
        self._count += 1
        for name, value in state.items():
            adds = value.is_floating_point() and name in self._sum  # masks and orders stay as they are
            self._sum[name] = self._sum[name] + value if adds else value

    def mean(self) -> dict[str, Tensor]:
        return {name: value / self._count if value.is_floating_point() else value for name, value in self._sum.items()}
