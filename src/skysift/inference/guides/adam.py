"""Adam for the few small networks of a guide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Adam"]

TINY = 1e-8


class Adam:
    """Adam on many small tensors as one vector, whose parts the tensors become.

    Optimisers of torch import its compiler when the first one is made, which takes longer than a guide trains.

    Parameters
    ----------
    weights : moved in place, by their ``grad``; at least one
    decay : of the running means of gradients and of their squares

    References
    ----------
    Kingma and Ba (2015), algorithm 1

    Examples
    --------
    >>> x = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    >>> x.grad = torch.tensor([4.0, -1.0], dtype=torch.float64)
    >>> Adam([x]).step(0.1, clip=1.0)
    >>> [round(one, 3) for one in x.tolist()]
    [0.9, 1.1]
    """

    def __init__(self, weights: Sequence[Tensor], decay: tuple[float, float] = (0.9, 0.99)) -> None:
        self.weights, self.decay = weights, decay
        with torch.no_grad():
            self._values = torch.cat([weight.reshape(-1) for weight in weights])
        parts = torch.split(self._values, [weight.numel() for weight in weights])
        for weight, part in zip(weights, parts, strict=True):
            weight.data = part.view(weight.shape)
        self._mean = torch.zeros_like(self._values)
        self._square = torch.zeros_like(self._values)
        self._count = 0

    def state(self) -> dict[str, Any]:
        """Return the running means and the number of steps; the weights belong to whoever owns them."""
        return {"mean": self._mean, "square": self._square, "count": self._count}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._mean, self._square, self._count = state["mean"], state["square"], state["count"]

    @torch.no_grad()
    def step(self, lr: float, clip: float) -> None:
        """Take one step of rate ``lr``, with the gradient no longer than ``clip``."""
        slope = torch.cat(
            [(torch.zeros_like(weight) if weight.grad is None else weight.grad).reshape(-1) for weight in self.weights]
        )
        slope *= clip / torch.linalg.vector_norm(slope).clamp_min(clip)
        self._count += 1
        first, second = self.decay
        self._mean.lerp_(slope, 1.0 - first)
        self._square.lerp_(slope.square_(), 1.0 - second)
        spread = self._square.div(1.0 - second**self._count).sqrt_().add_(TINY)
        self._values.addcdiv_(self._mean, spread, value=-lr / (1.0 - first**self._count))
