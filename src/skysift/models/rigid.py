"""The rigid Poisson fit of templates: non-negative norms at the maximum of the likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_rigid"]


def fit_rigid(
    counts: NDArray[np.float64], templates: NDArray[np.float64], largest: float = np.inf
) -> NDArray[np.float64]:
    r"""Return the norms that maximise :math:`\sum d \ln\mu - \mu` with :math:`\mu = \sum_i A_i T_i`, 0 <= A <= largest.

    Bounded quasi-Newton steps from an expectation-maximisation start; the problem is concave.

    Parameters
    ----------
    counts : (E, P)
    templates : (n, E, P), counts per pixel at unit norm
    largest : upper bound of every norm

    Returns
    -------
    (n,)

    Examples
    --------
    >>> fit_rigid(np.array([[2.0, 4.0]]), np.array([[[1.0, 2.0]]]))
    array([2.])
    """
    from scipy.optimize import minimize

    data, shapes = counts.ravel(), templates.reshape(len(templates), -1)
    seen = shapes.sum(0) > 0
    data, shapes = data[seen], shapes[:, seen]
    sums = shapes.sum(1)
    scaled = shapes / np.maximum(sums, 1e-300)[:, None]
    share = np.full(len(shapes), data.sum() / len(shapes))
    for _ in range(30):
        share = share * (scaled @ (data / np.maximum(share @ scaled, 1e-300)))
    total = max(float(data.sum()), 1.0)

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mu = np.maximum(x @ scaled, 1e-300)
        return float((mu - data * np.log(mu)).sum() / total), scaled @ (1.0 - data / mu) / total

    bounds = [(0.0, largest * total_i if np.isfinite(largest) else None) for total_i in sums]
    start = np.clip(share, 0.0, [np.inf if high is None else high for _, high in bounds])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-12}
    )
    norms: NDArray[np.float64] = found.x / np.maximum(sums, 1e-300)
    return norms
