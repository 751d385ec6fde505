"""The fold on torch tensors, with its gradient, on any device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

if TYPE_CHECKING:
    from skysift.instruments.ctao.operator import FoldOperator

__all__ = ["fold_tensor"]


def fold_tensor(operator: FoldOperator, expected: torch.Tensor) -> torch.Tensor:
    """Return reconstructed counts (energy, pixel, source) of true ones (energy, pixel, source), float64.

    The gradient is one adjoint fold. On the processor it is the same code as for arrays.
    """
    folded: torch.Tensor = _Fold.apply(expected, operator)  # type: ignore[no-untyped-call]  # the library has no types
    return folded


class _Fold(torch.autograd.Function):
    """A linear map and its transpose."""

    @staticmethod
    def forward(ctx: Any, expected: torch.Tensor, operator: FoldOperator) -> torch.Tensor:  # noqa: ANN401 - duck-typed
        ctx.operator = operator
        if expected.device.type == "cpu":
            return torch.from_numpy(operator.fold(expected.detach().numpy()))
        return _on_device(operator, expected.device).fold(expected)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401 - duck-typed
        (gradient,) = gradients
        if gradient.device.type == "cpu":
            return torch.from_numpy(ctx.operator.adjoint(np.ascontiguousarray(gradient.numpy()))), None
        return _on_device(ctx.operator, gradient.device).adjoint(gradient), None


class DeviceFold:
    """A fold whose operators live on a device.

    Parameters
    ----------
    operator : the fold
    device : where its copies go
    """

    def __init__(self, operator: FoldOperator, device: torch.device) -> None:
        self.shape = operator.shape
        self.pixels = operator.spreads[0].shape[1]
        self.spreads = [_sparse(spread.tocsr(), device) for spread in operator.spreads]
        self.transposed = [_sparse(spread.T.tocsr(), device) for spread in operator.spreads]
        self.bands = [(first, torch.as_tensor(shares, device=device)) for first, shares in operator.bands]

    def fold(self, expected: torch.Tensor) -> torch.Tensor:
        """Return reconstructed counts (energy, pixel, source)."""
        folded = expected.new_zeros((self.shape[1], self.shape[0], expected.shape[-1]))
        for energy, (first, shares) in enumerate(self.bands):
            if shares.shape[1]:
                spread = (shares[:, :, None] * expected[energy][:, None, :]).reshape(self.pixels, -1)
                part = (self.spreads[energy] @ spread).reshape(self.shape[1], shares.shape[1], -1)
                folded[:, first : first + shares.shape[1]] += part
        return folded.transpose(0, 1).contiguous()

    def adjoint(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the transpose applied to (energy, pixel, source)."""
        turned = weights.transpose(0, 1).contiguous()
        gathered = weights.new_zeros((len(self.bands), self.pixels, weights.shape[-1]))
        for energy, (first, shares) in enumerate(self.bands):
            if shares.shape[1]:
                band = turned[:, first : first + shares.shape[1]].reshape(self.shape[1], -1)
                back = (self.transposed[energy] @ band).reshape(self.pixels, shares.shape[1], -1)
                gathered[energy] = torch.einsum("jk,jks->js", shares, back)
        return gathered


_COPIES: WeakKeyDictionary[FoldOperator, dict[str, DeviceFold]] = WeakKeyDictionary()


def _on_device(operator: FoldOperator, device: torch.device) -> DeviceFold:
    """Return the copy of a fold on a device, made once."""
    copies = _COPIES.setdefault(operator, {})
    if str(device) not in copies:
        copies[str(device)] = DeviceFold(operator, device)
    return copies[str(device)]


def _sparse(matrix: Any, device: torch.device) -> torch.Tensor:  # noqa: ANN401 - a scipy array has no types
    rows, columns, values = (torch.as_tensor(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    with warnings.catch_warnings():
        # Said once by a process that makes such a tensor; products with dense matrices are all that is used here.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(rows, columns, values, size=matrix.shape, check_invariants=True).to(device)
