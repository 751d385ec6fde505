"""Products with sparse matrices: values, gradients, and gradients of gradients are those of dense ones."""

import numpy as np
import pytest
import torch
from scipy.sparse import random_array

from skysift.geometry.sparse import SparseMatrix


@pytest.mark.parametrize("batch", [1, 3])
def test_products_and_gradients_are_those_of_the_dense_matrix(seed, batch):
    random = np.random.default_rng(seed)
    matrix = random_array((7, 11), density=0.3, rng=random, format="csr")
    dense, sparse = torch.as_tensor(matrix.toarray()), SparseMatrix(matrix)
    flux = torch.as_tensor(random.random((batch, 11))).requires_grad_()
    found, wanted = sparse.multiply(flux), flux @ dense.T
    torch.testing.assert_close(found, wanted)
    weights = torch.as_tensor(random.random((batch, 7)))
    for power in (1, 2):
        gradients = [
            torch.autograd.grad((part**power * weights).sum(), flux)[0] for part in (sparse.multiply(flux), wanted)
        ]
        torch.testing.assert_close(*gradients)
        wanted = flux @ dense.T
    assert torch.autograd.gradgradcheck(sparse.multiply, (flux,))
