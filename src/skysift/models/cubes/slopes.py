"""Derivatives of a source's expected counts: those of its few numbers, folded once each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from skysift.models.cubes.source import CubeSource

__all__ = ["differentiate_once", "differentiate_source", "differentiate_twice"]

Values = Mapping[str, Tensor]
Name = tuple[str, str]


def differentiate_once(function: Callable[[dict[str, Tensor]], Tensor], values: Values) -> tuple[Tensor, Tensor]:
    """Return a function (batch, ...) at one point, (...), and its derivatives in each number, (numbers, ...).

    The pull-back is linear in what it pulls; its own derivative pushes forward.
    """
    names, size = list(values), len(values)
    with torch.enable_grad():
        points = torch.stack([values[name].reshape(()) for name in names]).detach().expand(size, size).clone()
        points.requires_grad_()
        data = function({name: points[:, k] for k, name in enumerate(names)})
        dummy = torch.zeros_like(data, requires_grad=True)
        (pulled,) = torch.autograd.grad(data, points, dummy, create_graph=True)
        (slopes,) = torch.autograd.grad(pulled.diagonal().sum(), dummy)
    return data[0].detach(), slopes


def differentiate_twice(
    function: Callable[[dict[str, Tensor]], Tensor], values: Values
) -> dict[tuple[str, str], Tensor]:
    """Return second derivatives of a function (batch,) at one point, by pairs of names, both orders."""
    names, size = list(values), len(values)
    with torch.enable_grad():
        points = torch.stack([values[name].reshape(()) for name in names]).detach().expand(size, size).clone()
        points.requires_grad_()
        data = function({name: points[:, k] for k, name in enumerate(names)})
        (slope,) = torch.autograd.grad(data.sum(), points, create_graph=True)
        if not slope.requires_grad:
            return {}
        (second,) = torch.autograd.grad(slope.diagonal().sum(), points)
    second = 0.5 * (second + second.T)
    return {(one, other): second[k, j] for k, one in enumerate(names) for j, other in enumerate(names)}


def differentiate_source(
    source: CubeSource, spectral: Values, spatial: Values, pull: Tensor | None
) -> tuple[dict[Name, Tensor], dict[tuple[Name, Name], Tensor]]:
    """Return derivatives of a source's counts in its window, and second derivatives of their sum weighted by ``pull``.

    Parameters
    ----------
    source : on its cube
    spectral, spatial : values of all its numbers, each of one element
    pull : (energy, rows, columns), None where no second derivatives are wanted

    Returns
    -------
    role and name to (energy, rows, columns); pairs of them to ()
    """
    free = {role: list(source.moving[role]) for role in ("spectral", "spatial")}
    fold, shape = source.folding, (len(source.folding.shares[0]), source.window.rows, source.window.columns)
    flux, slopes = source.flux(spectral), torch.zeros(0, len(fold.shares), dtype=torch.float64)
    own = {name: spectral[name] for name in free["spectral"]}
    if own:
        _, slopes = differentiate_once(lambda some: source.flux({**spectral, **some}), own)
    light = source.light(spatial)
    moved, bend = torch.zeros(0, *light.shape[1:], dtype=torch.float64), {}
    place = {name: spatial[name] for name in free["spatial"]}
    if place:
        _, images = differentiate_once(lambda some: source.image({**spatial, **some}), place)
        moved = fold.expose(fold.spread(images))
    found: dict[Name, Tensor] = {}
    counts = [*fold.count(slopes, light), *fold.count(flux, moved)]
    names: list[Name] = [("spectral", name) for name in own] + [("spatial", name) for name in place]
    found = {name: part.reshape(shape) for name, part in zip(names, counts, strict=True)}
    if pull is not None:
        bend = _pull_twice(source, (spectral, own, flux, slopes), (spatial, place, light, moved), pull)
    return found, bend


def _pull_twice(
    source: CubeSource,
    spectral: tuple[Values, Values, Tensor, Tensor],
    spatial: tuple[Values, Values, Tensor, Tensor],
    pull: Tensor,
) -> dict[tuple[Name, Name], Tensor]:
    (every, own, flux, slopes), (everywhere, place, light, moved), fold = spectral, spatial, source.folding
    # what one photon of each true energy is worth in each pixel, before and after it is spread
    worth = fold.shares @ pull.flatten(1)
    found: dict[tuple[Name, Name], Tensor] = {}
    if own:
        weight = (worth * light[0]).sum(-1)
        second = differentiate_twice(lambda some: source.flux({**every, **some}) @ weight, own)
        found |= {(("spectral", a), ("spectral", b)): part for (a, b), part in second.items()}
    if own and place:
        cross = slopes @ (worth * moved).sum(-1).T
        for k, name in enumerate(own):
            for j, other in enumerate(place):
                found[("spectral", name), ("spatial", other)] = cross[k, j]
                found[("spatial", other), ("spectral", name)] = cross[k, j]
    if place:
        image = fold.gather(flux[0, :, None] * worth)[0]
        second = differentiate_twice(lambda some: (source.image({**everywhere, **some}) * image).sum((-2, -1)), place)
        found |= {(("spatial", a), ("spatial", b)): part for (a, b), part in second.items()}
    return found
