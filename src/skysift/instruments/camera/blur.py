"""Convolution with a point spread function and the mean over the points of a pixel: one linear map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["Blur"]


@dataclass(frozen=True, eq=False)
class Blur:
    """Convolve images of points with a kernel, and average over the points of each pixel.

    Parameters
    ----------
    kernel : (odd, odd), on the grid of points
    shape : rows and columns of the points that come in
    crop : points to drop at each edge after the convolution; beyond the edges that came in there is nothing
    pool : points per pixel along each axis
    """

    kernel: Tensor
    shape: tuple[int, int]
    crop: int = 0
    pool: int = 1

    def apply(self, points: Tensor) -> Tensor:
        """Return pixels, (..., rows, columns); differentiable as often as wished."""
        pixels: Tensor = _Linear.apply(points, self, False)  # type: ignore[no-untyped-call]  # torch's own
        return pixels

    @cached_property
    def _sizes(self) -> tuple[int, int]:
        """Lengths for the transform: enough for nothing to wrap around, and products of small primes."""
        rows, columns = (_fast_length(n + k - 1) for n, k in zip(self.shape, self.kernel.shape, strict=True))
        return rows, columns

    @cached_property
    def _transform(self) -> Tensor:
        """Transform of the kernel, its centre at the origin."""
        half = [n // 2 for n in self.kernel.shape]
        rows, columns = self._sizes
        padded = torch.nn.functional.pad(
            self.kernel, (0, columns - self.kernel.shape[1], 0, rows - self.kernel.shape[0])
        )
        transform: Tensor = torch.fft.rfft2(padded.roll((-half[0], -half[1]), (0, 1)))
        return transform

    def push(self, points: Tensor) -> Tensor:
        """Return the map of points, without derivatives."""
        rows, columns = self.shape
        blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(points, s=self._sizes) * self._transform, s=self._sizes)
        blurred = blurred[..., self.crop : rows - self.crop, self.crop : columns - self.crop]
        if self.pool > 1:
            rows, columns = (n // self.pool for n in blurred.shape[-2:])
            blurred = blurred.reshape(*blurred.shape[:-2], rows, self.pool, columns, self.pool).mean((-1, -3))
        return blurred.contiguous()

    def pull(self, pixels: Tensor) -> Tensor:
        """Return the transpose of the map."""
        rows, columns = self.shape
        points = pixels
        if self.pool > 1:
            points = pixels.repeat_interleave(self.pool, -1).repeat_interleave(self.pool, -2) / self.pool**2
        points = torch.nn.functional.pad(points, (self.crop,) * 4) if self.crop else points
        spread: Tensor = torch.fft.irfft2(
            torch.fft.rfft2(points, s=self._sizes) * self._transform.conj(), s=self._sizes
        )
        return spread[..., :rows, :columns].contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, blur: Blur, is_transposed: bool) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.blur, ctx.is_transposed = blur, is_transposed
        return blur.pull(image) if is_transposed else blur.push(image)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's context
        return _Linear.apply(grads[0], ctx.blur, not ctx.is_transposed), None, None  # type: ignore[no-untyped-call]


def _fast_length(least: int) -> int:
    """Return the smallest even product of 2, 3 and 5 that is not less."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2
