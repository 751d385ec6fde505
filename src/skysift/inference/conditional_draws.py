"""Draws of one parameter from its marginal on a grid, and of everything else given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from skysift.contract import hook
from skysift.inference.importance import FREEDOM, log_student
from skysift.inference.psis import SmoothedWeights, smooth_weights, truncate_weights
from skysift.inference.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Stream
    from skysift.inference.hyper import Node
    from skysift.inference.marginal import Marginal
    from skysift.inference.profiles import Profile

__all__ = ["Drawn", "draw_from", "reweigh"]

Kind = Literal["posterior", "proposal", "flat"]
FARTHEST = 30.0
BLOCK = 250  # neighbours in the parameter that share their weights


class Drawn(NamedTuple):
    """Draws z (n, d) in rising order of the parameter, node of each (n,), log density they were drawn with (n,)."""

    z: Tensor
    variant: Tensor
    log_q: Tensor

    def shuffle(self, random: np.random.Generator) -> Drawn:
        """Return the draws in another order, so that any part of them is a fair sample."""
        order = torch.as_tensor(random.permutation(len(self.z)))
        return Drawn(self.z[order], self.variant[order], self.log_q[order])


def draw_from(
    model: Model,
    name: str,
    marginal: Marginal,
    log_density: np.ndarray,
    profiles: Sequence[Profile],
    count: int,
    stream: Stream,
    kind: Kind,
) -> Drawn:
    """Draw the parameter from a density on the grid and the rest from the Gaussian of its node, given it.

    ``posterior`` draws are in z. ``proposal`` draws are too, and norms have the tails of a Student-t, as in
    `Proposal`, because they will be weighted. ``flat`` draws leave the parameter's physical value in its place in z,
    for values outside the prior's support. ``log_q`` is a density in z up to a constant of the node.
    """
    random = stream.numpy("grid-draws", "flat" if kind == "flat" else "posterior")
    density = np.exp(log_density - log_density.max())
    edges = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    position = np.interp((np.arange(count) + random.random(count)) / count, edges, np.arange(len(edges)))
    values = np.clip(marginal.grid[0] + (position - 0.5) * marginal.step, marginal.grid[0], marginal.grid[-1])
    nearest = np.clip(np.rint((values - marginal.grid[0]) / marginal.step).astype(int), 0, len(marginal.grid) - 1)
    pick = (marginal.shares[:, nearest].cumsum(0) < random.random(count)).sum(0).clip(max=len(profiles) - 1)
    place = model.parameters.slices[name].start
    rest = torch.ones(model.parameters.size, dtype=torch.bool)
    rest[place] = False
    few = ~model.parameters.block_mask("field")[rest]
    prior, column = model.parameters[name].prior, torch.as_tensor(values)
    z = torch.empty(count, model.parameters.size, dtype=torch.float64)
    # a draw on the very edge of the support would be infinitely far out
    z[:, place] = column if kind == "flat" else prior.to_z(column).clamp(-FARTHEST, FARTHEST)
    log_q = torch.as_tensor(np.interp(values, marginal.grid, log_density))
    if kind != "flat":
        log_q = log_q + prior.log_jacobian(z[:, place])
    generator = stream.generator("grid-rest", "flat" if kind == "flat" else "posterior")
    for k, profile in enumerate(profiles):
        mine = np.flatnonzero(pick == k)
        if not len(mine) or not bool(rest.any()):
            continue
        noise, log_noise = _draw_noise(len(mine), few & (kind == "proposal"), generator)
        block = torch.empty(len(mine), model.parameters.size, dtype=torch.float64)
        block[:, rest] = _centre(profile, values[mine]) + (noise @ profile.factor.T).cpu()
        block[:, place] = z[mine, place]
        z[mine] = block
        share = np.log(np.maximum(np.interp(values[mine], marginal.grid, marginal.shares[k]), 1e-300))
        log_q[mine] += torch.as_tensor(share) + log_noise.cpu()
    return Drawn(z, torch.as_tensor(pick), log_q)


def _draw_noise(count: int, few: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise (n, d), heavy-tailed in the ``few`` (d,) that are no field, and its log density up to a constant."""
    noise = torch.randn(count, len(few), generator=generator, dtype=torch.float64, device=generator.device)
    squares = torch.randn(count, int(FREEDOM), generator=generator, dtype=torch.float64, device=generator.device)
    noise[:, few] *= (FREEDOM / squares.square().sum(1, keepdim=True)).sqrt()
    log_density: Tensor = -0.5 * noise[:, ~few].square().sum(1)
    if bool(few.any()):
        log_density = log_density + log_student(noise[:, few].square().sum(1), int(few.sum()))
    return noise, log_density


def _centre(profile: Profile, values: np.ndarray) -> Tensor:
    """Return the mean of the rest at values of the parameter, (n, d - 1)."""
    from scipy.interpolate import interp1d

    means = profile.centres.cpu().numpy()
    spline = interp1d(profile.at, means, axis=0, bounds_error=False, fill_value="extrapolate")
    return torch.as_tensor(spline(values))


def reweigh(model: Model, drawn: Drawn, nodes: Sequence[Node], stream: Stream) -> tuple[Drawn, SmoothedWeights]:
    """Resample the rest by importance among neighbours in the parameter, so that its marginal stays what it is.

    The Gaussian that the rest was drawn from is wrong where few counts hold a field: the posterior then has a longer
    tail on one side, and draws from the Gaussian lie too high in density. What the weights say of all draws together
    is returned as well.
    """
    random = stream.numpy("grid-resample")
    chosen = np.arange(len(drawn.z))
    total = torch.full((len(chosen),), -torch.inf, dtype=torch.float64)
    for k in np.unique(drawn.variant.numpy()):
        mine = np.flatnonzero(drawn.variant.numpy() == k)
        at = hook(model, "at") if hook(model, "hyper") is not None else None
        target = Target(model if at is None else at(nodes[k].values), device=stream.device)
        log_weight = target.log_density(drawn.z[mine].to(stream.device)).cpu() - drawn.log_q[mine]
        total[mine] = log_weight - log_weight[torch.isfinite(log_weight)].max()
        for block in np.array_split(np.arange(len(mine)), max(1, round(len(mine) / BLOCK))):
            weight = torch.softmax(truncate_weights(log_weight[block]), 0).numpy()
            grid = (np.arange(len(block)) + random.random()) / len(block)
            picked = np.searchsorted(weight.cumsum(), grid).clip(max=len(block) - 1)
            chosen[mine[block]] = mine[block][picked]
    return Drawn(drawn.z[chosen], drawn.variant[chosen], drawn.log_q[chosen]), smooth_weights(total)
