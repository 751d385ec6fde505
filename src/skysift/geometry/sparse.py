"""Products with a sparse matrix that never changes, and their gradients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch import Tensor

__all__ = ["SparseMatrix"]


class SparseMatrix:
    """A sparse matrix, kept by columns: both it and its transpose are read from end to end.

    Parameters
    ----------
    matrix : (n, columns)
    device : where tensors live; on the processor it is the library of sparse matrices that multiplies
    """

    def __init__(self, matrix: csr_array, device: str = "cpu") -> None:
        by_columns: Any = _shorten(matrix.T.tocsr())
        on_device = device != "cpu"
        self.transpose: Any = _place(by_columns, device) if on_device else by_columns
        self.matrix: Any = _place(_shorten(matrix.tocsr()), device) if on_device else by_columns.T
        self.shape = matrix.shape

    def multiply(self, flux: Tensor) -> Tensor:
        """Return W x for each row x of a batch, (B, columns) to (B, n)."""
        return cast("Tensor", _Product.apply(flux, self.matrix, self.transpose))  # type: ignore[no-untyped-call]  # torch's


class _Product(torch.autograd.Function):
    """A linear map; its gradient is the transposed one."""

    @staticmethod
    def forward(ctx: Any, flux: Tensor, matrix: Any, transpose: Any) -> Tensor:  # noqa: ANN401 - a matrix of either library
        ctx.matrices = transpose, matrix
        return _multiply(matrix, flux)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's context
        return _Product.apply(gradients[0], *ctx.matrices), None, None  # type: ignore[no-untyped-call]  # torch's


def _multiply(matrix: Any, rows: Tensor) -> Tensor:  # noqa: ANN401 - a matrix of either library
    if isinstance(matrix, torch.Tensor):
        return (matrix @ rows.detach().T).T
    columns = rows.detach().numpy().T
    # one vector is multiplied twice as fast as a matrix of one column
    product = (matrix @ columns[:, 0])[:, None] if columns.shape[1] == 1 else matrix @ columns
    return torch.from_numpy(product.T)


def _shorten(matrix: Any) -> Any:  # noqa: ANN401 - a matrix of scipy, which has no types
    """Return a matrix whose indices take half the memory, where they fit: it is read from end to end each time."""
    from scipy.sparse import csr_array

    if max(matrix.nnz, *matrix.shape) > np.iinfo(np.int32).max:
        return matrix
    return csr_array((matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)), matrix.shape)


def _place(matrix: Any, device: str) -> Tensor:  # noqa: ANN401 - a matrix of scipy, which has no types
    """Return a sparse matrix as a tensor; that torch calls this layout a beta version is no news to users."""
    rows, columns = (torch.as_tensor(part, dtype=torch.int64) for part in (matrix.indptr, matrix.indices))
    values = torch.as_tensor(matrix.data, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(rows, columns, values, matrix.shape, device=device, check_invariants=False)
