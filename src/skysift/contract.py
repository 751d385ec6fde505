"""The contract between models and inference: what a Model must offer, and what it may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

    from skysift.parameters import Parameters

    Values = Mapping[str, torch.Tensor]

__all__ = ["Curvature", "Model", "count_rows", "hook"]


class Curvature(NamedTuple):
    """Log likelihood at one point with its first two derivatives in the packed physical values.

    ``value`` (), ``gradient`` (D,), ``information`` (D, D): minus the Hessian, observed or expected.
    """

    value: torch.Tensor
    gradient: torch.Tensor
    information: torch.Tensor


@runtime_checkable
class Model(Protocol):
    """A sky, an instrument and a likelihood, bound to data; batch axis first everywhere.

    Optional hooks, each with a generic fallback in the engines (look them up with `hook`):

    * ``starting_points(count, generator) -> values`` (count, ...): good first guesses.
    * ``curvature(values, observed) -> Curvature`` for one point (batch of one): closed forms.
    * ``information(values) -> (batch, data)``: Fisher weights of the data, 1/mu or 1/sigma^2.
    * ``context(values) -> (batch, k)``: fixed-length summary of the field block (from one joint draw).
    * ``hyper: Parameters`` with ``at(values) -> Model``: settings (such as kernel scales) that an engine
      integrates out by evidence; ``at`` takes unbatched values and returns the model with them fixed.
    * ``log_likelihood_and_gradient(values) -> ((batch,), dict of gradients)``: both in one pass.
    * ``has_one_mode``: whether the posterior has one optimum for certain, so that nobody needs to search for more.
    * ``minibatch(size, generator) -> Model``: a random part of the data, log likelihood scaled by N/B.
    """

    @property
    def parameters(self) -> Parameters:
        """Every free number, in order."""
        ...

    def log_likelihood(self, values: Values) -> torch.Tensor:
        """(batch, ...) in, (batch,) out; float64; -inf for impossible data, never NaN."""
        ...

    def expected(self, values: Values) -> torch.Tensor:
        """Return what the instrument would see on average, (batch, data)."""
        ...

    def simulate(self, values: Values, generator: torch.Generator) -> torch.Tensor:
        """Draw data once per batch row, (batch, data)."""
        ...


def hook(model: Model, name: str) -> Any:  # noqa: ANN401 - hooks differ in signature
    """Return the optional method ``name`` of ``model``, or None."""
    return getattr(model, name, None)


def count_rows(values: Values) -> int:
    """Return the batch size of ``values``."""
    return int(next(iter(values.values())).shape[0])
