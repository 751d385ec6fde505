"""What every guide offers: draws with their density, and one training step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from skysift.inference.guides.summary import Summary
    from skysift.inference.guides.whitening import Whitening

    Climb = Callable[[Tensor], tuple[Tensor, Tensor]]

__all__ = ["Draw", "Guide", "Schedule", "base_density", "normal_noise"]


class Draw(NamedTuple):
    """Draws ``w`` (batch, d) of a guide and their log densities ``log_q`` (batch,)."""

    w: Tensor
    log_q: Tensor


class Schedule(NamedTuple):
    """How a guide likes to be trained.

    ``particles`` per step; most ``steps``; natural-gradient ``rate`` while far from the end; ``pilot``: steps of this
    guide where it is the Gaussian that finds the frame of another one, or chooses between restarts; ``finalists``: how
    many restarts go on from there, the best ones (0: all); ``promise``: the effective share of draws below which longer
    training should help; ``window``: steps over which the ELBO is averaged to see a plateau.
    """

    particles: int
    steps: int
    rate: float
    pilot: int = 0
    finalists: int = 0
    promise: float = 0.0
    window: int = 25


def normal_noise(count: int, size: int, generator: torch.Generator, *, antithetic: bool = True) -> Tensor:
    """Draw standard normal numbers, (count, size); antithetic ones come as the first half and its negative."""
    drawn = (count + 1) // 2 if antithetic else count
    half = torch.randn(drawn, size, generator=generator, dtype=torch.float64, device=generator.device)
    return torch.cat([half, -half])[:count] if antithetic else half


def base_density(noise: Tensor) -> Tensor:
    """Return the log density of standard normal numbers, (batch, d) to (batch,)."""
    return -0.5 * noise.square().sum(1) - 0.5 * noise.shape[1] * math.log(2.0 * math.pi)


class Guide(ABC):
    """A family of densities over whitened w, drawn by turning standard normal numbers.

    Training has two parts: `climb` takes the natural-gradient step of the Gaussian part itself, and leaves the
    gradients of ``modules`` in their ``grad`` for an optimiser.
    """

    schedule: Schedule
    whitening: Whitening
    summary: Summary | None = None
    modules: list[nn.Module]

    @abstractmethod
    def draw(self, noise: Tensor) -> Draw:
        """Turn standard normal noise, (batch, d), into draws."""

    @abstractmethod
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""

    @abstractmethod
    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one training step.

        Parameters
        ----------
        target : w (P, d) to log target density (P,) and its gradient (P, d)
        noise : (P, d), from `noise`
        rate, limit : of the natural-gradient step, see `Affine.step`

        Returns
        -------
        log target minus log density of the guide, (P,): their mean estimates the ELBO
        """

    @abstractmethod
    def frame_state(self) -> dict[str, Tensor]:
        """Return a copy of what natural gradients move."""

    @abstractmethod
    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over what `frame_state` returned."""

    def memory(self) -> dict[str, Tensor]:
        """Return what steers training without being part of the density; nothing for most guides."""
        return {}

    def load_memory(self, state: dict[str, Tensor]) -> None:
        """Take over what `memory` returned."""
        assert not state  # noqa: S101 - a guide with a memory has its own

    @property
    def size(self) -> int:
        """How many numbers w has."""
        return self.whitening.size

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw antithetic noise for `climb`, (count, d)."""
        return normal_noise(count, self.size, generator)

    def fill(self, loss: Tensor, module: nn.Module, leaves: Sequence[Tensor] = ()) -> list[Tensor | None]:
        """Put the loss's gradients into a module's ``grad``; return those of ``leaves``, None where it has none."""
        weights = list(module.parameters())
        slopes = torch.autograd.grad(loss, [*leaves, *weights], allow_unused=True)
        for weight, slope in zip(weights, slopes[len(leaves) :], strict=True):
            weight.grad = slope
        return list(slopes[: len(leaves)])

    def parameters(self) -> list[Tensor]:
        """Return the parameters of all networks."""
        return [parameter for module in self.modules for parameter in module.parameters()]

    def state(self) -> dict[str, Tensor]:
        """Return a copy of everything that training moves."""
        out = self.frame_state()
        if self.summary is not None:
            out |= {"summary.mean": self.summary.mean.clone(), "summary.sd": self.summary.sd.clone()}
        for k, module in enumerate(self.modules):
            out |= {f"module.{k}.{name}": value.detach().clone() for name, value in module.state_dict().items()}
        return out

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self.load_frame(state)
        if self.summary is not None:
            self.summary.mean, self.summary.sd = state["summary.mean"].clone(), state["summary.sd"].clone()
        for k, module in enumerate(self.modules):
            module.load_state_dict({name: state[f"module.{k}.{name}"] for name in module.state_dict()})
