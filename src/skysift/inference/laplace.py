"""The Laplace engine: a Gaussian at the mode, corrected by importance sampling; hyper-parameters by evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from skysift.contract import hook
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Check, Result
from skysift.inference.hyper import Node, Quadrature, integrate, laplace_log_z
from skysift.inference.importance import MOST_ROUNDS, Proposal, Weighted, weigh
from skysift.inference.newton import Optimum, climb, expand, factorise_information
from skysift.inference.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream

__all__ = ["Settings", "find_start", "optimum_checks", "run", "settle"]


@dataclass(frozen=True)
class Settings:
    """``draws`` stored; ``importance`` draws per node (0: none); ``observed`` information instead of expected.

    Draws are taken in up to four rounds, each from a better proposal, where one is worth too little.
    """

    draws: int = 4000
    importance: int = 2000
    observed: bool = True


def find_start(model: Model, start: Start, stream: Stream) -> Tensor:
    """Return where to climb from, (d,): the mode so far, a point, the model's own guess, or the prior's middle."""
    if start.mode is not None:
        return start.mode
    if start.z is not None:
        return start.z[0]
    guess = hook(model, "starting_points")
    if guess is not None:
        return model.parameters.unconstrain(guess(1, stream.generator("start")))[0]
    middle = model.parameters.from_cube(torch.full((model.parameters.cube_size,), 0.5, dtype=torch.float64))
    return model.parameters.unconstrain(middle).to(stream.device)


def settle(
    model: Model, z: Tensor, stream: Stream, checkpoint: Checkpoint = NOWHERE, target: Target | None = None
) -> Quadrature:
    """Return the nodes of a model: its quadrature over ``hyper``, or the one mode of a model without.

    That mode is climbed on ``target`` where one is given, which counts.
    """
    if hook(model, "hyper") is not None:
        return integrate(model, z, int(hook(model, "hyper_nodes") or 1), stream.device, checkpoint)
    optimum = climb(target or Target(model, device=stream.device), z, checkpoint=checkpoint)
    log_z = laplace_log_z(optimum)
    return Quadrature([Node(z.new_zeros(0), {}, model, optimum, log_z, 0.0)], log_z, 1, 0.0)


def expect(quadrature: Quadrature, stream: Stream) -> Quadrature:
    """Return the quadrature with the mean of the information over data in place of the data's own."""
    nodes = []
    for node in quadrature.nodes:
        information = expand(Target(node.model, device=stream.device), node.optimum.z, False).information
        factor, is_definite = factorise_information(information)
        optimum = replace(node.optimum, covariance_factor=factor, is_definite=is_definite)
        log_z = laplace_log_z(optimum)
        nodes.append(replace(node, optimum=optimum, log_z=log_z, log_weight=node.log_weight + log_z - node.log_z))
    shift = float(torch.tensor([node.log_weight for node in nodes], dtype=torch.float64).logsumexp(0))
    nodes = [replace(node, log_weight=node.log_weight - shift) for node in nodes]
    return replace(quadrature, nodes=nodes, log_z=quadrature.log_z + shift)


def optimum_checks(optimum: Optimum) -> list[Check]:
    """Return the checks on a mode: last gain, Newton decrement, positive definite information."""
    stopped = optimum.last_gain < 0.1 and optimum.decrement < 1e-2
    return [
        Check(
            "last gain",
            optimum.last_gain,
            "< 0.1 nat",
            "green" if stopped else "red",
            "" if stopped else "start nearer",
        ),
        Check(
            "information positive definite",
            float(optimum.is_definite),
            "yes",
            "green" if optimum.is_definite else "red",
            "" if optimum.is_definite else "the mode is a saddle or a ridge: look for degenerate components",
        ),
    ]


def share_out(weights: Tensor, count: int) -> Tensor:
    """Return how many of ``count`` draws each node gets, by largest remainders, (nodes,)."""
    exact = weights * count
    whole = exact.floor().long()
    rest = count - int(whole.sum())
    whole[(exact - whole).argsort(descending=True)[:rest]] += 1
    return whole


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Approximate the posterior by a Gaussian at its mode, one per node of the hyper-parameters' quadrature.

    With ``importance``, draws are weighted by target over proposal and log Z is their mean weight; the weights are
    reported with k-hat, ESS and the largest of them.
    """
    target = Target(model, device=stream.device) if hook(model, "hyper") is None else None
    checkpoint = checkpoint.metered(target)
    quadrature = settle(model, find_start(model, start, stream), stream, checkpoint.child("settle"), target)
    if not settings.observed:
        quadrature = expect(quadrature, stream)
    place = max(range(len(quadrature.nodes)), key=lambda k: quadrature.nodes[k].log_weight)
    heavy = quadrature.nodes[place]
    checks = optimum_checks(heavy.optimum)
    weights = torch.softmax(torch.tensor([node.log_weight for node in quadrature.nodes], dtype=torch.float64), 0)
    log_z, error, method = quadrature.log_z, None, "laplace"
    traces = node_traces(quadrature)
    if settings.importance:
        pieces = [
            _weigh(node, settings, stream.child(f"node-{k}"), checkpoint.child(f"node-{k}"), target)
            for k, node in enumerate(quadrature.nodes)
        ]
        draws, log_weights, variant = _gather(pieces, weights, quadrature)
        pairs = zip(pieces, quadrature.nodes, strict=True)
        gains = torch.tensor([piece.log_z - node.log_z for piece, node in pairs], dtype=torch.float64)
        shifted = weights.log() + gains
        log_z = quadrature.log_z + float(shifted.logsumexp(0))
        best = pieces[place]
        error, method = best.log_z_error, "laplace, importance weighted"
        checks += best.checks()
    else:
        draws, variant = _draw(quadrature, weights, settings.draws, stream)
        log_weights = None
    cost = {"cpu_s": checkpoint.cost()["cpu_seconds"], "evidences": float(quadrature.evaluations)}
    return Result(
        "laplace",
        draws[None],
        None if log_weights is None else log_weights[None],
        heavy.optimum.z,
        heavy.optimum.covariance_factor,
        log_z,
        error,
        method,
        checks,
        traces,
        cost | (target.cost() if target else {}),
        variant[None],
        start.describe(),
    )


def node_traces(quadrature: Quadrature) -> dict[str, Tensor]:
    """Return the nodes as tables: values by name and log weights, (nodes,) each."""
    if not quadrature.nodes[0].values:
        return {}
    names = quadrature.nodes[0].values
    table = {f"node_{name}": torch.stack([node.values[name] for node in quadrature.nodes]) for name in names}
    return table | {
        "node_log_weight": torch.tensor([node.log_weight for node in quadrature.nodes], dtype=torch.float64)
    }


def _weigh(node: Node, settings: Settings, stream: Stream, checkpoint: Checkpoint, target: Target | None) -> Weighted:
    def weigh_node(here: Checkpoint) -> Weighted:
        proposal = Proposal.at(node.optimum.z, node.optimum.covariance_factor, node.model.parameters)
        own = target or Target(node.model, device=stream.device)
        return weigh(own, proposal, settings.importance, stream.generator("importance"), MOST_ROUNDS)

    return checkpoint.once_as(Weighted, weigh_node)


def _gather(pieces: list[Weighted], weights: Tensor, quadrature: Quadrature) -> tuple[Tensor, Tensor, Tensor]:
    """Join weighted draws of all nodes: each node's draws carry its weight among nodes."""
    least = min(len(piece.draws) for piece in pieces)
    logs = [
        piece.log_weights - node.log_z + weight.log() + math.log(least / len(piece.draws))
        for piece, node, weight in zip(pieces, quadrature.nodes, weights, strict=True)
    ]
    variant = torch.cat([torch.full((len(log),), k) for k, log in enumerate(logs)])
    return torch.cat([piece.draws for piece in pieces]), torch.cat(logs), variant


def _draw(quadrature: Quadrature, weights: Tensor, count: int, stream: Stream) -> tuple[Tensor, Tensor]:
    generator = stream.generator("draws")
    parts, variant = [], []
    for k, (node, share) in enumerate(zip(quadrature.nodes, share_out(weights, count).tolist(), strict=True)):
        noise = torch.randn(share, len(node.optimum.z), generator=generator, dtype=torch.float64, device=stream.device)
        parts.append(node.optimum.z + noise @ node.optimum.covariance_factor.T)
        variant.append(torch.full((share,), k))
    order = torch.randperm(count, generator=generator, device=stream.device)
    return torch.cat(parts)[order], torch.cat(variant)[order.cpu()]
