"""Shapelets: Gauss-Hermite functions as a linear basis of galaxy light."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["count_shapelets", "shapelet_basis"]


def count_shapelets(order: int) -> int:
    """Return how many products there are to an order.

    Examples
    --------
    >>> count_shapelets(2)
    6
    """
    return (order + 1) * (order + 2) // 2


def shapelet_basis(x: Tensor, y: Tensor, *, beta: Tensor, order: int) -> Tensor:
    r"""Return all products :math:`\phi_{n_1}(x/\beta)\, \phi_{n_2}(y/\beta)` with :math:`n_1 + n_2 \le` order.

    .. math:: \phi_0 = \pi^{-1/4} e^{-x^2/2}, \qquad
        \phi_{n+1} = \sqrt{\frac{2}{n+1}}\, x \phi_n - \sqrt{\frac{n}{n+1}}\, \phi_{n-1}

    They come by the sum of their orders, and then by falling n_1: (0,0), (1,0), (0,1), (2,0), (1,1), (0,2), ...

    Parameters
    ----------
    x, y : offsets from the centre, arcsec, broadcasting to (batch, rows, columns)
    beta : scale, arcsec, (batch, 1, 1)
    order : largest sum of orders

    Returns
    -------
    (batch, count, rows, columns)

    References
    ----------
    Refregier (2003), MNRAS 338, 35
    """
    along, across = _functions(x / beta, order), _functions(y / beta, order)
    products = [along[total - n] * across[n] for total in range(order + 1) for n in range(total + 1)]
    return torch.stack(products, -3)


def _functions(x: Tensor, order: int) -> list[Tensor]:
    functions = [math.pi**-0.25 * torch.exp(-0.5 * x * x)]
    before = torch.zeros_like(functions[0])
    for n in range(order):
        here = functions[-1]
        functions.append(math.sqrt(2.0 / (n + 1)) * x * here - math.sqrt(n / (n + 1)) * before)
        before = here
    return functions
