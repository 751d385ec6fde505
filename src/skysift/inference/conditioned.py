"""Models seen with other priors, or with one parameter held: wrappers over the Model contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skysift.contract import Curvature, Model, count_rows, hook
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal, Prior

__all__ = ["Held", "Reprior", "flatten_prior", "with_prior"]

WIDE = 100.0
Values = Mapping[str, Tensor]


class Reprior:
    """A model with other priors on the same parameters; everything else is the model's own."""

    def __init__(self, model: Model, parameters: Parameters) -> None:
        self.model, self.parameters = model, parameters

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the model offers
        """Return the model's own attribute."""
        return getattr(self.model, name)

    def at(self, values: Values) -> Reprior:
        """Return the model with its hyper-parameters fixed, under the same priors."""
        return Reprior(hook(self.model, "at")(values), self.parameters)


def with_prior(model: Model, name: str, prior: Prior) -> Reprior:
    """Return the model with another prior on one parameter."""
    listed = [
        Parameter(item.name, prior if item.name == name else item.prior, item.shape, item.unit, item.label, item.block)
        for item in model.parameters
    ]
    return Reprior(model, Parameters(listed))


def flatten_prior(model: Model, name: str) -> Reprior:
    """Return the model with an almost flat prior on one scalar parameter, far wider than its own."""
    edges = model.parameters[name].prior.from_cube(torch.tensor([0.001, 0.5, 0.999], dtype=torch.float64))
    return with_prior(model, name, Normal(float(edges[1]), WIDE * float(edges[2] - edges[0])))


class Held:
    """A model with one scalar parameter held at a value, inside or outside its prior's support."""

    def __init__(self, model: Model, name: str, value: float) -> None:
        self.model, self.name, self.value = model, name, value
        self.parameters = Parameters([item for item in model.parameters if item.name != name])
        packed = torch.ones(model.parameters.packed_size, dtype=torch.bool)
        packed[model.parameters.packed_slices[name]] = False
        self._kept = packed.nonzero()[:, 0]
        if hook(model, "curvature") is not None:
            self.curvature = self._curvature

    def _complete(self, values: Values) -> dict[str, Tensor]:
        like = next(iter(values.values()))
        return {**values, self.name: like.new_full((count_rows(values),), self.value)}

    def log_likelihood(self, values: Values) -> Tensor:
        """Return the log likelihood, (batch,)."""
        return self.model.log_likelihood(self._complete(values))

    def expected(self, values: Values) -> Tensor:
        """Return expected data, (batch, data)."""
        return self.model.expected(self._complete(values))

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Draw data, (batch, data)."""
        return self.model.simulate(self._complete(values), generator)

    def _curvature(self, values: Values, observed: bool = True) -> Curvature:
        whole = hook(self.model, "curvature")(self._complete(values), observed)
        kept = self._kept.to(whole.gradient.device)
        return Curvature(whole.value, whole.gradient[kept], whole.information[kept[:, None], kept])
