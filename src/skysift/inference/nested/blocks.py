"""Uniform proposals for dynesty, drawn and evaluated a block at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from dynesty.bounding import MultiEllipsoid
from dynesty.internal_samplers import SamplerReturn, UniformBoundSampler
from dynesty.utils import LoglOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["BlockSampler", "BoxedEllipsoids", "Reserve"]

BLOCK = 32
MOST_EMPTY = 10**6
# ellipsoids larger than this share of the cube may miss its corners
WIDE = math.log(0.2)
BEYOND = 0.5


class BoxedEllipsoids(MultiEllipsoid):  # type: ignore[misc]  # dynesty has no types
    """Ellipsoids around the live points, or the whole cube as long as they are hardly smaller than it.

    Parameters
    ----------
    size : dimensions
    periodic : those that wrap
    """

    def __init__(self, size: int, periodic: list[int]) -> None:
        super().__init__(size)
        beyond = np.zeros(size)
        beyond[periodic] = BEYOND
        self.low, self.high = -beyond, 1.0 + beyond
        self.axes = np.eye(size)

    def contains(self, x: NDArray[np.float64]) -> bool:
        """Tell whether a point lies inside."""
        return bool(self.logvol > WIDE or super().contains(x))

    def get_random_axes(self, rstate: np.random.Generator) -> NDArray[np.float64]:
        """Return axes nobody uses."""
        return self.axes

    def samples(self, nsamples: int, rstate: np.random.Generator) -> NDArray[np.float64]:
        """Draw at most ``nsamples`` points uniformly inside both the bound and the cube, (k, d)."""
        if self.logvol > WIDE:
            return rstate.random((nsamples, self.ndim))
        share = np.exp(self.logvol_ells - self.logvol)
        chosen = rstate.choice(self.nells, nsamples, p=share / share.sum())
        ball = rstate.standard_normal((nsamples, self.ndim))
        ball *= (rstate.random(nsamples) ** (1.0 / self.ndim) / np.linalg.norm(ball, axis=1))[:, None]
        axes = np.stack([one.axes for one in self.ells])
        points = self.ctrs[chosen] + np.einsum("nij,nj->ni", axes[chosen], ball)
        offset = points[:, None] - self.ctrs
        shared = (np.einsum("nai,aij,naj->na", offset, self.ams, offset) < 1.0).sum(1)
        kept = rstate.random(nsamples) * shared < 1.0
        return np.asarray(points[kept & ((points > self.low) & (points < self.high)).all(1)])


class Reserve:
    """Points drawn uniformly inside one bound with their likelihoods, waiting for their turn.

    Rejection from a fixed bound does not care when a likelihood was computed: a point that waits is as good as one
    drawn now. A new bound empties the reserve.
    """

    def __init__(self, evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self.evaluate = evaluate
        self.version: tuple[int, int] | None = None
        self.points: list[tuple[NDArray[np.float64], float]] = []

    def open(self, version: tuple[int, int]) -> None:
        """Throw away what was drawn inside another bound."""
        if version != self.version:
            self.version, self.points = version, []

    def take(self, bound: BoxedEllipsoids, random: np.random.Generator) -> tuple[NDArray[np.float64], float]:
        """Return the next point and its log likelihood.

        Raises
        ------
        RuntimeError : the bound hardly touches the cube
        """
        tries = 0
        while not self.points:
            drawn = bound.samples(BLOCK, random)
            self.points = list(zip(drawn, self.evaluate(drawn).tolist(), strict=True))[::-1]
            tries += BLOCK
            if tries > MOST_EMPTY:
                raise RuntimeError("the bounds of the live points lie outside the unit cube")
        return self.points.pop()


class BlockSampler(UniformBoundSampler):  # type: ignore[misc]  # dynesty has no types
    """Rejection inside the bound, as dynesty's ``unif``; ``reserve`` evaluates likelihoods in blocks."""

    def prepare_sampler(self, **settings: Any) -> Any:  # noqa: ANN401 - dynesty's own
        """Add the reserve of the current bound to the arguments of `sample`."""
        nested = settings["nested_sampler"]
        self.sampler_kwargs["reserve"] = self.input_kwargs["reserve"]
        self.sampler_kwargs["reserve"].open((id(nested), nested.nbound))
        return super().prepare_sampler(**settings)

    @staticmethod
    def sample(args: Any) -> Any:  # noqa: ANN401 - dynesty's own
        """Return the next point of the bound above the threshold."""
        reserve, bound = args.kwargs["reserve"], args.kwargs["bound"]
        calls, value = 0, -math.inf
        while not value > args.loglstar:
            u, value = reserve.take(bound, args.rseed)
            calls += 1
        return SamplerReturn(
            u=u,
            v=u,
            logl=LoglOutput(value, False),
            ncalls=calls,
            tuning_info=None,
            evaluation_history=[],
            proposal_stats={"n_proposals": calls},
        )
