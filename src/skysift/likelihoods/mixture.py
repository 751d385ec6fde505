"""Mixtures of event densities: linear in the shares, scaled event by event, with derivatives and EM in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "differentiate_mixture",
    "extended_log_likelihood",
    "maximise_shares",
    "mixture_information",
    "mixture_log_likelihood",
    "scale_densities",
]

BLOCK_NUMBERS = 2**18


def scale_densities(log_densities: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return :math:`u_{is} = p_{is} e^{-m_i}` and :math:`m_i = \max_s \ln p_{is}`.

    Parameters
    ----------
    log_densities : (..., n, S), ln of 1 / (TeV deg2), or any other measure of the data; -inf where impossible

    Returns
    -------
    scaled (..., n, S), largest value 1 (0 where every component is impossible), and offsets (..., n)

    Examples
    --------
    >>> scale_densities(torch.tensor([[0.0, -torch.inf]]))
    (tensor([[1., 0.]]), tensor([0.]))
    """
    offsets = log_densities.amax(-1)
    safe = torch.where(torch.isfinite(offsets), offsets, 0.0)
    return torch.exp(log_densities - safe[..., None]), offsets


def mixture_log_likelihood(shares: Tensor, scaled: Tensor, counts: Tensor, constant: Tensor | float = 0.0) -> Tensor:
    r"""Return the log likelihood of a mixture.

    .. math:: \ln L = \sum_i w_i \left[ m_i + \ln \sum_s f_s u_{is} \right]

    Events that the shares make impossible give -inf, never NaN. Differentiable by autograd, twice.

    Parameters
    ----------
    shares : (B, S), f
    scaled : (n, S) or (B, n, S), u
    counts : (n,), w > 0, events in each row
    constant : () or (B,), :math:`\sum_i w_i m_i`

    Returns
    -------
    (B,)

    Examples
    --------
    >>> u = torch.tensor([[1.0, 0.5], [0.25, 1.0]], dtype=torch.float64)
    >>> mixture_log_likelihood(torch.tensor([[1.0, 0.0]], dtype=torch.float64), u, torch.ones(2, dtype=torch.float64))
    tensor([-1.3863], dtype=torch.float64)
    """
    rows = max(1, BLOCK_NUMBERS // max(1, len(counts)))
    if len(shares) <= rows:
        total = _sum_logs(shares, scaled, counts)
    else:
        pairs = zip(torch.split(shares, rows), _split(scaled, rows, len(shares)), strict=True)
        total = torch.cat([_sum_logs(part, table, counts) for part, table in pairs])
    return total.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf) + constant


def extended_log_likelihood(expected: Tensor, scaled: Tensor, counts: Tensor, constant: Tensor | float = 0.0) -> Tensor:
    r"""Return the extended Poisson log likelihood, :math:`-\sum_s \nu_s + \sum_i w_i [m_i + \ln \sum_s \nu_s u_{is}]`.

    Parameters
    ----------
    expected : (B, S), nu, events of each component
    scaled, counts, constant : as in `mixture_log_likelihood`
    """
    return mixture_log_likelihood(expected, scaled, counts, constant) - expected.sum(-1)


def differentiate_mixture(shares: Tensor, scaled: Tensor, counts: Tensor) -> Tensor:
    r"""Return the gradient in the shares, :math:`g_s = \sum_i w_i u_{is} / (u f)_i`, (B, S).

    At the maximum on the simplex, g is the number of events for every share above zero.
    """
    weights = counts / _mix(shares, scaled)
    return weights @ scaled if scaled.ndim == 2 else (weights[:, None] @ scaled)[:, 0]


def mixture_information(shares: Tensor, scaled: Tensor, counts: Tensor) -> Tensor:
    r"""Return minus the Hessian in the shares, :math:`\sum_i w_i u_{is} u_{it} / (u f)_i^2`, (S, S), at one point.

    It is never negative: the log likelihood is concave.

    Parameters
    ----------
    shares : (S,)
    scaled : (n, S)
    counts : (n,)
    """
    pull = scaled * (counts.sqrt() / (scaled @ shares))[:, None]
    return pull.T @ pull


def maximise_shares(scaled: Tensor, counts: Tensor, prior: Tensor, steps: int = 200, tolerance: float = 1e-9) -> Tensor:
    r"""Return the shares at the maximum of likelihood times :math:`\prod_s f_s^{a_s}`, by expectation maximisation.

    .. math:: f_s \leftarrow \frac{f_s g_s + a_s}{\sum_i w_i + \sum_s a_s}

    With a Dirichlet's concentrations as ``prior`` this is the mode in log-ratios, which never lies on the boundary;
    with zeros it is the likelihood's own.

    Parameters
    ----------
    scaled : (n, S)
    counts : (n,)
    prior : (S,), a
    steps : at most so many
    tolerance : largest change of a share in the last step

    References
    ----------
    Dempster, Laird & Rubin (1977), section 4.3
    """
    size = scaled.shape[1]
    shares = torch.full((1, size), 1.0 / size, dtype=scaled.dtype, device=scaled.device)
    total = counts.sum() + prior.sum()
    for _ in range(steps):
        moved = (shares * differentiate_mixture(shares, scaled, counts) + prior) / total
        change = float((moved - shares).abs().max())
        shares = moved
        if not change > tolerance:
            break
    return shares[0]


def _mix(shares: Tensor, scaled: Tensor) -> Tensor:
    return shares @ scaled.T if scaled.ndim == 2 else (scaled @ shares[..., None])[..., 0]


def _sum_logs(shares: Tensor, scaled: Tensor, counts: Tensor) -> Tensor:
    total = _mix(shares, scaled)
    if total.requires_grad or total.device.type != "cpu":
        return torch.log(total) @ counts
    # numpy's logarithm is three times as fast as torch's
    with np.errstate(divide="ignore", invalid="ignore"):
        np.log(total.numpy(), out=total.numpy())
    return total @ counts


def _split(scaled: Tensor, rows: int, count: int) -> list[Tensor]:
    return list(torch.split(scaled, rows)) if scaled.ndim == 3 else [scaled] * -(-count // rows)
