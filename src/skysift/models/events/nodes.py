"""Sources that move with one or two parameters: folded at a few values of them, polynomials in between."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skysift.models.events.parameters import make_source_prior

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.config.events import EventComponent

__all__ = ["find_nodes", "interpolate_nodes", "list_nodes"]

Nodes = Mapping[str, "NDArray[np.float64]"]
#: Nodes along each parameter: between them shares of a J-map are known to a thousandth where they are faint. Of a
#: density, of which J-factors are powers, two are exact.
COUNTS = {"gamma": 12, "alpha": 10, "beta": 6, "r_s": 8, "local_density": 2}
#: Scales and exponents, whose effect is even in the logarithm.
LOGARITHMIC = ("alpha", "beta", "r_s", "local_density")
MOST_PARAMETERS = 2
TAIL = 1e-4


def find_nodes(component: EventComponent) -> dict[str, NDArray[np.float64]]:
    """Return Chebyshev nodes over the priors of a profile's parameters; empty where there are more than two.

    Parameters
    ----------
    component : of dark matter, with free parameters of its profile
    """
    profile = component.profile.priors if component.profile is not None else {}
    names = [name for name in profile if name not in component.share]
    if not 1 <= len(names) <= MOST_PARAMETERS or any(name in profile for name in component.share):
        return {}
    nodes = {}
    for name in names:
        low, high = profile[name].support
        if not np.isfinite([low, high]).all():
            tails = make_source_prior(profile[name]).from_cube(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64))
            low, high = (float(tail) for tail in tails)
        if name in LOGARITHMIC and low <= 0:
            return {}
        unit = np.cos(np.pi * (np.arange(COUNTS[name]) + 0.5) / COUNTS[name])
        ends = _stretch(name, np.array([low, high]))
        places = 0.5 * ends.sum() + 0.5 * (ends[1] - ends[0]) * unit
        nodes[name] = np.exp(places) if name in LOGARITHMIC else places
    return nodes


def _stretch(name: str, values: Any) -> Any:  # noqa: ANN401 - an array, or a tensor
    """Return values of a parameter in the coordinate that polynomials run in."""
    if name not in LOGARITHMIC:
        return values
    return values.log() if isinstance(values, torch.Tensor) else np.log(values)


def list_nodes(nodes: Nodes) -> list[dict[str, float]]:
    """Return the values of the parameters at every node, the last parameter fastest."""
    return [dict(zip(nodes, place, strict=True)) for place in itertools.product(*(map(float, nodes[n]) for n in nodes))]


def interpolate_nodes(nodes: Nodes, values: Mapping[str, Tensor]) -> Tensor:
    r"""Return the weight of each node at values (B,) of the parameters, (B, nodes): products of Lagrange polynomials.

    .. math:: L_g(x) = \prod_{h \ne g} \frac{x - x_h}{x_g - x_h}

    with x the logarithm of a scale or exponent, and a slope as it is.
    Values beyond the outermost nodes, by as little as Chebyshev nodes leave free, are extrapolated.
    """
    weights = None
    for name, places in nodes.items():
        at = _stretch(name, torch.as_tensor(places))
        away = _stretch(name, values[name])[:, None] - at
        own = torch.eye(len(at), dtype=torch.bool)
        numerator = torch.where(own, 1.0, away[:, None, :]).prod(-1)
        scale = torch.where(own, 1.0, at[:, None] - at).prod(-1)
        part = numerator / scale
        weights = part if weights is None else (weights[:, :, None] * part[:, None, :]).flatten(1)
    assert weights is not None  # noqa: S101 - there is a node
    return weights
