"""Do the joint regions of posteriors hold truths as often as they say? Distances from random points (TARP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "JointCoverage", "measure_joint_coverage"]

#: Credibility levels at which the curve is judged.
LEVELS = np.arange(1, 20) / 20
RESAMPLED = 2000
# Spread of the reference points in posterior sd: farther out, wrong correlations hide.
SPREAD = 0.25


@dataclass(frozen=True)
class JointCoverage:
    """Share of truths inside joint regions of each credibility.

    ``levels`` (K,); ``coverage`` (K,), shares; ``lower`` and ``upper`` (K,): the band that holds the whole curve with
    ``probability`` when simulations are drawn again; ``shares`` (simulation,): credibility at which each truth enters.
    """

    levels: NDArray[np.float64]
    coverage: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    shares: NDArray[np.float64]
    probability: float

    @property
    def is_inside(self) -> bool:
        """Whether the band holds the diagonal: coverage is what it should be at every level."""
        return bool(np.all((self.lower <= self.levels) & (self.levels <= self.upper)))

    @property
    def worst(self) -> tuple[float, float]:
        """Level at which the curve is farthest from the diagonal for its error there, and its coverage."""
        k = int(np.argmax(np.abs(self.coverage - self.levels) / np.sqrt(self.levels * (1 - self.levels))))
        return float(self.levels[k]), float(self.coverage[k])

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table's row."""
        return {"quantity": "joint", "n": len(self.shares), "inside_band": self.is_inside}


def measure_joint_coverage(
    truths: NDArray[np.float64], draws: NDArray[np.float64], random: np.random.Generator, probability: float = 0.99
) -> JointCoverage:
    """Measure how often balls around random points that hold a share of the draws hold the truth, too.

    Each simulation has a reference point of its own, a quarter of an sd from the centre of its draws or so, in units of
    their spread: the truth counts as one of the draws there, so that the point does not know which it is. Wrong widths
    and lost correlations show, also where every quantity by itself is calibrated.

    Parameters
    ----------
    truths : (simulation, quantity)
    draws : (simulation, draw, quantity)
    random : draws the reference points, breaks ties, and resamples simulations
    probability : that the band holds the whole curve

    References
    ----------
    Lemos, Coogan, Hezaveh and Perreault-Levasseur (2023), arXiv 2302.03026, algorithm 2 and section 4.1
    """
    pool = np.concatenate([truths[:, None], draws], axis=1)
    spread = pool.std(axis=1, keepdims=True)
    pool = (pool - pool.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    reference = SPREAD * random.standard_normal((len(pool), 1, pool.shape[2]))
    distance = ((pool - reference) ** 2).sum(axis=2)
    nearer = (distance[:, 1:] < distance[:, :1]).sum(axis=1)
    tied = (distance[:, 1:] == distance[:, :1]).sum(axis=1)
    rank = nearer + random.integers(0, tied + 1)
    shares = (rank + random.random(len(rank))) / (draws.shape[1] + 1.0)
    return JointCoverage(LEVELS, *_band(shares, random, probability), shares, probability)


def _band(
    shares: NDArray[np.float64], random: np.random.Generator, probability: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve with its simultaneous bootstrap band; its width follows the binomial error along the curve."""
    count = len(shares)
    cells = np.bincount(np.searchsorted(LEVELS, shares), minlength=len(LEVELS) + 1)
    coverage = cells.cumsum()[:-1] / count
    again = random.multinomial(count, cells / count, size=RESAMPLED).cumsum(axis=1)[:, :-1] / count
    error = np.sqrt(LEVELS * (1 - LEVELS) / count)
    width = float(np.quantile((np.abs(again - coverage) / error).max(axis=1), probability)) * error
    return coverage, coverage - width, coverage + width
