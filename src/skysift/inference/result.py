"""Reading a Result: equal-weight draws, moments, physical values, plain values to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from skysift.inference.engine import Check, Result

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.parameters import Parameters

__all__ = [
    "factorise_covariance",
    "flatten",
    "pack_result",
    "physical_draws",
    "resample",
    "unpack_result",
    "weighted_moments",
]


def pack_result(result: Result) -> dict[str, Any]:
    """Return a Result as tensors and plain values, such as a checkpoint keeps."""
    return vars(result) | {"checks": [vars(check) for check in result.checks]}


def unpack_result(kept: dict[str, Any]) -> Result:
    """Undo `pack_result`."""
    return Result(**kept | {"checks": [Check(**check) for check in kept["checks"]]})


def flatten(result: Result) -> tuple[Tensor, Tensor]:
    """Return the draws of all chains, (n, d), and their normalised weights, (n,)."""
    draws = result.draws.reshape(-1, result.draws.shape[-1])
    if result.log_weights is None:
        return draws, torch.full((draws.shape[0],), 1.0 / draws.shape[0], dtype=draws.dtype, device=draws.device)
    return draws, torch.softmax(result.log_weights.reshape(-1).to(draws), 0)


def weighted_moments(result: Result) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and standard deviation of the draws in z, each (d,)."""
    draws, weights = flatten(result)
    mean = weights @ draws
    return mean, (weights @ (draws - mean) ** 2).sqrt()


def resample(result: Result, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Draw ``count`` equal-weight draws by systematic resampling, (count, d), and the variants they belong to."""
    draws, weights = flatten(result)
    offset = torch.rand((), generator=generator, dtype=weights.dtype, device=weights.device)
    grid = (torch.arange(count, device=weights.device) + offset) / count
    # the last cumulative weight may fall short of one by rounding
    index = torch.searchsorted(weights.cumsum(0), grid).clamp_max(len(weights) - 1)
    # systematic order follows the chains: shuffle, so that any part of the draws is a fair sample
    index = index[torch.randperm(count, generator=generator, device=weights.device)]
    variant = None if result.variant is None else result.variant.reshape(-1)[index]
    return draws[index], variant


def physical_draws(result: Result, parameters: Parameters) -> dict[str, Tensor]:
    """Return the draws as physical values, {name: (chains, n, *shape)}."""
    return parameters.values(result.draws)


def factorise_covariance(draws: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the lower-triangular factor of the covariance of draws, (n, d) to (d, d), shrunk where n is small.

    The off-diagonal part shrinks towards zero by d / (n + d), so that the factor exists for every n > 1.
    """
    count, size = draws.shape
    weights = draws.new_full((count,), 1.0 / count) if weights is None else weights
    centred = draws - weights @ draws
    covariance = (centred * weights[:, None]).T @ centred
    spread = covariance.diagonal().clamp_min(1e-12)
    share = size / (1.0 / float((weights**2).sum()) + size)
    covariance = (1.0 - share) * covariance + share * torch.diag(spread)
    factor: Tensor = torch.linalg.cholesky(covariance + 1e-10 * torch.diag(spread))
    return factor
