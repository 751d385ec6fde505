"""Priors of vectors whose elements depend on each other: fractions that sum to one, ordered breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import logsigmoid

from skysift.errors import InputError
from skysift.parameters.priors.base import Prior, ScalarPrior, clip_cube

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dirichlet", "OrderedBreaks"]


@dataclass(frozen=True)
class Dirichlet(Prior):
    r"""Fractions of S shares that sum to one.

    Unconstrained by the isometric log-ratio, f = softmax(V (c + s z)) with V orthonormal and orthogonal to one, where
    c and s standardise concentrated priors (c = 0, s = 1 for the flat one):
    :math:`\log|J| = \sum_k \log f_k + \tfrac12 \log S + (S - 1) \log s`. In the cube by sticks: b_k is the quantile of
    Beta(alpha_k, sum of the later alphas) and :math:`f_k = b_k \prod_{j<k} (1 - b_j)`.

    Density is with respect to the first S - 1 fractions.

    References
    ----------
    Egozcue et al. 2003, Mathematical Geology 35, 279 (isometric log-ratio)

    Examples
    --------
    >>> Dirichlet((1.0, 1.0, 1.0)).from_z(torch.zeros(2))
    tensor([0.3333, 0.3333, 0.3333])
    """

    alpha: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the numbers."""
        object.__setattr__(self, "alpha", tuple(float(a) for a in self.alpha))
        if len(self.alpha) < 2 or min(self.alpha) <= 0:
            raise InputError("prior", "Dirichlet", self.alpha, "two or more numbers > 0", "change alpha")

    @property
    def value_size(self) -> int:
        """Number of fractions."""
        return len(self.alpha)

    @property
    def z_size(self) -> int:
        """One less than the number of fractions."""
        return len(self.alpha) - 1

    @cached_property
    def _basis(self) -> Tensor:
        # Helmert's: column k balances the first k + 1 shares against the next one
        size = self.value_size
        basis = torch.zeros(size, size - 1, dtype=torch.float64)
        for k in range(1, size):
            basis[:k, k - 1] = 1.0 / math.sqrt(k * (k + 1))
            basis[k, k - 1] = -k / math.sqrt(k * (k + 1))
        return basis

    @cached_property
    def _standard(self) -> tuple[Tensor, float]:
        alpha = torch.tensor(self.alpha, dtype=torch.float64)
        centre = torch.special.digamma(alpha) @ self._basis
        spread = float(torch.special.polygamma(1, alpha).mean().sqrt())
        return centre, min(1.0, spread)

    def _log_fractions(self, z: Tensor) -> Tensor:
        centre, scale = self._standard
        ratio = centre.to(z) + scale * z
        return torch.log_softmax(ratio @ self._basis.to(z).T, -1)

    def from_z(self, z: Tensor) -> Tensor:
        """Return fractions at z, (..., S - 1) to (..., S)."""
        return self._log_fractions(z).exp()

    def to_z(self, x: Tensor) -> Tensor:
        """Return log-ratios of fractions, (..., S) to (..., S - 1)."""
        centre, scale = self._standard
        return (torch.log(x) @ self._basis.to(x) - centre.to(x)) / scale

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |d(first S - 1 fractions)/dz|, (...,)."""
        constant = 0.5 * math.log(self.value_size) + self.z_size * math.log(self._standard[1])
        return self._log_fractions(z).sum(-1) + constant

    @property
    def _log_normaliser(self) -> float:
        return sum(math.lgamma(a) for a in self.alpha) - math.lgamma(sum(self.alpha))

    def log_density(self, x: Tensor) -> Tensor:
        """Return the normalised log density of fractions, (...,)."""
        powers = torch.tensor(self.alpha, dtype=x.dtype, device=x.device) - 1.0
        inside = (x >= 0).all(-1) & ((x.sum(-1) - 1.0).abs() < 1e-9)
        safe = torch.where(inside[..., None], x, 1.0 / self.value_size)
        return torch.where(inside, torch.xlogy(powers, safe).sum(-1) - self._log_normaliser, -torch.inf)

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the normalised log density of z, (...,)."""
        alpha = torch.tensor(self.alpha, dtype=z.dtype, device=z.device)
        constant = 0.5 * math.log(self.value_size) + self.z_size * math.log(self._standard[1])
        return (alpha * self._log_fractions(z)).sum(-1) + constant - self._log_normaliser

    def from_cube(self, u: Tensor) -> Tensor:
        """Return fractions by stick breaking, (..., S - 1) to (..., S)."""
        rest = [sum(self.alpha[k + 1 :]) for k in range(self.z_size)]
        if all(alpha == 1.0 for alpha in self.alpha[:-1]):
            # all sticks at once: 1 - v is a power of 1 - u
            left = torch.log1p(-clip_cube(u)) / torch.tensor(rest, dtype=u.dtype, device=u.device)
            remaining = torch.nn.functional.pad(left.cumsum(-1).exp(), (1, 0), value=1.0)
            return torch.cat([remaining[..., :-1] * -torch.expm1(left), remaining[..., -1:]], -1)
        pairs = zip(self.alpha, rest, u.unbind(-1), strict=False)
        remaining, fractions = torch.ones_like(u[..., 0]), []
        for first, second, coordinate in pairs:
            stick = _beta_quantile(first, second, clip_cube(coordinate))
            fractions.append(remaining * stick)
            remaining = remaining * (1.0 - stick)
        return torch.stack([*fractions, remaining], -1)


@dataclass(frozen=True)
class OrderedBreaks(Prior):
    """Breaks in descending order: the highest has its own positive prior, each ratio to the next is uniform.

    ``ratio_low`` and ``ratio_high`` bound b_{k+1} / b_k; with ratios below one, breaks can never cross.
    """

    highest: ScalarPrior
    count: int
    ratio_low: float = 0.0
    ratio_high: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.count < 1 or not 0 <= self.ratio_low < self.ratio_high <= 1:
            wanted = "count >= 1 and 0 <= ratio_low < ratio_high <= 1"
            raise InputError("prior", "OrderedBreaks", self, wanted, "change the prior's numbers")

    @property
    def value_size(self) -> int:
        """Number of breaks."""
        return self.count

    @property
    def z_size(self) -> int:
        """Number of breaks."""
        return self.count

    def _assemble(self, top: Tensor, ratio: Tensor) -> Tensor:
        return torch.cumprod(torch.cat([top, ratio], -1), -1)

    def from_z(self, z: Tensor) -> Tensor:
        """Return breaks at z, (..., count)."""
        ratio = self.ratio_low + (self.ratio_high - self.ratio_low) * torch.sigmoid(z[..., 1:])
        return self._assemble(self.highest.from_z(z[..., :1]), ratio)

    def to_z(self, x: Tensor) -> Tensor:
        """Log of the highest (standardised) and logits of the ratios."""
        ratio = x[..., 1:] / x[..., :-1]
        logit = torch.log((ratio - self.ratio_low).clamp_min(0)) - torch.log((self.ratio_high - ratio).clamp_min(0))
        return torch.cat([self.highest.to_z(x[..., :1]), logit], -1)

    def log_jacobian(self, z: Tensor) -> Tensor:
        """Return log |dx/dz|, (...,)."""
        slope = logsigmoid(z[..., 1:]) + logsigmoid(-z[..., 1:]) + math.log(self.ratio_high - self.ratio_low)
        parents = torch.log(self.from_z(z)[..., :-1])
        return self.highest.log_jacobian(z[..., 0]) + (slope + parents).sum(-1)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the normalised log density, (...,)."""
        ratio = x[..., 1:] / x[..., :-1]
        inside = ((ratio >= self.ratio_low) & (ratio <= self.ratio_high)).all(-1) & (x > 0).all(-1)
        parents = torch.log(torch.where(inside[..., None], x, 1.0)[..., :-1])
        constant = math.log(self.ratio_high - self.ratio_low)
        return torch.where(inside, self.highest.log_density(x[..., 0]) - (parents + constant).sum(-1), -torch.inf)

    def z_log_density(self, z: Tensor) -> Tensor:
        """Return the normalised log density of z, (...,)."""
        logistic = logsigmoid(z[..., 1:]) + logsigmoid(-z[..., 1:])
        return self.highest.z_log_density(z[..., 0]) + logistic.sum(-1)

    def from_cube(self, u: Tensor) -> Tensor:
        """Return breaks from the quantiles of the highest and of each ratio."""
        ratio = self.ratio_low + (self.ratio_high - self.ratio_low) * clip_cube(u[..., 1:])
        return self._assemble(self.highest.from_cube(u[..., :1]), ratio)


def _beta_quantile(first: float, second: float, u: Tensor) -> Tensor:
    if first == 1.0:
        return -torch.expm1(torch.log1p(-u) / second)
    if second == 1.0:
        return u ** (1.0 / first)
    result: Tensor = _BetaQuantile.apply(u, first, second)  # type: ignore[no-untyped-call]  # the library has no types
    return result


class _BetaQuantile(torch.autograd.Function):
    """Quantile of Beta(a, b), with derivative one over the density."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, first: float, second: float) -> Tensor:  # noqa: ANN401 - torch's context
        from scipy.special import betaincinv

        # scipy's inverse gives NaN below about 1e-200
        share = u.detach().cpu().double().clamp_min(1e-100).numpy()
        x = torch.as_tensor(betaincinv(first, second, share)).to(u)
        ctx.save_for_backward(x)
        ctx.powers = (first, second)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's context
        (x,) = ctx.saved_tensors
        first, second = ctx.powers
        constant = math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)
        x = x.clamp(torch.finfo(x.dtype).tiny, 1.0 - torch.finfo(x.dtype).eps)
        log_density = (first - 1.0) * torch.log(x) + (second - 1.0) * torch.log1p(-x) - constant
        return grads[0] * torch.exp(-log_density), None, None
