"""Independent trainings of one guide: away from the mode, with a pilot, and longer where the best still falls short."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from skysift.contract import hook
from skysift.errors import InputError
from skysift.inference.guides import build_guide
from skysift.inference.guides.base import normal_noise
from skysift.inference.guides.training import Plan, Trained, train
from skysift.inference.guides.whitening import find_moments
from skysift.inference.psis import smooth_weights
from skysift.inference.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.guides.base import Climb, Guide
    from skysift.inference.svi import Settings

    Picker = Callable[[int], Climb]

__all__ = ["Outcome", "mean_of", "train_restarts", "weigh"]

CHUNK = 500
SCOUTS = 1000  # draws that rank the restarts
LONGER = 3  # times the steps, where the best guide falls short


@dataclass(frozen=True)
class Outcome:
    """One trained guide: what training saw; ELBO, its error and the effective share of draws, from fresh draws."""

    guide: Guide
    trained: Trained
    elbo: float
    error: float
    share: float


def train_restarts(
    model: Model, target: Target, settings: Settings, start: Start, stream: Stream
) -> tuple[Outcome, list[Outcome]]:
    """Train as often as the settings say; return the best guide and every outcome.

    A guide that promises more than its best training reached, by the effective share of its draws, is trained on for
    three times the steps, unless the settings give the steps.
    """
    count = max(settings.restarts, 1)
    outcomes = [_train(model, target, settings, start, stream.child(f"restart-{k}"), k > 0) for k in range(count)]
    best = max(outcomes, key=lambda outcome: outcome.elbo)
    if best.share < best.guide.schedule.promise and settings.steps is None:
        plan = replace(_plan(best.guide, settings), steps=LONGER * best.guide.schedule.steps)
        best = _finish(model, target, settings, best.guide, plan, stream.child("longer"))
    return best, outcomes


def weigh(guide: Guide, target: Target, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return independent draws in z, (n, d), and log target minus log guide, (n,)."""
    frame, shift = guide.whitening, guide.whitening.log_det()
    points, ratios = [], []
    for begin in range(0, count, CHUNK):
        draw = guide.draw(normal_noise(min(CHUNK, count - begin), guide.size, generator, antithetic=False))
        z = frame.to_z(draw.w)
        points.append(z)
        ratios.append(target.log_density(z) + shift - draw.log_q)
    return torch.cat(points), torch.cat(ratios)


def mean_of(log_ratio: Tensor) -> tuple[float, float]:
    """Return mean and standard error of the finite log ratios."""
    finite = log_ratio[torch.isfinite(log_ratio)]
    if len(finite) < 2:
        return -math.inf, math.inf
    return float(finite.mean()), float(finite.std()) / math.sqrt(len(finite))


def _train(
    model: Model, target: Target, settings: Settings, start: Start, stream: Stream, is_displaced: bool
) -> Outcome:
    """Build, train and rate one guide."""
    if is_displaced:
        start = _displace(start, target.size, stream.generator("displace"))
    guide = build_guide(settings.guide, model, start, stream, published=settings.published)
    if guide.schedule.pilot:
        pilot = build_guide("mvn", model, start, stream, published=settings.published)
        plan = replace(_plan(pilot, settings), steps=guide.schedule.pilot, rate=pilot.schedule.rate)
        pick = _pick_target(model, target, pilot, settings, stream.child("pilot"))
        train(pilot, pick, plan, stream.generator("pilot"))
        guide = build_guide(settings.guide, model, _find_frame(pilot, start), stream, published=settings.published)
    return _finish(model, target, settings, guide, _plan(guide, settings), stream)


def _finish(model: Model, target: Target, settings: Settings, guide: Guide, plan: Plan, stream: Stream) -> Outcome:
    """Train a guide from where it is, and rate it."""
    trained = train(guide, _pick_target(model, target, guide, settings, stream), plan, stream.generator("noise"))
    _, log_ratio = weigh(guide, target, SCOUTS, stream.generator("scouts"))
    return Outcome(guide, trained, *mean_of(log_ratio), smooth_weights(log_ratio).ess / SCOUTS)


def _plan(guide: Guide, settings: Settings) -> Plan:
    own = guide.schedule
    return Plan(
        steps=settings.steps or own.steps,
        particles=settings.particles or own.particles,
        rate=settings.rate or own.rate,
        lr=settings.lr,
        window=own.window,
        tolerance=settings.tolerance,
    )


def _displace(start: Start, size: int, generator: torch.Generator) -> Start:
    """Return the start moved to a draw of its own Gaussian."""
    centre, factor = find_moments(start, size)
    noise = torch.randn(size, generator=generator, dtype=torch.float64, device=centre.device)
    return replace(start, mode=centre + factor @ noise, covariance_factor=factor)


def _find_frame(pilot: Guide, start: Start) -> Start:
    """Return the start whose Gaussian is a trained Gaussian guide."""
    frame, state = pilot.whitening, pilot.frame_state()
    factor = torch.empty_like(frame.factor)
    factor[frame.order] = frame.factor @ state["factor"]
    return replace(start, mode=frame.to_z(state["mean"][None])[0], covariance_factor=factor)


def _pick_target(model: Model, target: Target, guide: Guide, settings: Settings, stream: Stream) -> Picker:
    """Return the function from step to target: always the same, or a fresh minibatch at each step."""
    frame, shift = guide.whitening, guide.whitening.log_det()

    def climb_on(some: Target) -> Climb:
        def climb(w: Tensor) -> tuple[Tensor, Tensor]:
            density, gradient = some.log_density_and_gradient(frame.to_z(w))
            return density + shift, frame.pull_gradient(gradient)

        return climb

    if settings.batch is None:
        whole = climb_on(target)
        return lambda step: whole
    minibatch = hook(model, "minibatch")
    if minibatch is None:
        name = type(model).__name__
        raise InputError("fits", "batch", name, "a model that offers `minibatch`", "leave `batch` out: all data")
    generator = stream.generator("minibatch")
    return lambda step: climb_on(Target(minibatch(settings.batch, generator), device=stream.device))
