"""Where new live points land among the old ones: evenly, if they are drawn from the prior above the threshold."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["judge_insertions", "rank_insertions"]


def rank_insertions(log_likelihood: NDArray[np.float64], born: NDArray[np.int64], live: int) -> NDArray[np.float64]:
    """Return the rank of each new point among the live points, as a share of their number.

    Parameters
    ----------
    log_likelihood : (n,), of the points in the order of their death
    born : (n,), 0 for the first live points; k for the point that replaced the k-th dead one
    live : number of live points, constant but for the end

    Returns
    -------
    (m,), between 0 and 1

    References
    ----------
    Fowlie, Handley & Su (2020), MNRAS 497, 5256
    """
    order = np.argsort(born, kind="stable")
    first = order[born[order] == 0]
    alive = sorted(log_likelihood[first].tolist())
    ranks = []
    for point in order[len(first) :]:
        dead = log_likelihood[born[point] - 1]
        del alive[bisect.bisect_left(alive, dead)]
        place = bisect.bisect_left(alive, log_likelihood[point])
        ranks.append((place + 0.5) / live)
        alive.insert(place, log_likelihood[point])
    return np.array(ranks)


def judge_insertions(ranks: NDArray[np.float64]) -> float:
    """Return the Kolmogorov-Smirnov p-value that ranks are uniform, for many of them; 1 where there are none."""
    from scipy.special import kolmogorov

    count = len(ranks)
    if not count:
        return 1.0
    steps = np.arange(count + 1) / count
    ranks = np.sort(ranks)
    farthest = max(float((steps[1:] - ranks).max()), float((ranks - steps[:-1]).max()))
    return float(kolmogorov(math.sqrt(count) * farthest))
