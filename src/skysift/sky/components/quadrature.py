"""Integrals of spectra over energy bins, divided where a spectrum has kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

__all__ = ["integrate_bins"]

_NODES = 16
_WIDEST = math.log(2.0)


@cache
def _make_rule() -> tuple[Tensor, Tensor]:
    """Return points between 0 and 1, and weights that add up to 1."""
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(_NODES)
    return torch.as_tensor(0.5 * (1 + points)), torch.as_tensor(0.5 * weights)


def integrate_bins(density: Callable[[Tensor], Tensor], edges_tev: Tensor, breaks_tev: Tensor | None = None) -> Tensor:
    r"""Return integrals over bins by Gauss-Legendre rules in the logarithm of the energy.

    .. math:: \int_a^b \phi(E)\, dE = \int_{\ln a}^{\ln b} \phi(e^u)\, e^u\, du

    Bins are divided where they are wider than a factor of 2, and at kinks: a rule that runs across one converges
    slowly, and jumps where a kink that moves passes a node.

    Parameters
    ----------
    density : maps energies (n,) or (batch, n) to (n,) or (batch, n)
    edges_tev : (K + 1,) rising, TeV
    breaks_tev : (m,) or (batch, m), energies of kinks in any order, TeV

    Returns
    -------
    (K,) or (batch, K), density times TeV
    """
    low, high = edges_tev[:-1], edges_tev[1:]
    pieces = max(1, math.ceil(float((high / low).log().max()) / _WIDEST))
    steps = torch.arange(pieces + 1, dtype=torch.float64, device=low.device) / pieces
    cuts = (low[:, None] * (high / low)[:, None] ** steps).reshape(-1)
    if breaks_tev is not None and breaks_tev.shape[-1]:
        inside = breaks_tev.clamp(float(low[0]), float(high[-1]))
        shape = inside.shape[:-1]
        cuts = torch.cat([cuts.expand(*shape, -1), inside], -1).sort(-1).values
    start, end = cuts[..., :-1], cuts[..., 1:]
    points, weights = (part.to(low.device) for part in _make_rule())
    width = (end / start).log()
    energy = start[..., None] * (width[..., None] * points).exp()
    flat = energy.reshape(*energy.shape[:-2], -1)
    values = density(flat)
    parts = (values.reshape(*values.shape[:-1], *energy.shape[-2:]) * energy * weights).sum(-1) * width
    # Pieces are gathered into bins by where their middle lies.
    bins = torch.searchsorted(edges_tev, (start * end).sqrt().detach().contiguous(), right=True) - 1
    bins = bins.clamp(0, len(low) - 1).expand(parts.shape)
    return parts.new_zeros(*parts.shape[:-1], len(low)).scatter_add(-1, bins, parts)
