"""The function that every engine climbs, samples or integrates: log posterior density in z, without its constant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from skysift.contract import hook
from skysift.errors import NumericsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from skysift.contract import Model

__all__ = ["Target"]

CHUNK_BYTES = {"cpu": 2**21, "cuda": 2**28}


class Target:
    r"""Log likelihood plus log prior in unconstrained coordinates, batched and in float64.

    .. math:: \log \pi_\beta(z) = \beta \log L(x(z)) + \log p(x(z)) + \log |\partial x / \partial z|

    Values that are not finite become -inf (their gradients zero) and are counted in ``non_finite``; NaN never reaches
    an engine. Batches go to the model in pieces whose data fit ``chunk_bytes``; results do not depend on it. The hook
    ``log_likelihood_and_gradient(values) -> (log likelihood, {name: gradient})`` is used where the model has one.

    Examples
    --------
    ``Target(model).log_density(z)`` for values, ``Target(model)(z)`` where autograd should continue through it.
    """

    def __init__(self, model: Model, chunk_bytes: int | None = None, device: str = "cpu") -> None:
        self.model = model
        self.parameters = model.parameters
        self.size = model.parameters.size
        self.device = device
        self.chunk_bytes = chunk_bytes or CHUNK_BYTES["cuda" if "cuda" in str(device) else "cpu"]
        self.calls = 0
        self.gradients = 0
        self.non_finite = 0
        self._rows: int | None = None

    def cost(self) -> dict[str, float]:
        """Return the counts so far: likelihood values, gradients, and values that were not finite."""
        return {"calls": float(self.calls), "gradients": float(self.gradients), "non_finite": float(self.non_finite)}

    def restore(self, counts: Mapping[str, float]) -> None:
        """Go on counting from what `cost` returned once."""
        self.calls, self.gradients = int(counts["calls"]), int(counts["gradients"])
        self.non_finite = int(counts["non_finite"])

    def __call__(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return the log density at z, (batch, d) to (batch,), with a gradient that is finite everywhere."""
        density: Tensor = _Density.apply(z, self, beta)  # type: ignore[no-untyped-call]  # the library has no types
        return density

    def log_likelihood(self, z: Tensor) -> Tensor:
        """Return the log likelihood at z, (batch, d) to (batch,), -inf where it is not finite."""
        z = self._place(z)
        self.calls += z.shape[0]
        with torch.no_grad():
            parts = [self.model.log_likelihood(self.parameters.values(chunk)) for chunk in self._chunks(z)]
            return self._clean(torch.cat(parts).to(torch.float64))

    def log_density(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return the log density at z, (batch, d) to (batch,), -inf where it is not finite."""
        z = self._place(z)
        self.calls += z.shape[0]
        with torch.no_grad():
            parts = []
            for chunk in self._chunks(z):
                likelihood = self.model.log_likelihood(self.parameters.values(chunk)).to(torch.float64)
                parts.append(_temper(likelihood, beta) + self.parameters.log_density(chunk))
            return self._clean(torch.cat(parts))

    def log_density_and_gradient(self, z: Tensor, beta: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return the log density and its gradient, (batch, d) to (batch,) and (batch, d)."""
        z = self._place(z)
        self.gradients += z.shape[0]
        pairs = [self._differentiate(chunk, beta) for chunk in self._chunks(z)]
        density = _join([value for value, _ in pairs])
        gradient = _join([slope for _, slope in pairs])
        if math.isfinite(float(density.sum() + gradient.sum())):
            return density, gradient
        good = torch.isfinite(density) & torch.isfinite(gradient).all(-1)
        self.non_finite += int((~good).sum())
        return torch.where(good, density, -torch.inf), torch.where(good[:, None], gradient, 0.0)

    def check_starts(self, z: Tensor) -> Tensor:
        """Return the log density of starting points, (batch,).

        Raises
        ------
        NumericsError : more than half of them are not finite; shows the values at the worst ones
        """
        density = self.log_density(z)
        bad = ~torch.isfinite(density)
        if 2 * int(bad.sum()) <= z.shape[0]:
            return density
        lines = [f"log density is not finite at {int(bad.sum())} of {z.shape[0]} starting points, such as"]
        for row in self._place(z)[bad][:3]:
            values = self.parameters.pack(self.parameters.values(row[None]))[0]
            prior = float(self.parameters.log_density(row[None]))
            names = self.parameters.names
            shown = ", ".join(
                f"{name} = {values[self.parameters.packed_slices[name]][:3].tolist()}" for name in names[:8]
            )
            lines.append(f"  {shown}: log prior density {prior:.4g}, the likelihood fails")
        lines.append("look for zeros in the expected data, negative norms or counts outside the templates")
        raise NumericsError("\n".join(lines))

    def _place(self, z: Tensor) -> Tensor:
        return z.detach().to(device=self.device, dtype=torch.float64)

    def _chunks(self, z: Tensor) -> tuple[Tensor, ...]:
        return torch.split(z, self._chunk_rows(z)) if z.shape[0] > 1 else (z,)

    def _chunk_rows(self, z: Tensor) -> int:
        if self._rows is None:
            with torch.no_grad():
                data = self.model.expected(self.parameters.values(z[:1]))
            self._rows = max(1, int(self.chunk_bytes // (8 * max(1, data[0].numel(), self.size))))
        return self._rows

    def _clean(self, density: Tensor) -> Tensor:
        good = torch.isfinite(density)
        self.non_finite += int((~good).sum())
        return torch.where(good, density, -torch.inf)

    def _differentiate(self, z: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            gaussian, slope = self.parameters.gaussian_log_density(z)
            z = z.detach().requires_grad_()
            values = self.parameters.values(z)
            fused = hook(self.model, "log_likelihood_and_gradient")
            if fused is None:
                likelihood = _temper(self.model.log_likelihood(values).to(torch.float64), beta)
                density = self.parameters.add_other_log_density(likelihood, z)
                if not density.requires_grad:  # a likelihood without a word about z
                    return density + gaussian, slope
                (gradient,) = torch.autograd.grad(density.sum(), z)
                return density.detach() + gaussian, gradient + slope
            prior = self.parameters.add_other_log_density(gaussian, z)
            likelihood, slopes = fused({name: value.detach() for name, value in values.items()})
            # the chain rule: the sum of slope times value has the likelihood's gradient in z
            surrogate = prior.sum() + beta * sum((slopes[name] * values[name]).sum() for name in slopes)
            (gradient,) = torch.autograd.grad(surrogate, z)
            return (_temper(likelihood.detach(), beta) + prior).detach(), gradient + slope


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _temper(likelihood: Tensor, beta: float) -> Tensor:
    # 0 times -inf must not become NaN
    return likelihood if beta == 1.0 else torch.where(torch.isfinite(likelihood), beta * likelihood, likelihood)


class _Density(torch.autograd.Function):
    """The target as one node of a larger graph, such as the loss of a guide."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Target, beta: float) -> Tensor:  # noqa: ANN401 - torch's context
        shape = z.shape
        if not ctx.needs_input_grad[0]:
            return target.log_density(z.reshape(-1, shape[-1]), beta).reshape(shape[:-1])
        density, gradient = target.log_density_and_gradient(z.reshape(-1, shape[-1]), beta)
        ctx.save_for_backward(gradient.reshape(shape))
        return density.reshape(shape[:-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's context
        (gradient,) = ctx.saved_tensors
        return grads[0][..., None] * gradient, None, None
