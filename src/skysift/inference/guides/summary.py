"""Fixed-length, standardised summaries of one block of a model: what conditional guides condition on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skysift.contract import Model, hook
from skysift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.inference.guides.whitening import Whitening

__all__ = ["Summary", "summarise_field", "summarise_norms"]

FLOOR = 1e-9  # standard deviations below this share of the mean are rounding
REACH = 50.0  # beyond this many standard deviations a summary saturates


class Summary:
    """Standardised function of the leading block of a frame, with mean and sd over draws of the start, then frozen.

    Parameters
    ----------
    function : z (batch, d) to (batch, k)
    whitening : the frame
    noise : (n, lead), standard normal: the start's draws of the leading block
    """

    def __init__(self, function: Callable[[Tensor], Tensor], whitening: Whitening, noise: Tensor) -> None:
        self._function, self._whitening = function, whitening
        with torch.no_grad():
            raw = function(whitening.lead_to_z(noise))
        self.mean, sd = raw.mean(0), raw.std(0)
        self.sd = torch.where(sd > FLOOR * self.mean.abs() + 1e-300, sd, torch.ones_like(sd))

    @property
    def size(self) -> int:
        """How many numbers the summary has."""
        return len(self.mean)

    def __call__(self, w_lead: Tensor) -> Tensor:
        """Summarise the leading block's w, (batch, lead) to (batch, k); saturates smoothly far from the start."""
        raw = (self._function(self._whitening.lead_to_z(w_lead)) - self.mean) / self.sd
        return REACH * torch.tanh(raw / REACH)


def summarise_field(model: Model, whitening: Whitening, noise: Tensor) -> Summary:
    """Return the model's own summary s(f) of its Gaussian process, from the hook ``context``.

    One joint draw of v gives one summary; sums run over the whole region, whatever the batch.

    Raises
    ------
    InputError : the model has no field block or no ``context``
    """
    context = hook(model, "context")
    if context is None or not whitening.lead:
        raise InputError(
            "fits",
            "guide",
            type(model).__name__,
            "a model with a modulated component that offers `context`",
            "use the guide `mvn`, `iaf` or `flow`, or modulate a component",
        )
    return Summary(lambda z: context(model.parameters.values(z)), whitening, noise)


def summarise_norms(model: Model, whitening: Whitening, noise: Tensor) -> Summary:
    """Return the physical values of everything but the fields: counts are linear in norms, not in their logarithms."""
    parameters = model.parameters
    names = [item.name for item in parameters if item.block != "field"]

    def physical(z: Tensor) -> Tensor:
        values = parameters.values(z)
        return torch.cat([values[name].reshape(len(z), -1) for name in names], 1)

    return Summary(physical, whitening, noise)
