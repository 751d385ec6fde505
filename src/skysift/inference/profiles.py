"""Profiles of one parameter: optima and integrals of everything else at some of its values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.conditioned import Held
from skysift.inference.hyper import laplace_log_z
from skysift.inference.importance import Proposal, weigh
from skysift.inference.newton import climb
from skysift.inference.progress import follow
from skysift.inference.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Stream
    from skysift.inference.grid import Settings
    from skysift.inference.hyper import Node, Quadrature
    from skysift.inference.newton import Optimum
    from skysift.parameters import Parameters
    from skysift.parameters.priors import Prior

__all__ = ["Profile", "make_profiles"]

LEAST = 4
REACH = 5.0
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Profile:
    """One hyper-parameter node: centres of the rest at some values of the parameter, and log L there."""

    at: np.ndarray
    log_likelihood: np.ndarray
    centres: Tensor
    factor: Tensor
    errors: np.ndarray
    ess: np.ndarray


def make_profiles(
    quadrature: Quadrature,
    parameters: Parameters,
    settings: Settings,
    stream: Stream,
    prior_span: tuple[float, float],
    checkpoint: Checkpoint = NOWHERE,
) -> list[Profile]:
    """Profile the heaviest nodes in full; give the others the heaviest one's shape.

    Without limits of its own the grid goes on from the likelihood to where the prior has its mass, ``prior_span``.
    """
    order = sorted(range(len(quadrature.nodes)), key=lambda k: -quadrature.nodes[k].log_weight)
    done: dict[int, Profile] = {}
    held = 0.0
    with follow(f"grid over {settings.parameter}", len(order)) as update:
        for k in order:
            if held >= settings.profiled and done:
                done[k] = _transfer(
                    done[order[0]], quadrature.nodes[order[0]], quadrature.nodes[k], parameters, settings
                )
            else:
                make = partial(
                    _profile, quadrature.nodes[k], parameters, settings, stream.child(f"node-{k}"), prior_span
                )
                done[k] = checkpoint.child(f"node-{k}").once_as(Profile, make)
                held += math.exp(quadrature.nodes[k].log_weight)
            update(len(done))
    return [done[k] for k in range(len(order))]


def _centre(node: Node, parameters: Parameters, name: str) -> tuple[int, float, float, Tensor]:
    """Return the parameter's place in z, its peak and sd (physical), and the rest's response to it."""
    place = parameters.slices[name].start
    row = node.optimum.covariance_factor @ node.optimum.covariance_factor[place]
    prior = parameters[name].prior
    unit = parameters.derivatives(node.optimum.z).first[place]
    rest = torch.arange(len(row), device=row.device) != place
    sd = float(row[place].sqrt() * unit)
    return place, float(prior.from_z(node.optimum.z[place])), sd, row[rest] / row[place].sqrt() / sd


def _transfer(shape: Profile, heavy: Node, node: Node, parameters: Parameters, settings: Settings) -> Profile:
    """Return the profile of a node from another's shape in standardised distance from the peak."""
    _, peak, sd, _ = _centre(heavy, parameters, settings.parameter)
    place, own_peak, own_sd, slope = _centre(node, parameters, settings.parameter)
    reference = laplace_log_z(heavy.optimum) - 0.5 * math.log(2 * math.pi) - math.log(sd)
    own = node.log_z - 0.5 * math.log(2 * math.pi) - math.log(own_sd)
    at = own_peak + own_sd * (shape.at - peak) / sd
    rest = torch.arange(len(node.optimum.z), device=node.optimum.z.device) != place
    moved = torch.as_tensor(at - own_peak, device=slope.device)[:, None] * slope
    order = torch.cat([rest.nonzero()[:, 0], torch.tensor([place], device=rest.device)])
    triangle = torch.linalg.qr(node.optimum.covariance_factor[order.flip(0)].T, mode="r").R.T
    factor = triangle[1:, 1:].flip(0)
    return Profile(
        at,
        own + shape.log_likelihood - reference,
        node.optimum.z[rest] + moved,
        factor,
        shape.errors,
        shape.ess,
    )


def _profile(
    node: Node,
    parameters: Parameters,
    settings: Settings,
    stream: Stream,
    prior_span: tuple[float, float],
    checkpoint: Checkpoint,
) -> Profile:
    """Climb in the rest at each value of the parameter, each from the joint Gaussian's guess."""
    place = parameters.slices[settings.parameter].start
    covariance = node.optimum.covariance_factor @ node.optimum.covariance_factor.T
    prior = parameters[settings.parameter].prior
    centre = node.optimum.z[place]
    sd = covariance[place, place].sqrt()
    values = _choose_values(prior, float(centre), float(sd), settings, prior_span)
    rest = torch.ones(len(node.optimum.z), dtype=torch.bool)
    rest[place] = False
    if not bool(rest.any()):
        return _alone(node.model, settings, values)
    slope = covariance[rest, place] / covariance[place, place]
    middle = float(prior.from_z(centre))
    rows, centres, factor, closest, done = [], [], None, math.inf, 0
    z = node.optimum.z[rest]
    kept = checkpoint.load()
    if kept is not None:
        done, rows, centres, z = kept["step"], kept["rows"], kept["centres"], kept["z"]
        factor, closest = kept["factor"], kept["closest"]
    for k, value in list(enumerate(values))[done:]:
        held = Held(node.model, settings.parameter, float(value))
        moved = prior.to_z(torch.tensor(value, dtype=torch.float64)) - centre
        guess = node.optimum.z[rest] + slope * moved
        optimum = _climb(held, guess, z, stream)
        if optimum is None:
            continue
        (log_l, error, ess), mean = _integrate(held, optimum, settings, stream.child(f"value-{k}"))
        rows.append((float(value), log_l, error, ess))
        centres.append(mean)
        z = optimum.z
        if abs(value - middle) < closest:
            factor, closest = optimum.covariance_factor, float(abs(value - middle))
        state = {"step": k + 1, "rows": rows, "centres": centres, "z": z, "factor": factor, "closest": closest}
        checkpoint.save(partial(dict, state))
    if len(rows) < LEAST or factor is None:
        raise _too_few(settings, len(rows), values[0], values[-1])
    table = np.array(rows)
    return Profile(table[:, 0], table[:, 1], torch.stack(centres), factor, table[:, 2], table[:, 3])


def _alone(model: Model, settings: Settings, values: np.ndarray) -> Profile:
    """Return the profile of a model without any other parameter: its likelihood."""
    log_likelihood = model.log_likelihood({settings.parameter: torch.as_tensor(values)}).cpu().numpy()
    good = np.isfinite(log_likelihood)
    if good.sum() < LEAST:
        raise _too_few(settings, int(good.sum()), values[0], values[-1])
    nothing = torch.zeros(int(good.sum()), 0, dtype=torch.float64)
    sure = np.zeros(len(nothing))
    return Profile(values[good], log_likelihood[good], nothing, nothing[:0], sure, 1.0 + sure)


def _too_few(settings: Settings, count: int, low: float, high: float) -> InputError:
    return InputError(
        "fits",
        "grid",
        f"{count} values of {settings.parameter} with a finite likelihood between {low:.3g} and {high:.3g}",
        "at least four",
        "give low and high, or look at the fit of the map engine",
    )


def _choose_values(
    prior: Prior, centre: float, sd: float, settings: Settings, prior_span: tuple[float, float]
) -> np.ndarray:
    """Return the values to climb at: around the peak, and from there to the prior where that is elsewhere."""
    edges = prior.from_z(torch.tensor([centre - REACH * sd, centre + REACH * sd], dtype=torch.float64))
    low = float(edges[0]) if settings.low is None else settings.low
    high = float(edges[1]) if settings.high is None else settings.high
    near = np.linspace(low, high, settings.values)
    width = float(edges[1] - edges[0]) / (2.0 * REACH)
    parts = [near]
    if settings.low is None and prior_span[1] - 2.0 * width < low:
        parts.insert(0, np.linspace(prior_span[1] - 2.0 * width, low, settings.values)[:-1])
    if settings.high is None and prior_span[0] + 2.0 * width > high:
        parts.append(np.linspace(high, prior_span[0] + 2.0 * width, settings.values)[1:])
    return np.concatenate(parts)


def _climb(held: Held, guess: Tensor, previous: Tensor, stream: Stream) -> Optimum | None:
    """Climb from the guess, or from the neighbour where the guess is impossible; None where both are."""
    target = Target(held, device=stream.device)
    for z in (guess, previous):
        if bool(torch.isfinite(target.log_density(z[None]))[0]):
            return climb(target, z, tolerance=TOLERANCE, near=True)
    return None


def _integrate(
    held: Held, optimum: Optimum, settings: Settings, stream: Stream
) -> tuple[tuple[float, float, float], Tensor]:
    """Return log L of one value with its error and the ESS fraction, and the mean of the rest, (d - 1,)."""
    if not settings.importance:
        return (laplace_log_z(optimum), 0.0, 1.0), optimum.z
    proposal = Proposal.at(optimum.z, optimum.covariance_factor, held.parameters)
    weighted = weigh(Target(held, device=stream.device), proposal, settings.importance, stream.generator("importance"))
    mean = torch.softmax(weighted.log_weights, 0) @ weighted.draws
    return (weighted.log_z, weighted.log_z_error, weighted.ess_fraction), mean
