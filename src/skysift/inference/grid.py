"""The grid engine: one parameter on a grid, everything else by Laplace and importance sampling at each value."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.contract import Model
from skysift.errors import InputError
from skysift.inference.conditioned import Held, with_prior
from skysift.inference.engine import Check, Result
from skysift.inference.hyper import Node, Quadrature, laplace_log_z
from skysift.inference.importance import Proposal, weigh
from skysift.inference.laplace import find_start, node_traces, optimum_checks, settle
from skysift.inference.newton import Optimum, climb
from skysift.inference.progress import follow
from skysift.inference.target import Target
from skysift.parameters import Parameters
from skysift.parameters.priors import Normal

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Start, Stream
    from skysift.parameters.priors import Prior

__all__ = ["Marginal", "Settings", "run"]

FINE = 4001
LEAST = 4
REACH = 5.0
FARTHEST = 30.0
TOLERANCE = 1e-4
WIDE = 100.0


@dataclass(frozen=True)
class Settings:
    """``parameter`` on the grid of ``values`` between ``low`` and ``high``; ``importance`` draws at each value.

    Without limits the grid covers the marginal likelihood's own mode by five of its standard deviations, beyond the
    prior's support where the likelihood allows; ``draws`` are stored. With hyper-parameters, nodes are profiled in
    order of their weight until they hold the share ``profiled``; the others take the shape of the heaviest, moved to
    their own peak and width.
    """

    parameter: str
    values: int = 16
    low: float | None = None
    high: float | None = None
    importance: int = 2000
    draws: int = 4000
    profiled: float = 0.25


@dataclass(frozen=True)
class Marginal:
    r"""Marginal likelihood :math:`\ln L(a)` of one parameter, its own prior left out, on a fine grid.

    ``grid`` (n,), ``log_likelihood`` (n,), and ``shares`` (nodes, n): the part of each hyper-parameter node in it.
    """

    grid: np.ndarray
    log_likelihood: np.ndarray
    shares: np.ndarray

    @property
    def step(self) -> float:
        """Spacing of the grid."""
        return float(self.grid[1] - self.grid[0])

    def moments(self) -> tuple[float, float, float]:
        """Return peak, mean and standard deviation of the normalised marginal likelihood."""
        density = np.exp(self.log_likelihood - self.log_likelihood.max())
        density /= density.sum()
        mean = float(density @ self.grid)
        return float(self.grid[self.log_likelihood.argmax()]), mean, float(math.sqrt(density @ (self.grid - mean) ** 2))

    def log_posterior(self, prior: Prior) -> np.ndarray:
        """Return the unnormalised log posterior on the grid."""
        density: np.ndarray = self.log_likelihood + prior.log_density(torch.as_tensor(self.grid)).numpy()
        return density


@dataclass(frozen=True)
class _Profile:
    """One hyper-parameter node: centres of the rest at some values of the parameter, and log L there."""

    at: np.ndarray
    log_likelihood: np.ndarray
    centres: Tensor
    factor: Tensor
    errors: np.ndarray
    ess: np.ndarray


def run(model: Model, settings: Settings, start: Start, stream: Stream) -> Result:
    """Return the posterior of one parameter from its marginal likelihood, with the rest drawn given it.

    The parameter's own prior is replaced by an almost flat one while the marginal likelihood is built, so the peak
    without the prior is known too, and multiplied in at the end.
    """
    began = time.process_time()
    item = model.parameters[settings.parameter]
    if item.shape != ():
        raise InputError("fits", "grid.parameter", item.name, "a parameter that is a single number", "tie its energies")
    free = _free(model, settings)
    quadrature = settle(free, _free_start(model, free, settings.parameter, start, stream), stream)
    profiles = _profiles(quadrature, free.parameters, settings, stream)
    marginal, log_z = _join(quadrature, profiles)
    posterior = marginal.log_posterior(item.prior)
    draws, variant = _draw(model, settings.parameter, marginal, posterior, profiles, settings.draws, stream)
    flat_draws, _ = _draw(
        model, settings.parameter, marginal, marginal.log_likelihood, profiles, settings.draws, stream, physical=True
    )
    flat = _name_norms(model, settings.parameter, flat_draws)
    heavy = max(quadrature.nodes, key=lambda node: node.log_weight)
    error = float(np.max([profile.errors.max() for profile in profiles])) if settings.importance else None
    traces = {
        "marginal_grid": torch.as_tensor(marginal.grid),
        "marginal_log_likelihood": torch.as_tensor(marginal.log_likelihood),
        **flat,
        **node_traces(quadrature),
    }
    evidence = log_z + float(np.logaddexp.reduce(posterior)) + math.log(marginal.step)
    return Result(
        "grid",
        draws[None],
        log_z=evidence,
        log_z_error=error,
        log_z_method="grid of laplace" + (", importance weighted" if settings.importance else ""),
        checks=optimum_checks(heavy.optimum) + _checks(marginal, profiles, settings),
        traces=traces,
        cost={
            "cpu_s": time.process_time() - began,
            "evidences": float(quadrature.evaluations + sum(len(p.at) for p in profiles)),
        },
        variant=variant[None],
        started_from=start.describe(),
        labels={"marginal_of": settings.parameter},
    )


def _free(model: Model, settings: Settings) -> Model:
    """Return the model with an almost flat prior on the parameter; its density cancels where it matters."""
    prior = model.parameters[settings.parameter].prior
    edges = prior.from_cube(torch.tensor([0.001, 0.5, 0.999], dtype=torch.float64))
    flat = Normal(float(edges[1]), WIDE * float(edges[2] - edges[0]))
    return with_prior(model, settings.parameter, flat)


def _name_norms(model: Model, name: str, draws: Tensor) -> dict[str, Tensor]:
    """Return draws without the parameter's prior, ``flat_<name>`` (n,) for every single-number norm."""
    named = {}
    for item in model.parameters:
        if item.block == "norm" and item.shape == ():
            column = draws[:, model.parameters.slices[item.name].start]
            named[f"flat_{item.name}"] = column if item.name == name else item.prior.from_z(column)
    return named


def _free_start(model: Model, free: Model, name: str, start: Start, stream: Stream) -> Tensor:
    z = find_start(model, start, stream)
    return free.parameters.unconstrain(model.parameters.values(z[None]))[0]


def _held(node: Node, name: str, value: float) -> Held:
    return Held(node.model, name, value)


def _profiles(quadrature: Quadrature, parameters: Parameters, settings: Settings, stream: Stream) -> list[_Profile]:
    """Profile the heaviest nodes in full; give the others the heaviest one's shape."""
    order = sorted(range(len(quadrature.nodes)), key=lambda k: -quadrature.nodes[k].log_weight)
    done: dict[int, _Profile] = {}
    held = 0.0
    with follow(f"grid over {settings.parameter}", len(order)) as update:
        for k in order:
            if held >= settings.profiled and done:
                done[k] = _transfer(
                    done[order[0]], quadrature.nodes[order[0]], quadrature.nodes[k], parameters, settings
                )
            else:
                done[k] = _profile(quadrature.nodes[k], parameters, settings, stream.child(f"node-{k}"))
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


def _transfer(shape: _Profile, heavy: Node, node: Node, parameters: Parameters, settings: Settings) -> _Profile:
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
    return _Profile(
        at,
        own + shape.log_likelihood - reference,
        node.optimum.z[rest] + moved,
        factor,
        shape.errors,
        shape.ess,
    )


def _profile(node: Node, parameters: Parameters, settings: Settings, stream: Stream) -> _Profile:
    """Climb in the rest at each value of the parameter, each from the joint Gaussian's guess."""
    place = parameters.slices[settings.parameter].start
    covariance = node.optimum.covariance_factor @ node.optimum.covariance_factor.T
    prior = parameters[settings.parameter].prior
    centre = node.optimum.z[place]
    sd = covariance[place, place].sqrt()
    low, high = _limits(prior, float(centre), float(sd), settings)
    rest = torch.ones(len(node.optimum.z), dtype=torch.bool)
    rest[place] = False
    if not bool(rest.any()):
        return _alone(node.model, settings, np.linspace(low, high, settings.values))
    slope = covariance[rest, place] / covariance[place, place]
    rows, centres, factor = [], [], None
    middle, closest = float(prior.from_z(centre)), math.inf
    z = node.optimum.z[rest]
    for k, value in enumerate(np.linspace(low, high, settings.values)):
        held = _held(node, settings.parameter, float(value))
        moved = prior.to_z(torch.tensor(value, dtype=torch.float64)) - centre
        guess = node.optimum.z[rest] + slope * moved
        optimum = _climb(held, guess, z, stream)
        if optimum is None:
            continue
        (log_l, error, ess), mean = _integrate(held, optimum, settings, stream.child(f"value-{k}"))
        rows.append((value, log_l, error, ess))
        centres.append(mean)
        z = optimum.z
        if abs(value - middle) < closest:
            factor, closest = optimum.covariance_factor, abs(value - middle)
    if len(rows) < LEAST or factor is None:
        raise _too_few(settings, len(rows), low, high)
    table = np.array(rows)
    return _Profile(table[:, 0], table[:, 1], torch.stack(centres), factor, table[:, 2], table[:, 3])


def _alone(model: Model, settings: Settings, values: np.ndarray) -> _Profile:
    """Return the profile of a model without any other parameter: its likelihood."""
    log_likelihood = model.log_likelihood({settings.parameter: torch.as_tensor(values)}).cpu().numpy()
    good = np.isfinite(log_likelihood)
    if good.sum() < LEAST:
        raise _too_few(settings, int(good.sum()), values[0], values[-1])
    nothing = torch.zeros(int(good.sum()), 0, dtype=torch.float64)
    sure = np.zeros(len(nothing))
    return _Profile(values[good], log_likelihood[good], nothing, nothing[:0], sure, 1.0 + sure)


def _too_few(settings: Settings, count: int, low: float, high: float) -> InputError:
    return InputError(
        "fits",
        "grid",
        f"{count} values of {settings.parameter} with a finite likelihood between {low:.3g} and {high:.3g}",
        "at least four",
        "give low and high, or look at the fit of the map engine",
    )


def _limits(prior: Prior, centre: float, sd: float, settings: Settings) -> tuple[float, float]:
    edges = prior.from_z(torch.tensor([centre - REACH * sd, centre + REACH * sd], dtype=torch.float64))
    low = float(edges[0]) if settings.low is None else settings.low
    high = float(edges[1]) if settings.high is None else settings.high
    return low, high


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


def _join(quadrature: Quadrature, profiles: list[_Profile]) -> tuple[Marginal, float]:
    """Return the marginal likelihood over all nodes on one fine grid, normalised to peak zero, and its offset."""
    from scipy.interpolate import CubicSpline

    low = min(profile.at[0] for profile in profiles)
    high = max(profile.at[-1] for profile in profiles)
    grid = np.linspace(low, high, FINE)
    rows = []
    for node, profile in zip(quadrature.nodes, profiles, strict=True):
        spline = CubicSpline(profile.at, profile.log_likelihood, extrapolate=True)
        inside = np.clip(grid, profile.at[0], profile.at[-1])
        # beyond the climbed values: the edge's slope, which is falling there
        edge = np.where(grid < inside, spline(profile.at[0], 1), spline(profile.at[-1], 1))
        rows.append(node.log_weight - node.log_z + quadrature.log_z + spline(inside) + edge * (grid - inside))
    table = np.stack(rows)
    total = np.logaddexp.reduce(table, axis=0)
    peak = float(total.max())
    return Marginal(grid, total - peak, np.exp(table - total)), peak


def _draw(
    model: Model,
    name: str,
    marginal: Marginal,
    log_density: np.ndarray,
    profiles: list[_Profile],
    count: int,
    stream: Stream,
    *,
    physical: bool = False,
) -> tuple[Tensor, Tensor]:
    """Draw the parameter from a density on the grid and the rest given it.

    ``physical`` leaves the parameter's physical value in its place in z, for values outside the prior's support.
    """
    from scipy.interpolate import interp1d

    random = stream.numpy("grid-draws", "flat" if physical else "posterior")
    density = np.exp(log_density - log_density.max())
    edges = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    position = np.interp((np.arange(count) + random.random(count)) / count, edges, np.arange(len(edges)))
    values = np.clip(marginal.grid[0] + (position - 0.5) * marginal.step, marginal.grid[0], marginal.grid[-1])
    nearest = np.clip(np.rint((values - marginal.grid[0]) / marginal.step).astype(int), 0, len(marginal.grid) - 1)
    pick = (marginal.shares[:, nearest].cumsum(0) < random.random(count)).sum(0).clip(max=len(profiles) - 1)
    place = model.parameters.slices[name].start
    rest = torch.ones(model.parameters.size, dtype=torch.bool)
    rest[place] = False
    z = torch.empty(count, model.parameters.size, dtype=torch.float64)
    column = torch.as_tensor(values)
    # a draw on the very edge of the support would be infinitely far out
    z[:, place] = column if physical else model.parameters[name].prior.to_z(column).clamp(-FARTHEST, FARTHEST)
    generator = stream.generator("grid-rest", "flat" if physical else "posterior")
    for k, profile in enumerate(profiles):
        mine = np.flatnonzero(pick == k)
        if not len(mine) or not bool(rest.any()):
            continue
        centres = interp1d(
            profile.at, profile.centres.cpu().numpy(), axis=0, bounds_error=False, fill_value="extrapolate"
        )
        noise = torch.randn(len(mine), int(rest.sum()), generator=generator, dtype=torch.float64, device=stream.device)
        drawn = torch.as_tensor(centres(values[mine])) + (noise @ profile.factor.T).cpu()
        block = torch.empty(len(mine), model.parameters.size, dtype=torch.float64)
        block[:, rest] = drawn
        block[:, place] = z[mine, place]
        z[mine] = block
    order = torch.as_tensor(random.permutation(count))
    return z[order], torch.as_tensor(pick)[order]


def _checks(marginal: Marginal, profiles: list[_Profile], settings: Settings) -> list[Check]:
    fall = float(min(-marginal.log_likelihood[0], -marginal.log_likelihood[-1]))
    wide = fall > 4.5 or settings.low is not None or settings.high is not None
    checks = [
        Check(
            "grid reaches",
            fall,
            "> 4.5 nats below the peak at both ends, unless limits are given",
            "green" if wide else "amber",
            "" if wide else f"widen the grid of {settings.parameter}, or the likelihood ends there",
        )
    ]
    if settings.importance:
        ess = float(min(profile.ess.min() for profile in profiles))
        error = float(max(profile.errors.max() for profile in profiles))
        good = error < 0.2
        advice = "" if good else "more importance draws"
        checks += [
            Check("least importance ESS fraction", ess, "reported", "green"),
            Check("largest importance error of ln L", error, "< 0.2", "green" if good else "amber", advice),
        ]
    return checks
