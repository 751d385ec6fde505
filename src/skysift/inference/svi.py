"""The engine ``svi``: a guide trained towards the posterior, started at the mode and whitened by its covariance."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from skysift.contract import hook
from skysift.errors import InputError
from skysift.inference.engine import Check, Result
from skysift.inference.guides import build_guide
from skysift.inference.guides.base import normal_noise
from skysift.inference.guides.training import Plan, Trained, train
from skysift.inference.guides.whitening import find_moments
from skysift.inference.psis import SmoothedWeights, smooth_weights
from skysift.inference.result import factorise_covariance, resample
from skysift.inference.target import Target
from skysift.inference.verdict import grade, laplace_gap_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.guides.base import Climb, Guide

    Picker = Callable[[int], Climb]

__all__ = ["Settings", "run"]

CHUNK = 500
K_HAT = (0.5, 0.7, 1.0)
SCOUTS = 1000  # draws that rank the restarts
GOOD_ESS = 0.5
LEAST_ESS = 0.1
SMALL = 50


@dataclass(frozen=True)
class Settings:
    """How to train a guide.

    ``guide``: mvn, iaf, conditional_iaf or flow; ``particles`` per step, ``steps`` at most, and ``rate`` of natural
    gradients: by default the guide's own; ``lr`` of networks; ``restarts``: independent trainings, the best is kept;
    ``draws`` kept; ``evaluate``: draws behind the final ELBO and the weights,
    by default 20000 up to 50 numbers and 10000 above; ``batch``: data per step (None: all);
    ``published``: the published form; ``tolerance`` of the plateau in nats.
    """

    guide: str = "flow"
    particles: int | None = None
    steps: int | None = None
    lr: float = 0.01
    restarts: int = 4
    draws: int = 4000
    evaluate: int | None = None
    batch: int | None = None
    published: bool = False
    tolerance: float = 0.02
    rate: float | None = None


class _Outcome(NamedTuple):
    """One trained guide: what training saw, its ELBO from fresh draws, and the error of that."""

    guide: Guide
    trained: Trained
    elbo: float
    error: float


def run(model: Model, settings: Settings, start: Start, stream: Stream) -> Result:
    """Train a guide by maximising the ELBO, and weigh its draws.

    Restarts differ in initial weights and noise, and all but the first begin away from the mode. Draws are resampled
    with their smoothed importance weights, which moves mass into tails that a guide leaves thin, unless fewer than a
    tenth of them count, k-hat is above one, or the form is the published one.

    Raises
    ------
    InputError : unknown guide, or a hook that the settings need is missing
    NumericsError : the start is not finite
    """
    begin = time.process_time()
    target = Target(model, device=stream.device)
    outcomes = [
        _train(model, target, settings, start, stream.child(f"restart-{k}")) for k in range(max(settings.restarts, 1))
    ]
    best = max(outcomes, key=lambda outcome: outcome.elbo)
    count = max(settings.evaluate or (20000 if target.size <= SMALL else 10000), settings.draws)
    z, log_ratio = _weigh(best.guide, target, count, stream.generator("evaluate"))
    smoothed = smooth_weights(log_ratio)
    elbo, error = _mean(log_ratio)
    checks = [
        *_check_training(outcomes),
        *_check_weights(log_ratio, smoothed),
        *_check_laplace(settings, start, target, elbo),
    ]
    is_sound = smoothed.k_hat < K_HAT[1] or smoothed.ess >= GOOD_ESS * count
    is_useful = smoothed.k_hat < K_HAT[2] and smoothed.ess >= LEAST_ESS * count
    is_resampled = is_useful and not settings.published
    draws = z[: settings.draws]
    if is_resampled:
        weighted = Result("svi", z[None], log_weights=smoothed.log_weights[None])
        draws, _ = resample(weighted, settings.draws, stream.generator("resample"))
    return Result(
        engine="svi",
        draws=draws[None],
        mode=start.mode if start.mode is not None else z[log_ratio.argmax()],
        covariance_factor=factorise_covariance(draws),
        log_z=smoothed.log_mean if is_sound else elbo,
        log_z_error=smoothed.log_mean_error if is_sound else error,
        log_z_method="importance, guide" if is_sound else "ELBO (a lower bound)",
        checks=checks,
        traces=_traces(outcomes, best, elbo, error, smoothed),
        cost={
            **target.cost(),
            "steps": float(sum(outcome.trained.steps for outcome in outcomes)),
            "resampled": float(is_resampled),
            "cpu_seconds": time.process_time() - begin,
        },
        started_from=start.describe(),
    )


def _train(model: Model, target: Target, settings: Settings, start: Start, stream: Stream) -> _Outcome:
    """Build, train and rate one guide."""
    if stream.names[-1] != "restart-0":
        start = _displace(start, target.size, stream.generator("displace"))
    guide = build_guide(settings.guide, model, start, stream, published=settings.published)
    own = guide.schedule
    if own.pilot:
        pilot = build_guide("mvn", model, start, stream, published=settings.published)
        plan = Plan(own.pilot, own.particles, pilot.schedule.rate, settings.lr)
        train(
            pilot, _pick_target(model, target, pilot, settings, stream.child("pilot")), plan, stream.generator("pilot")
        )
        start = _find_frame(pilot, start)
        guide = build_guide(settings.guide, model, start, stream, published=settings.published)
    plan = Plan(
        steps=settings.steps or own.steps,
        particles=settings.particles or own.particles,
        rate=settings.rate or own.rate,
        lr=settings.lr,
        window=own.window,
        tolerance=settings.tolerance,
    )
    trained = train(guide, _pick_target(model, target, guide, settings, stream), plan, stream.generator("noise"))
    _, log_ratio = _weigh(guide, target, SCOUTS, stream.generator("scouts"))
    return _Outcome(guide, trained, *_mean(log_ratio))


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


def _weigh(guide: Guide, target: Target, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return independent draws in z, (n, d), and log target minus log guide, (n,)."""
    frame, shift = guide.whitening, guide.whitening.log_det()
    points, ratios = [], []
    for begin in range(0, count, CHUNK):
        draw = guide.draw(normal_noise(min(CHUNK, count - begin), guide.size, generator, antithetic=False))
        z = frame.to_z(draw.w)
        points.append(z)
        ratios.append(target.log_density(z) + shift - draw.log_q)
    return torch.cat(points), torch.cat(ratios)


def _mean(log_ratio: Tensor) -> tuple[float, float]:
    """Return mean and standard error of the finite log ratios."""
    finite = log_ratio[torch.isfinite(log_ratio)]
    if len(finite) < 2:
        return -math.inf, math.inf
    return float(finite.mean()), float(finite.std()) / math.sqrt(len(finite))


def _check_training(outcomes: list[_Outcome]) -> list[Check]:
    """Return the checks that the ELBO has stopped rising, and that restarts agree where."""
    best = max(outcomes, key=lambda outcome: outcome.elbo)
    rise, error = best.trained.rise()
    limits = (0.1 + 2.0 * error, 1.0 + 2.0 * error)
    checks = [grade("ELBO still rising", rise, *limits, advice="raise svi.steps")]
    if len(outcomes) > 1:
        spread = best.elbo - min(outcome.elbo for outcome in outcomes)
        noise = 2.0 * max(outcome.error for outcome in outcomes) * math.sqrt(2.0)
        advice = "restarts end apart: raise svi.steps or svi.particles, or look for further modes"
        checks.append(grade("ELBO spread over restarts", spread, 0.1 + noise, 1.0 + noise, advice=advice))
    return checks


def _check_weights(log_ratio: Tensor, smoothed: SmoothedWeights) -> list[Check]:
    """Return the checks on the importance weights: k-hat of either half, ESS, largest weight, failures."""
    count = len(log_ratio)
    halves = [smooth_weights(half).k_hat for half in (log_ratio[: count // 2], log_ratio[count // 2 :])]
    worst, share = max(*halves, smoothed.k_hat), smoothed.ess / count
    advice = "trust it only if hmc agrees; try the guide flow, or raise svi.steps"
    k_hat = grade("svi k-hat", worst, *K_HAT[:2], advice=advice)
    if k_hat.colour == "red" and share >= GOOD_ESS:
        # a few heavy weights in a guide that overlaps well: seen with the right answer
        k_hat = Check(k_hat.name, k_hat.value, k_hat.threshold, "amber", advice)
    failed = float((~torch.isfinite(log_ratio)).double().mean())
    return [
        k_hat,
        Check("svi ESS fraction", share, "reported", "green"),
        Check("svi largest weight", smoothed.largest, "reported", "green"),
        grade("svi draws without density", failed, 0.01, advice="the guide reaches where the likelihood fails"),
    ]


def _check_laplace(settings: Settings, start: Start, target: Target, elbo: float) -> list[Check]:
    """Return the check of a Gaussian guide against the Gaussian at the mode."""
    if settings.guide != "mvn" or settings.published or start.mode is None or start.covariance_factor is None:
        return []
    volume = 0.5 * target.size * math.log(2.0 * math.pi) + float(start.covariance_factor.diagonal().abs().log().sum())
    gap = elbo - float(target.log_density(start.mode[None])[0]) - volume
    limit = laplace_gap_limit(target.size)
    inside = -limit <= gap <= 3.0
    advice = "" if inside else "training failed (below) or the mode is not the best one (above)"
    return [Check("ELBO minus Laplace log Z", gap, f"-{limit:g} to 3", "green" if inside else "red", advice)]


def _traces(
    outcomes: list[_Outcome], best: _Outcome, elbo: float, error: float, smoothed: SmoothedWeights
) -> dict[str, Tensor]:
    """Return what may be plotted or read later."""
    return {
        "elbo": torch.tensor(best.trained.elbo, dtype=torch.float64),
        "elbo_restarts": torch.tensor([outcome.elbo for outcome in outcomes], dtype=torch.float64),
        "elbo_final": torch.tensor([elbo, error], dtype=torch.float64),
        "log_z_importance": torch.tensor([smoothed.log_mean, smoothed.log_mean_error], dtype=torch.float64),
    }
