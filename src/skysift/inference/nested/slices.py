"""Slice proposals for dynesty: many walkers at once, whose likelihoods are evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from dynesty.internal_samplers import RSliceSampler, SamplerReturn
from dynesty.utils import LoglOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Slices", "WalkTogether", "Walked", "walk"]

# an interval that closes on its own start, as on a plateau, is left
CLOSED = 1e-12
BEYOND = 0.5
LEFT, RIGHT, SHRINK = range(3)


class Walked(NamedTuple):
    """Where walkers came to: points (n, d), log likelihoods (n,), and how often each stepped out and shrank (n,)."""

    points: NDArray[np.float64]
    values: NDArray[np.float64]
    expanded: NDArray[np.int64]
    contracted: NDArray[np.int64]


def walk(
    evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: NDArray[np.float64],
    threshold: float,
    axes: NDArray[np.float64],
    slices: int,
    random: np.random.Generator,
    periodic: Iterable[int] = (),
) -> Walked:
    """Move points above a threshold by slices along random directions; all walkers in step.

    Parameters
    ----------
    evaluate : log likelihood of points (k, d) inside the cube
    points : (n, d), all above the threshold
    threshold : of the log likelihood
    axes : (n, d, d), turn a random direction into a step
    slices : of each walker
    random : stream
    periodic : dimensions that wrap

    References
    ----------
    Neal (2003), Annals of Statistics 31, 705, figures 3 and 5; Handley, Hobson & Lasenby (2015), MNRAS 453, 4384
    """
    walkers = _Walkers(points, axes, slices, random)
    low, high = np.zeros(points.shape[1]), np.ones(points.shape[1])
    low[list(periodic)] -= BEYOND
    high[list(periodic)] += BEYOND
    while (active := np.flatnonzero(walkers.left > 0)).size:
        tried = walkers.points[active] + walkers.place[active, None] * walkers.steps[active]
        found = np.full(len(active), -np.inf)
        inside = ((tried > low) & (tried < high)).all(axis=1)
        found[inside] = evaluate(tried[inside])
        walkers.proceed(active, tried, found, threshold)
    unmoved = np.flatnonzero(~np.isfinite(walkers.values))
    if unmoved.size:
        walkers.values[unmoved] = evaluate(walkers.points[unmoved])
    return Walked(walkers.points, walkers.values, *walkers.counts)


class _Walkers:
    """Walkers in the middle of their slices: each looks for the left end, for the right one, or for a new place."""

    def __init__(
        self, points: NDArray[np.float64], axes: NDArray[np.float64], slices: int, random: np.random.Generator
    ) -> None:
        count = len(points)
        self.points, self.axes, self.random = points.copy(), axes, random
        self.values, self.steps = np.full(count, -np.inf), np.empty(points.shape)
        # ends of the interval, and the place that is looked at, in steps from the point
        self.ends, self.place = np.empty((2, count)), np.empty(count)
        self.stage, self.left = np.zeros(count, dtype=np.int64), np.full(count, slices)
        self.counts = np.zeros((2, count), dtype=np.int64)
        self._begin(np.arange(count))
        self._look()

    def _begin(self, who: NDArray[np.int64]) -> None:
        """Choose a direction, and an interval of one step around the point."""
        size = self.points.shape[1]
        drawn = self.random.standard_normal((len(who), size))
        step = np.einsum("nij,nj->ni", self.axes[who], drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
        longest = np.linalg.norm(step, axis=1) / (0.5 * np.sqrt(size))
        self.steps[who] = step / np.maximum(longest, 1.0)[:, None]
        self.ends[LEFT, who] = -self.random.random(len(who))
        self.ends[RIGHT, who] = self.ends[LEFT, who] + 1.0
        self.stage[who] = LEFT

    def proceed(
        self, active: NDArray[np.int64], tried: NDArray[np.float64], found: NDArray[np.float64], threshold: float
    ) -> None:
        """Step out, shrink or move, as the values found at the places tried say, and choose the next places."""
        above, at = found > threshold, self.stage[active]
        for side, outward in ((LEFT, -1.0), (RIGHT, 1.0)):
            further = active[(at == side) & above]
            self.ends[side, further] += outward
            self.counts[0, further] += 1
        self.stage[active[(at != SHRINK) & ~above]] += 1
        self.counts[1, active[at == SHRINK]] += 1
        refused, moved = active[(at == SHRINK) & ~above], active[(at == SHRINK) & above]
        self.ends[(self.place[refused] > 0).astype(np.int64), refused] = self.place[refused]
        stuck = refused[self.ends[RIGHT, refused] - self.ends[LEFT, refused] < CLOSED]
        self.points[moved], self.values[moved] = tried[(at == SHRINK) & above], found[(at == SHRINK) & above]
        for who in (moved, stuck):
            self.left[who] -= 1
            self._begin(who)
        self._look()

    def _look(self) -> None:
        for side in (LEFT, RIGHT):
            self.place[self.stage == side] = self.ends[side, self.stage == side]
        shrinking = self.stage == SHRINK
        low, high = self.ends[:, shrinking]
        self.place[shrinking] = low + self.random.random(len(low)) * (high - low)


class Slices(RSliceSampler):  # type: ignore[misc]  # dynesty has no types
    """Slices along random directions, as dynesty's ``rslice``; `WalkTogether` moves many walkers at once."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - dynesty's own
        super().__init__(**settings)
        self.sampler_kwargs["evaluate"] = settings.get("evaluate")
        self.sampler_kwargs["wrapped"] = settings.get("wrapped", ())

    @staticmethod
    def sample(args: Any) -> Any:  # noqa: ANN401 - dynesty's own
        """Return the new place of one walker."""
        return move([args])[0]


def move(tasks: list[Any]) -> list[Any]:
    """Return the new places of walkers that dynesty sends out with the same threshold."""
    first, count = tasks[0], len(tasks)
    random = np.random.default_rng(first.rseed)
    axes = np.stack([task.axes * task.scale for task in tasks])
    settings = first.kwargs
    start = np.stack([task.u for task in tasks])
    found = walk(settings["evaluate"], start, first.loglstar, axes, settings["slices"], random, settings["wrapped"])
    calls = found.expanded + found.contracted + 2 * settings["slices"]
    return [
        SamplerReturn(
            u=found.points[k],
            v=found.points[k],
            logl=LoglOutput(float(found.values[k]), False),
            ncalls=int(calls[k]),
            tuning_info={
                "n_expand": int(found.expanded[k]),
                "n_contract": int(found.contracted[k]),
                "expansion_warning_set": False,
            },
            evaluation_history=[],
            proposal_stats={"n_expand": int(found.expanded[k]), "n_contract": int(found.contracted[k])},
        )
        for k in range(count)
    ]


class WalkTogether:
    """What dynesty takes for a pool of workers: it sends out all walkers at once.

    Parameters
    ----------
    size : number of walkers; those behind the threshold when their turn comes are lost
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> list[Any]:
        """Return the results of all tasks."""
        return move(list(tasks)) if function is Slices.sample else [function(task) for task in tasks]
