"""Draws of integrated hyper-parameters: from the nodes of a quadrature to the density that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["spread_draws"]

FINE = 2001
BEYOND = 2.0


def spread_draws(
    theta: NDArray[np.float64],
    log_weight: NDArray[np.float64],
    variant: NDArray[np.int64],
    random: np.random.Generator,
) -> NDArray[np.float64]:
    r"""Return draws of hyper-parameters, one for each draw of the rest, spread over the part of its node.

    The nodes :math:`\theta_k = \hat\theta + S x_k` of a Gauss-Hermite quadrature carry the log density
    :math:`g(x_k) - x_k^2/2`; in between g is a cubic spline, beyond the outermost nodes it stays as it is. Axis by
    axis, given the nodes of the axes before, the nodes' weights cut that density into parts, and each draw falls into
    the part of its own node: so that draws follow the density, and belong to the draws of the rest.

    Parameters
    ----------
    theta : (nodes, n), all points of the grid, the last axis fastest
    log_weight : (nodes,)
    variant : (draws,), node of each draw
    random : places draws inside their parts

    Returns
    -------
    (draws, n)
    """
    size = theta.shape[1]
    count = round(len(theta) ** (1 / size))
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    corners = theta.reshape(*[count] * size, size)
    first = corners[(0,) * size]
    reach = points[-1] - points[0]
    axes = np.stack([corners[tuple(count - 1 if k == j else 0 for k in range(size))] - first for j in range(size)], 1)
    index = np.stack(np.unravel_index(variant, [count] * size), 1)
    table = log_weight.reshape([count] * size)
    x = np.empty((len(variant), size))
    for j in range(size):
        marginal = np.logaddexp.reduce(table.reshape(*[count] * (j + 1), -1), axis=-1)
        for before in np.unique(index[:, :j], axis=0):
            rows = np.flatnonzero((index[:, :j] == before).all(axis=1))
            quantile, edges = _cut(marginal[tuple(before)], points, weights)
            low, high = edges[index[rows, j]], edges[index[rows, j] + 1]
            x[rows, j] = quantile(low + (high - low) * random.random(len(rows)))
    return np.asarray(theta.mean(axis=0) + x @ axes.T / reach)


def _cut(
    log_weight: NDArray[np.float64], points: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], NDArray[np.float64]]:
    """Return the quantile function of the density along one axis, and the shares below which nodes have their part."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(points, log_weight - np.log(weights))
    grid = np.linspace(points[0] - BEYOND, points[-1] + BEYOND, FINE)
    log_density = spline(np.clip(grid, points[0], points[-1])) - 0.5 * grid**2
    density = np.exp(log_density - log_density.max())
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    shares = np.exp(log_weight - np.logaddexp.reduce(log_weight)).cumsum()
    edges = np.concatenate([[0.0], shares / shares[-1]])
    return lambda share: np.interp(share, below / below[-1], grid), edges
