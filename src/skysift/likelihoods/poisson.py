"""The Poisson likelihood of binned counts and its derivatives in the expected counts."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["poisson_constant", "poisson_curvature", "poisson_log_likelihood", "poisson_residual"]


def poisson_constant(counts: Tensor) -> Tensor:
    r"""Return :math:`\sum_p \ln\Gamma(d_p + 1)`, the part of the log likelihood that knows no expectation, ()."""
    return torch.lgamma(counts + 1.0).sum()


def poisson_log_likelihood(counts: Tensor, expected: Tensor, constant: Tensor | None = None) -> Tensor:
    r"""Sum the Poisson log probability over the last axis.

    .. math:: \ln L = \sum_p d_p \ln\mu_p - \mu_p - \ln\Gamma(d_p + 1), \qquad 0 \ln 0 = 0

    Impossible data (counts where nothing is expected, or an expectation that is negative or not finite) give -inf,
    never NaN.

    Parameters
    ----------
    counts : (data,), counts, float64
    expected : (batch, data), counts
    constant : (), `poisson_constant` where it is known

    Returns
    -------
    (batch,)

    Examples
    --------
    >>> poisson_log_likelihood(torch.tensor([0.0, 2.0]), torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    tensor([-1.3069,    -inf])
    """
    constant = poisson_constant(counts) if constant is None else constant
    if is_possible(expected):
        total = expected.log() @ counts - expected.sum(-1) - constant
        # an infinite expectation leaves inf - inf behind
        return torch.where(torch.isnan(total), -torch.inf, total)
    possible = ((expected > 0) & (expected < torch.inf)) | ((expected == 0) & (counts == 0))
    terms = torch.xlogy(counts, torch.where(possible, expected, 1.0)) - expected
    return torch.where(possible.all(-1), terms.sum(-1) - constant, -torch.inf)


def poisson_residual(counts: Tensor, expected: Tensor) -> Tensor:
    r"""Return the derivative of the log likelihood in the expectation, :math:`d / \mu - 1`, zero where impossible.

    Parameters
    ----------
    counts : (data,)
    expected : (batch, data)

    Returns
    -------
    (batch, data)
    """
    if is_possible(expected):
        return (counts / expected).sub_(1.0)
    return torch.where(expected > 0, counts / torch.where(expected > 0, expected, 1.0) - 1.0, 0.0)


def poisson_curvature(counts: Tensor, expected: Tensor, *, observed: bool) -> Tensor:
    r"""Return minus the second derivative in the expectation: :math:`d/\mu^2`, or its mean :math:`1/\mu`.

    Parameters
    ----------
    counts : (data,)
    expected : (batch, data)
    observed : the data's own curvature instead of its expectation

    Returns
    -------
    (batch, data), zero where nothing is expected
    """
    safe = torch.where(expected > 0, expected, 1.0)
    return torch.where(expected > 0, (counts / safe if observed else torch.ones_like(safe)) / safe, 0.0)


def is_possible(expected: Tensor) -> bool:
    """Tell whether something is expected everywhere; one pass, and False for NaN."""
    return expected.numel() == 0 or bool(expected.amin() > 0)
