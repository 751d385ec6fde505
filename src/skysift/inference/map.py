"""The engine ``map``: many starts, every optimum they lead to, and the best one polished."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from skysift.contract import hook
from skysift.inference.ascent import climb_adam, climb_quasi_newton
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Result
from skysift.inference.newton import Optimum, climb
from skysift.inference.optima import UNFINISHED, separate
from skysift.inference.starts import draw_starts
from skysift.inference.target import Target
from skysift.inference.verdict import check_optima

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream

__all__ = ["Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """How hard to look for optima.

    ``starts`` from the prior (scrambled Sobol points through the cube); ``steps`` of Adam for all of them, by default
    none where the model offers its curvature in closed form and 250 elsewhere; ``lr`` of Adam, which falls to
    ``lr_end``, by default a tenth; ``polish``: most Newton steps for the best (0: Adam alone, nothing of what
    follows); ``explore``: most quasi-Newton steps that lead every start to its own optimum (0: only the best starts
    are followed); ``finish``: Newton steps to share among starts that have not ended by then; ``optima``: how many
    distinct ones are polished.
    """

    starts: int = 32
    steps: int | None = None
    lr: float = 0.03
    lr_end: float | None = None
    polish: int = 30
    explore: int = 60
    finish: int = 60
    optima: int = 3


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Find the highest optimum of the posterior density in z, and what else the starts lead to.

    The result has one draw, the mode; ``covariance_factor`` is that of the Gaussian there. ``traces``: ``optima``
    (k, d), ``optima_log_density`` (k,), ``optima_log_mass`` (k,) by Laplace's approximation, ``optima_factor``
    (k, d, d), ``prior_starts`` (), how many starts came from the prior and were followed to their optimum.

    Raises
    ------
    NumericsError : more than half of the starts have no finite log density
    """
    target = Target(model, device=stream.device)
    checkpoint = checkpoint.metered(target)
    z = draw_starts(target, settings.starts, start, stream)
    density = target.check_starts(z)
    good = torch.isfinite(density)
    is_prior = (torch.arange(len(z), device=z.device) >= len(z) - settings.starts)[good]
    rows = z[good], density[good]
    optima, owner, density = _search(target, rows, settings, checkpoint)
    # a start counts for the search of modes once it has ended somewhere
    followed = int(((owner != UNFINISHED) & is_prior).sum())
    result = _report(target, optima, owner, density, followed)
    return replace(result, cost=result.cost | checkpoint.cost(), started_from=start.describe())


def _search(
    target: Target, rows: tuple[Tensor, Tensor], settings: Settings, checkpoint: Checkpoint
) -> tuple[list[Optimum], Tensor, Tensor]:
    """Follow starts of known density; return the optima, each row's place among them, and where in density it ended."""
    z, density = rows
    steps = settings.steps
    if steps is None:
        steps = 0 if hook(target.model, "curvature") is not None else 250
    if steps > 0:
        climbing = partial(climb_adam, target, z, steps, settings.lr, lr_end=settings.lr_end)
        z, density = checkpoint.child("adam").once(lambda here: climbing(checkpoint=here))
    polishing = partial(climb, target, z[density.argmax()], settings.polish)
    first = checkpoint.child("polish").once_as(Optimum, lambda here: polishing(checkpoint=here))
    slope = torch.full_like(density, torch.inf)
    if settings.explore > 0 and settings.polish > 0:
        frame = first.z, first.covariance_factor
        exploring = partial(climb_quasi_newton, target, z, frame, settings.explore)
        z, density, slope = checkpoint.child("explore").once(lambda here: exploring(checkpoint=here))
    limits = settings.optima, settings.finish if settings.polish > 0 else 0
    optima, owner = separate(target, first, (z, density, slope), limits, checkpoint.child("separate"))
    return optima, owner, density


def _report(target: Target, optima: list[Optimum], owner: Tensor, density: Tensor, followed: int) -> Result:
    best, size = optima[0], target.size
    log_mass = [
        one.log_density + 0.5 * size * math.log(2 * math.pi) + float(one.covariance_factor.diagonal().log().sum())
        for one in optima
    ]
    reached = int((owner == 0).sum())
    gap = best.log_density - optima[1].log_density if len(optima) > 1 else math.inf
    traces = {
        "optima": torch.stack([one.z for one in optima]),
        "optima_log_density": torch.tensor([one.log_density for one in optima], dtype=torch.float64),
        "optima_log_mass": torch.tensor(log_mass, dtype=torch.float64),
        "optima_factor": torch.stack([one.covariance_factor for one in optima]),
        "prior_starts": torch.tensor(followed),
        "starts_log_density": density,
        "starts_reached_best": torch.tensor(reached),
        "starts_gap": torch.tensor(gap, dtype=torch.float64),
    }
    _, gradient = target.log_density_and_gradient(best.z[None])
    checks = check_optima(best, reached, len(density), bool(torch.isfinite(gradient).all()))
    cost = {"newton_steps": float(sum(one.steps for one in optima))}
    return Result(
        engine="map",
        draws=best.z[None, None],
        mode=best.z,
        covariance_factor=best.covariance_factor,
        checks=checks,
        traces=traces,
        cost=cost,
    )
