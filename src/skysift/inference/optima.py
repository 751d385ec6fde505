"""Which optimum each of many climbs ended at, and which of them are distinct."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.newton import Optimum, climb

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.target import Target

__all__ = ["ELSEWHERE", "UNFINISHED", "separate"]

WINDOW = 10.0
BARRIER = 0.5
PATH = 9
UNFINISHED = -1
ELSEWHERE = -2
ROUGH = 1e-2
STEPS_PER_ROW = 10


def separate(
    target: Target,
    first: Optimum,
    rows: tuple[Tensor, Tensor, Tensor],
    limits: tuple[int, int],
    checkpoint: Checkpoint = NOWHERE,
) -> tuple[list[Optimum], Tensor]:
    """Sort the ends of many climbs by optimum, climbing further by Newton steps where they had not yet ended.

    Parameters
    ----------
    target : the target
    first : the best optimum known
    rows : points (batch, d), log densities (batch,) and squared gradients in units of the posterior (batch,);
        changed in place
    limits : distinct optima to polish at most, and Newton steps to spend on rows that had not ended
    checkpoint : where the work is kept, to go on from

    Returns
    -------
    the optima within 10 nats, best first, and for each row the place of its own in that list, ``ELSEWHERE`` (an
    optimum further down) or ``UNFINISHED``, (batch,)
    """
    z, density, slope = rows
    most, budget = limits
    kept = checkpoint.load()
    if kept is None:
        optima, done = [first], 0
        owner = torch.full(density.shape, UNFINISHED, dtype=torch.long, device=density.device)
        _assign(target, optima, z, density, owner)
        queue = density.argsort(descending=True).tolist()
    else:
        optima, owner = [Optimum(**one) for one in kept["optima"]], kept["owner"]
        queue, done, budget = kept["queue"], kept["step"], kept["budget"]
        for mine, found in zip(rows, kept["rows"], strict=True):
            mine.copy_(found)
    for row in queue[done:]:
        done += 1
        if int(owner[row]) != UNFINISHED:
            continue
        if float(slope[row]) >= ROUGH:
            if budget <= 0:
                break
            climbed = climb(target, z[row], STEPS_PER_ROW, ROUGH)
            budget -= climbed.steps
            z[row], density[row], slope[row] = climbed.z, climbed.log_density, climbed.decrement
        _settle(target, optima, rows, (owner, row), most)
        state = {"step": done, "budget": budget, "queue": queue, "rows": list(rows), "owner": owner}
        checkpoint.save(partial(_snapshot, state, optima))
    order = sorted(range(len(optima)), key=lambda k: -optima[k].log_density)
    place = torch.tensor([*(order.index(k) for k in range(len(order))), ELSEWHERE, UNFINISHED], device=owner.device)
    return [optima[k] for k in order], place[owner]


def _snapshot(state: dict[str, Any], optima: list[Optimum]) -> dict[str, Any]:
    return state | {"optima": [vars(one) for one in optima]}


def _settle(
    target: Target, optima: list[Optimum], rows: tuple[Tensor, Tensor, Tensor], which: tuple[Tensor, int], most: int
) -> None:
    """Give a row that has ended to an optimum, a new one if need be; a row that has not only to a known one."""
    (z, density, slope), (owner, row) = rows, which
    one = slice(row, row + 1)
    _assign(target, optima, z[one], density[one], owner[one])
    is_close = float(density[row]) > max(known.log_density for known in optima) - WINDOW
    if int(owner[row]) == UNFINISHED and float(slope[row]) < ROUGH:
        if not is_close or len(optima) >= most:
            owner[row] = ELSEWHERE
            return
        # in a curved valley only the very end of the climb shows where it leads
        found = climb(target, z[row])
        z[row], density[row] = found.z, found.log_density
        _assign(target, optima, z[one], density[one], owner[one])
        if int(owner[row]) == UNFINISHED:
            optima.append(found)
            _assign(target, optima, z, density, owner)
    elif int(owner[row]) >= 0 and float(density[row]) > optima[int(owner[row])].log_density + 1e-6:
        optima[int(owner[row])] = climb(target, z[row])


def _assign(target: Target, optima: list[Optimum], z: Tensor, density: Tensor, owner: Tensor) -> None:
    """Write into ``owner`` which optimum each unfinished row within the window belongs to.

    A row belongs to an optimum if the straight line between them never dips by more than half a nat below the lower
    of the two: then there is no second mode, only a climb not quite ended.
    """
    best = max(one.log_density for one in optima)
    share = torch.linspace(0.0, 1.0, PATH + 2, dtype=z.dtype, device=z.device)[1:-1, None]
    for k, one in enumerate(optima):
        rows = ((owner == UNFINISHED) & (density > best - WINDOW)).nonzero()[:, 0]
        if not len(rows):
            return
        line = one.z + share * (z[rows, None] - one.z)
        lowest = target.log_density(line.reshape(-1, target.size)).reshape(-1, PATH).amin(-1)
        owner[rows[lowest > density[rows].clamp_max(one.log_density) - BARRIER]] = k
