"""Power series with real coefficients in a complex number, as real pairs, with derivatives by the same recursion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["sum_series"]


def sum_series(real: Tensor, imaginary: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return real and imaginary part of :math:`\sum_n a_n z^n`.

    Terms are added from the last by :math:`b_n = a_n + 2 \Re(z) b_{n+1} - |z|^2 b_{n+2}`, and the sum is
    :math:`b_0 - \bar z b_1`: two products per term. Nothing of the recursion is kept for derivatives, which are
    series of the same kind.

    Parameters
    ----------
    real, imaginary : z, (batch, rows, columns), modulus below one
    coefficients : a, (batch, terms), at least two terms

    Examples
    --------
    >>> half = torch.full((1, 1, 1), 0.5)
    >>> [part.item() for part in sum_series(half, half, torch.ones(1, 3))]
    [1.5, 1.0]
    """
    found: tuple[Tensor, Tensor] = _Series.apply(real, imaginary, coefficients)  # type: ignore[no-untyped-call]
    return found


class _Series(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, real: Tensor, imaginary: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        ctx.save_for_backward(real, imaginary, coefficients)
        columns = coefficients[..., None, None].unbind(1)
        twice, square = 2.0 * real, real * real + imaginary * imaginary
        after = columns[-1].expand_as(real).contiguous()
        here, spare = torch.addcmul(columns[-2], twice, after), torch.empty_like(real)
        for column in reversed(columns[:-2]):
            # three buffers in turn: memory that is asked for anew costs more than the arithmetic
            torch.addcmul(column, twice, here, out=spare).addcmul_(square, after, value=-1.0)
            after, here, spare = here, spare, after
        return torch.addcmul(here, after, real, value=-1.0), after * imaginary

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # noqa: ANN401
        real, imaginary, coefficients = ctx.saved_tensors
        pull_real, pull_imaginary = grads
        along = across = moments = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            count = coefficients.shape[1]
            powers = torch.arange(1, count, dtype=coefficients.dtype, device=coefficients.device)
            slopes = coefficients[:, 1:] * powers
            slopes = slopes if count > 2 else torch.nn.functional.pad(slopes, (0, 1))
            slope_real, slope_imaginary = sum_series(real, imaginary, slopes)
            along = pull_real * slope_real + pull_imaginary * slope_imaginary
            across = pull_imaginary * slope_real - pull_real * slope_imaginary
        if ctx.needs_input_grad[2]:
            moments = _sum_powers(real, imaginary, pull_real, pull_imaginary, coefficients.shape[1])
        return along, across, moments


def _sum_powers(real: Tensor, imaginary: Tensor, pull_real: Tensor, pull_imaginary: Tensor, count: int) -> Tensor:
    r"""Return :math:`\sum \Re(\bar g z^n)` over pixels for every n, (batch, count), by the recursion of cosines."""
    twice, square = 2.0 * real, real * real + imaginary * imaginary
    before, here = pull_real.clone(), pull_real * real + pull_imaginary * imaginary
    spare = torch.empty_like(here)
    sums = [before.sum((-2, -1)), here.sum((-2, -1))]
    for _ in range(2, count):
        if torch.is_grad_enabled():
            before, here = here, torch.addcmul(twice * here, square, before, value=-1.0)
        else:
            torch.mul(twice, here, out=spare).addcmul_(square, before, value=-1.0)
            before, here, spare = here, spare, before
        sums.append(here.sum((-2, -1)))
    return torch.stack(sums, -1)
