"""The guide ``mvn``: one Gaussian over norms and field with full covariance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from skysift.inference.guides.affine import Affine
from skysift.inference.guides.base import Draw, Guide, Schedule, base_density

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.whitening import Whitening

__all__ = ["GaussianGuide"]

PARTICLES = 32
RATE = 0.5
LEAST_PILOT, MOST_PILOT = 30, 150
LEAST_WINDOW = 10


class GaussianGuide(Guide):
    """w = m + T e with e standard normal and T lower triangular, norms first.

    The order matters to the noise of training alone: a number whose gradient is wild, such as a norm at the edge of
    its prior, has as many noisy elements in T as there are numbers before it.

    Parameters
    ----------
    whitening : the frame
    independent : T block diagonal, so that the two blocks are independent (the published form)
    """

    def __init__(self, whitening: Whitening, *, independent: bool = False) -> None:
        self.whitening, self.independent = whitening, independent
        self.affine = Affine(whitening.size, whitening.centre.device)
        self.modules = []
        # steps in which the distance of T from its end falls by e, see `Affine.step` for its rate
        memory = math.ceil(max(1.0, self.size / PARTICLES) / RATE)
        pilot = min(max(LEAST_PILOT, 5 * memory), MOST_PILOT)
        self.schedule = Schedule(
            PARTICLES, max(300, 8 * memory), RATE, pilot, finalists=1, window=max(LEAST_WINDOW, memory)
        )

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Draw:
        """Turn standard normal noise, (batch, d), into draws."""
        return Draw(self.affine.push(noise), base_density(noise) - self.affine.log_det())

    @torch.no_grad()
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""
        return base_density(self.affine.pull(w)) - self.affine.log_det()

    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one natural-gradient step; see `Guide.climb`."""
        draw = self.draw(noise)
        density, force = target(draw.w)
        self.affine.step(force, noise, noise, rate, limit)
        if self.independent:
            self.affine.factor[self.whitening.lead :, : self.whitening.lead] = 0.0
        return density - draw.log_q

    def frame_state(self) -> dict[str, Tensor]:
        """Return mean and factor."""
        return self.affine.state()

    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over mean and factor."""
        self.affine.load(state)
