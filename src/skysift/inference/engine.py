"""What every engine takes and gives: Start, Stream, Result, Check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from skysift.streams import numpy_stream, stream_seed, torch_stream

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.checkpoint import Checkpoint

__all__ = ["Check", "Colour", "Engine", "Result", "Start", "Stream", "merge_cost"]

Colour = Literal["green", "amber", "red"]


@dataclass(frozen=True)
class Stream:
    """The random numbers of one engine run: a seed, and the names under which streams are derived from it."""

    seed: int
    names: tuple[str, ...] = ()
    device: str = "cpu"

    def child(self, *names: str) -> Stream:
        """Return the stream below this one."""
        return Stream(self.seed, (*self.names, *names), self.device)

    def number(self, *names: str) -> int:
        """Return a 63-bit seed, for libraries that keep a generator of their own."""
        return stream_seed(self.seed, *self.names, *names)

    def generator(self, *names: str) -> torch.Generator:
        """Return the torch generator ``names``, at its beginning."""
        return torch_stream(self.seed, *self.names, *names, device=self.device)

    def numpy(self, *names: str) -> np.random.Generator:
        """Return the NumPy generator ``names``, at its beginning."""
        return numpy_stream(self.seed, *self.names, *names)


@dataclass(frozen=True)
class Start:
    """What an engine may begin from; all in z-space, all optional.

    ``z`` (k, d): points, such as every optimum found so far; ``mode`` (d,); ``covariance_factor`` (d, d):
    lower-triangular L with L Lᵀ the covariance; ``draws`` (n, d).
    """

    z: Tensor | None = None
    mode: Tensor | None = None
    covariance_factor: Tensor | None = None
    draws: Tensor | None = None

    def describe(self) -> str:
        """Name the parts that are there."""
        parts = {"points": self.z, "mode": self.mode, "covariance": self.covariance_factor, "draws": self.draws}
        return ", ".join(name for name, part in parts.items() if part is not None) or "the prior"


@dataclass(frozen=True)
class Check:
    """One number with its threshold: green passes, amber passes at reduced size, red does not pass."""

    name: str
    value: float
    threshold: str
    colour: Colour
    advice: str = ""


@dataclass(frozen=True)
class Result:
    """What an engine found, in z-space and float64.

    ``draws`` (chains, n, d), with ``log_weights`` (chains, n) unless they weigh the same; ``variant`` (chains, n):
    which member of the model's grid each draw belongs to; ``traces``: further tensors by name; ``cost``: counts and
    seconds; ``started_from``: which parts of the Start were used; ``labels``: short texts by name, such as what a
    marginal likelihood belongs to.
    """

    engine: str
    draws: Tensor
    log_weights: Tensor | None = None
    mode: Tensor | None = None
    covariance_factor: Tensor | None = None
    log_z: float | None = None
    log_z_error: float | None = None
    log_z_method: str = ""
    checks: list[Check] = field(default_factory=list)
    traces: dict[str, Tensor] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    variant: Tensor | None = None
    started_from: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def is_converged(self) -> bool:
        """Whether no check is red."""
        return all(check.colour != "red" for check in self.checks)


class Engine(Protocol):
    """A module with a frozen dataclass ``Settings`` and this function."""

    def run(
        self,
        model: Model,
        settings: Any,  # noqa: ANN401 - its own class
        start: Start,
        stream: Stream,
        checkpoint: Checkpoint = ...,
    ) -> Result:
        """Fit ``model``, beginning from ``start``, or going on from what ``checkpoint`` has kept."""
        ...


def merge_cost(*costs: Mapping[str, float]) -> dict[str, float]:
    """Return the sums of costs by name."""
    total: dict[str, float] = {}
    for cost in costs:
        for name, value in cost.items():
            total[name] = total.get(name, 0.0) + value
    return total
