"""Independent trainings of one guide: brief Gaussian pilots away from the mode, then the guide where they end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from skysift.contract import hook
from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.guides import build_guide
from skysift.inference.guides.adam import Adam
from skysift.inference.guides.base import normal_noise
from skysift.inference.guides.training import Plan, Trained, train
from skysift.inference.guides.whitening import find_moments
from skysift.inference.progress import follow
from skysift.inference.psis import smooth_weights
from skysift.inference.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.guides.base import Climb, Guide
    from skysift.inference.svi import Settings

    Picker = Callable[[int], Climb]

__all__ = ["Outcome", "Rounds", "Weighed", "mean_of", "train_restarts", "weigh"]

CHUNK = 500
SCOUTS = 500  # draws that rank the restarts
LONGER = 2  # times the steps, where the best guide falls short
BATCH_RATE, BATCH_WINDOW = 0.2, 25


@dataclass(frozen=True)
class Outcome:
    """One trained guide: what training saw; ELBO, its error and the effective share of draws, from fresh draws."""

    guide: Guide
    trained: Trained
    elbo: float
    error: float
    share: float


@dataclass(frozen=True)
class Rounds:
    """What restarts have come to: the ``best`` guide, and the outcomes of every round, all restarts in the first."""

    best: Outcome
    outcomes: list[list[Outcome]]

    @property
    def restarts(self) -> list[Outcome]:
        """The outcomes of the last round in which every restart took part."""
        return [part for part in self.outcomes if len(part) == len(self.outcomes[0])][-1]

    @property
    def steps(self) -> int:
        """Steps of all trainings."""
        return sum(one.trained.steps for part in self.outcomes for one in part)

    def spread(self) -> tuple[float, float]:
        """Return how far ELBOs lie apart within a round, and two errors of that; of the round that says most."""
        found = []
        for part in self.outcomes:
            elbos = [outcome.elbo for outcome in part]
            noise = 2.0 * math.sqrt(2.0) * max(outcome.error for outcome in part)
            found.append((max(elbos) - min(elbos), noise))
        return max(found, key=lambda pair: pair[0] - pair[1])


def train_restarts(
    model: Model, target: Target, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE
) -> Rounds:
    """Train as often as the settings say.

    All restarts but the first begin away from the mode. Where the guide asks for it, each trains a Gaussian first, and
    only those that got furthest train the guide itself; with steps given by the settings all of them do, in full. A
    guide whose draws count for less than it promises is trained on.
    """
    count = max(settings.restarts, 1)
    streams = [stream.child(f"restart-{k}") for k in range(count)]
    starts = [start, *(_displace(start, target.size, one.generator("displace")) for one in streams[1:])]
    guide, pilot = (
        build_guide(name, model, start, streams[0], published=settings.published) for name in (settings.guide, "mvn")
    )
    own, is_gaussian = guide.schedule, type(guide) is type(pilot)
    finalists = min(count, own.finalists or count) if settings.steps is None else count
    plan = _plan(guide, settings)
    trial = _plan(pilot, settings if is_gaussian else replace(settings, rate=None))
    # a Gaussian that everyone goes on with has no use for a Gaussian before
    trial = replace(trial, steps=0 if is_gaussian and finalists == count else pilot.schedule.pilot)
    outcomes, entrants = [], list(range(count))
    with follow(f"svi {settings.guide}", count * trial.steps + finalists * plan.steps) as update:
        trainer = _Trainer(model, target, settings, update, checkpoint)
        if trial.steps:
            pilots = [trainer.train("mvn", starts[k], trial, streams[k].child("pilot")) for k in entrants]
            outcomes.append(pilots)
            starts = [_find_frame(pilots[k].guide, starts[k]) for k in entrants]
            entrants = sorted(entrants, key=lambda k: pilots[k].elbo, reverse=True)[:finalists]
        outcomes.append([trainer.train(settings.guide, starts[k], plan, streams[k]) for k in entrants])
    best = max(outcomes[-1], key=lambda outcome: outcome.elbo)
    if best.share < own.promise and settings.steps is None:
        longer = replace(plan, steps=LONGER * plan.steps)
        with follow(f"svi {settings.guide}, longer", longer.steps) as update:
            trainer = _Trainer(model, target, settings, update, checkpoint)
            best = trainer.finish(best.guide, longer, stream.child("longer"))
        outcomes.append([best])
    return Rounds(best, outcomes)


class Weighed(NamedTuple):
    """Independent draws in z (n, d), log target minus log guide (n,), and log guide, as a density in z (n,)."""

    z: Tensor
    log_ratio: Tensor
    log_q: Tensor


def weigh(
    guide: Guide, target: Target, count: int, generator: torch.Generator, checkpoint: Checkpoint = NOWHERE
) -> Weighed:
    """Draw from a guide, and weigh the draws."""
    frame, shift = guide.whitening, guide.whitening.log_det()
    parts: list[Weighed] = []
    kept = checkpoint.load()
    if kept is not None:
        parts = [Weighed(*kept["parts"])]
        generator.set_state(kept["generator"])
    for begin in range(sum(len(part.z) for part in parts), count, CHUNK):
        draw = guide.draw(normal_noise(min(CHUNK, count - begin), guide.size, generator, antithetic=False))
        z, log_q = frame.to_z(draw.w), draw.log_q - shift
        parts.append(Weighed(z, target.log_density(z) - log_q, log_q))
        checkpoint.save(lambda: {"parts": list(_join(parts)), "generator": generator.get_state()})
    return _join(parts)


def _join(parts: list[Weighed]) -> Weighed:
    return Weighed(*(torch.cat(column) for column in zip(*parts, strict=True)))


def mean_of(log_ratio: Tensor) -> tuple[float, float]:
    """Return mean and standard error of the finite log ratios."""
    finite = log_ratio[torch.isfinite(log_ratio)]
    if len(finite) < 2:
        return -math.inf, math.inf
    return float(finite.mean()), float(finite.std()) / math.sqrt(len(finite))


class _Trainer:
    """Builds, trains and rates guides of one model, and says how far it is."""

    def __init__(
        self, model: Model, target: Target, settings: Settings, update: Callable[..., None], checkpoint: Checkpoint
    ) -> None:
        self.model, self.target, self.settings = model, target, settings
        self.checkpoint = checkpoint
        self._update, self._done = update, 0

    def train(self, name: str, start: Start, plan: Plan, stream: Stream) -> Outcome:
        """Build a guide, train it and rate it."""
        return self.finish(
            build_guide(name, self.model, start, stream, published=self.settings.published), plan, stream
        )

    def finish(self, guide: Guide, plan: Plan, stream: Stream) -> Outcome:
        """Train a guide from where it is, and rate it."""
        before = self._done
        work = partial(self._finish, guide, plan, stream)
        place = self.checkpoint.child("-".join(stream.names[-2:]))
        outcome = place.once(work, _pack_outcome, partial(_unpack_outcome, guide))
        self._done = before + outcome.trained.steps
        return outcome

    def _finish(self, guide: Guide, plan: Plan, stream: Stream, checkpoint: Checkpoint) -> Outcome:
        generators = {name: stream.generator(name) for name in ("noise", "minibatch")}
        pick = _pick_target(self.model, self.target, guide, self.settings, generators["minibatch"])
        trained = train(guide, pick, plan, generators, self._watch, checkpoint)
        log_ratio = weigh(guide, self.target, SCOUTS, stream.generator("scouts")).log_ratio
        return Outcome(guide, trained, *mean_of(log_ratio), smooth_weights(log_ratio).ess / SCOUTS)

    def _watch(self, elbo: float) -> None:
        self._done += 1
        self._update(self._done, ELBO=elbo)


def _pack_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "guide": outcome.guide.state(),
        "memory": outcome.guide.memory(),
        "trained": outcome.trained.state(),
        "numbers": [outcome.elbo, outcome.error, outcome.share],
    }


def _unpack_outcome(guide: Guide, kept: dict[str, Any]) -> Outcome:
    weights = guide.parameters()
    if weights:
        Adam(weights)  # networks lie in memory as training leaves them: sums depend on it in their last digit
    guide.load(kept["guide"])
    guide.load_memory(kept["memory"])
    return Outcome(guide, Trained.of(kept["trained"]), *kept["numbers"])


def _plan(guide: Guide, settings: Settings) -> Plan:
    own = guide.schedule
    plan = Plan(
        steps=settings.steps or own.steps,
        particles=settings.particles or own.particles,
        rate=settings.rate or own.rate,
        lr=settings.lr,
        window=own.window,
        tolerance=settings.tolerance,
    )
    if settings.batch is None:
        return plan
    # a minibatch pulls to one side far more than particles do: average over more of them
    return replace(plan, rate=settings.rate or min(own.rate, BATCH_RATE), window=max(own.window, BATCH_WINDOW))


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


def _pick_target(model: Model, target: Target, guide: Guide, settings: Settings, generator: torch.Generator) -> Picker:
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
    return lambda step: climb_on(Target(minibatch(settings.batch, generator), device=target.device))
