"""The Gaussian likelihood of pixels of known variance, and of one that follows the expectation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "LinearFit",
    "gaussian_curvature",
    "gaussian_information",
    "gaussian_log_likelihood",
    "gaussian_residual",
    "marginalise_linear",
]

LOG_2PI = math.log(2.0 * math.pi)


def gaussian_log_likelihood(data: Tensor, expected: Tensor, variance: Tensor) -> Tensor:
    r"""Sum the Gaussian log density over the last axis.

    .. math:: \ln L = -\frac12 \sum_p \frac{(d_p - \mu_p)^2}{V_p} + \ln 2 \pi V_p

    What is not a number, or has no variance, gives -inf, never NaN.

    Parameters
    ----------
    data : (data,)
    expected : (batch, data)
    variance : (data,) or (batch, data)

    Returns
    -------
    (batch,)

    Examples
    --------
    >>> gaussian_log_likelihood(torch.zeros(2), torch.zeros(1, 2), torch.ones(2))
    tensor([-1.8379])
    """
    residual = data - expected
    total = (residual * residual / variance).sum(-1) + variance.log().sum(-1) + data.shape[-1] * LOG_2PI
    return torch.where(torch.isfinite(total), -0.5 * total, -torch.inf)


def gaussian_residual(data: Tensor, expected: Tensor, variance: Tensor) -> Tensor:
    r"""Return the derivative of the log likelihood in the expectation at fixed variance, :math:`(d - \mu) / V`."""
    residual: Tensor = (data - expected) / variance
    return residual


def gaussian_curvature(expected: Tensor, variance: Tensor) -> Tensor:
    r"""Return minus the second derivative in the expectation at fixed variance, :math:`1 / V`, (batch, data)."""
    weights: Tensor = variance.reciprocal()
    return weights.expand_as(expected)


def gaussian_information(variance: Tensor, slope: Tensor) -> Tensor:
    r"""Return Fisher weights :math:`1/V + V'^2 / 2 V^2` for a variance that changes with the expectation by V'."""
    inverse = variance.reciprocal()
    return inverse + 0.5 * (slope * inverse).square()


class LinearFit(NamedTuple):
    """Marginal log likelihood (batch,), mean (batch, K) of the amplitudes, and factor (batch, K, K) of their precision.

    Amplitudes given all else are normal; with the lower factor L of the precision, their covariance is (L L')^-1.
    """

    log_likelihood: Tensor
    mean: Tensor
    precision_factor: Tensor

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return one draw of the amplitudes per row, (batch, K)."""
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        upper = self.precision_factor.transpose(-1, -2)
        shift: Tensor = torch.linalg.solve_triangular(upper, noise[..., None], upper=True)
        return self.mean + shift[..., 0]


def marginalise_linear(
    residual: Tensor, design: Tensor, variance: Tensor, prior_mean: Tensor, prior_sd: Tensor
) -> LinearFit:
    r"""Integrate amplitudes with independent normal priors out of a Gaussian likelihood.

    .. math:: \ln p(d) = -\frac12 \left[r' C^{-1} r - h' F^{-1} h + \ln|2 \pi C| + \ln|S| + \ln|F|\right]

    with :math:`r = d - \mu_0 - A m`, :math:`F = A' C^{-1} A + S^{-1}` and :math:`h = A' C^{-1} r`.

    Parameters
    ----------
    residual : (batch, data), the data minus everything that the amplitudes do not multiply
    design : A, (batch, K, data), images of unit amplitude
    variance : diagonal of C, (data,), which must not depend on the amplitudes
    prior_mean, prior_sd : m and the roots of S, (K,)

    Returns
    -------
    marginal log likelihood, and the normal posterior of the amplitudes

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, eq. 2.43
    """
    r = residual - (prior_mean[None, None] @ design).squeeze(-2)
    weighted = design / variance
    # in units of the prior's sd the precision is 1 + something, and its determinant that of S F
    gram = (weighted @ design.transpose(-1, -2)) * prior_sd * prior_sd[:, None]
    one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, _ = torch.linalg.cholesky_ex(gram + one)
    h = prior_sd * (weighted @ r[..., None]).squeeze(-1)
    half = torch.linalg.solve_triangular(factor, h[..., None], upper=False)
    scaled = torch.linalg.solve_triangular(factor.transpose(-1, -2), half, upper=True).squeeze(-1)
    log_determinant = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    square = (r * r / variance).sum(-1) - half.square().sum((-2, -1))
    total = square + variance.log().sum(-1) + residual.shape[-1] * LOG_2PI + log_determinant
    log_likelihood = torch.where(torch.isfinite(total), -0.5 * total, -torch.inf)
    return LinearFit(log_likelihood, prior_mean + prior_sd * scaled, factor / prior_sd[:, None])
