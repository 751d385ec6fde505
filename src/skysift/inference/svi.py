"""The engine ``svi``: a guide trained towards the posterior, started at the mode and whitened by its covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Check, Result
from skysift.inference.guides.restarts import mean_of, train_restarts, weigh
from skysift.inference.guides.tails import reach_tails
from skysift.inference.psis import SmoothedWeights, effective_size, smooth_weights, truncate_weights
from skysift.inference.result import factorise_covariance, resample
from skysift.inference.target import Target
from skysift.inference.verdict import grade, laplace_gap_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.restarts import Rounds

    Picker = Callable[[int], Climb]

__all__ = ["Settings", "run"]

K_HAT = (0.5, 0.7, 1.0)
# weights without a variance are believed only where the guide is almost the posterior: at 0.6 of the draws a Gaussian
# has been seen to miss 4 % of the mass, or to widen a posterior by 14 %
GOOD_ESS = 0.9
# below, k-hat is a guess: a Gaussian in a curved valley has been given 0.69, and was wrong by a third of its width
FEW_ESS = 0.2
LEAST_ESS = 0.05
SMALL = 50


@dataclass(frozen=True)
class Settings:
    """How to train a guide.

    ``guide``: mvn, iaf, conditional_iaf or flow; ``particles`` per step, ``steps`` at most, and ``rate`` of natural
    gradients: by default the guide's own; ``lr`` of networks; ``restarts``: independent trainings, of which the best is
    kept (without ``steps``, guides of fields try all of them briefly and train the most promising in full);
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


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Train a guide by maximising the ELBO, and weigh its draws.

    Restarts differ in initial weights and noise, and all but the first begin away from the mode. Draws are resampled
    with their truncated importance weights, which moves mass into tails that a guide leaves thin, unless fewer than one
    in twenty counts, k-hat is above one, or the form is the published one.

    Raises
    ------
    InputError : unknown guide, or a hook that the settings need is missing
    NumericsError : the start is not finite
    """
    target = Target(model, device=stream.device)
    checkpoint = checkpoint.metered(target)
    rounds = train_restarts(model, target, settings, start, stream, checkpoint)
    best = rounds.best
    count = max(settings.evaluate or (20000 if target.size <= SMALL else 10000), settings.draws)
    weighed = weigh(best.guide, target, count, stream.generator("evaluate"), checkpoint.child("evaluate"))
    z, log_ratio, _ = weighed
    smoothed = smooth_weights(log_ratio)
    elbo, error = mean_of(log_ratio)
    checks = [
        *_check_training(rounds),
        *_check_weights(log_ratio, smoothed),
        *_check_laplace(settings, start, target, elbo),
    ]
    is_sound = smoothed.k_hat < K_HAT[1] or smoothed.ess >= GOOD_ESS * count
    log_weights = truncate_weights(log_ratio)
    is_useful = smoothed.k_hat < K_HAT[2] and effective_size(log_weights) >= LEAST_ESS * count
    is_resampled = is_useful and not settings.published
    draws = z[: settings.draws]
    if is_resampled:
        weighted = Result("svi", z[None], log_weights=log_weights[None])
        draws, _ = resample(weighted, settings.draws, stream.generator("resample"))
    log_z, log_z_error = (smoothed.log_mean, smoothed.log_mean_error) if is_sound else (elbo, error)
    if is_sound and target.size <= SMALL and not bool(model.parameters.block_mask("field").any()):
        log_z, log_z_error = reach_tails(best.guide, target, weighed, stream.generator("tails"))
    return Result(
        engine="svi",
        draws=draws[None],
        mode=start.mode if start.mode is not None else z[log_ratio.argmax()],
        covariance_factor=factorise_covariance(draws),
        log_z=log_z,
        log_z_error=log_z_error,
        log_z_method="importance, guide" if is_sound else "ELBO (a lower bound)",
        checks=checks,
        traces=_traces(rounds, elbo, error, smoothed),
        cost={
            **checkpoint.cost(),
            "steps": float(rounds.steps),
            "resampled": float(is_resampled),
        },
        started_from=start.describe(),
    )


def _check_training(rounds: Rounds) -> list[Check]:
    """Return the checks that the ELBO has stopped rising, and that restarts agree where."""
    rise, error = rounds.best.trained.rise()
    limits = (0.1 + 2.0 * error, 1.0 + 2.0 * error)
    checks = [grade("ELBO still rising", rise, *limits, advice="raise svi.steps")]
    if len(rounds.restarts) > 1:
        spread, noise = rounds.spread()
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
    elif k_hat.colour == "amber" and share < FEW_ESS:
        k_hat = Check(k_hat.name, k_hat.value, k_hat.threshold, "red", advice)
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


def _traces(rounds: Rounds, elbo: float, error: float, smoothed: SmoothedWeights) -> dict[str, Tensor]:
    """Return what may be plotted or read later."""
    return {
        "elbo": torch.tensor(rounds.best.trained.elbo, dtype=torch.float64),
        "elbo_restarts": torch.tensor([outcome.elbo for outcome in rounds.restarts], dtype=torch.float64),
        "elbo_final": torch.tensor([elbo, error], dtype=torch.float64),
        "log_z_importance": torch.tensor([smoothed.log_mean, smoothed.log_mean_error], dtype=torch.float64),
    }
