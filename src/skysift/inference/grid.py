"""The grid engine: one parameter on a grid, everything else by Laplace and importance sampling at each value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.conditional_draws import Drawn, Kind, draw_from, reweigh
from skysift.inference.conditioned import flatten_prior
from skysift.inference.engine import Check, Result
from skysift.inference.laplace import find_start, node_traces, optimum_checks, settle
from skysift.inference.marginal import Marginal, join_profiles
from skysift.inference.profiles import Profile, make_profiles
from skysift.inference.verdict import grade

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream
    from skysift.inference.hyper import Quadrature

__all__ = ["Marginal", "Settings", "run"]

LEAST_ESS = 0.05


@dataclass(frozen=True)
class Settings:
    """``parameter`` on the grid of ``values`` between ``low`` and ``high``; ``importance`` draws at each value.

    Without limits the grid covers the marginal likelihood's own mode by five of its standard deviations, beyond the
    prior's support where the likelihood allows; ``draws`` are stored. With hyper-parameters, nodes are profiled in
    order of their weight until they hold the share ``profiled``; the others take the shape of the heaviest, moved to
    their own peak and width.
    """

    parameter: str
    values: int = 16
    low: float | None = None
    high: float | None = None
    importance: int = 2000
    draws: int = 4000
    profiled: float = 0.25


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Return the posterior of one parameter from its marginal likelihood, with the rest drawn given it.

    The parameter's own prior is replaced by an almost flat one while the marginal likelihood is built, so the peak
    without the prior is known too, and multiplied in at the end.
    """
    checkpoint = checkpoint.metered()
    item = model.parameters[settings.parameter]
    if item.shape != ():
        raise InputError("fits", "grid.parameter", item.name, "a parameter that is a single number", "tie its energies")
    free = flatten_prior(model, settings.parameter)
    z = _free_start(model, free, settings.parameter, start, stream)
    quadrature = settle(free, z, stream, checkpoint.child("settle"))
    edges = item.prior.from_cube(torch.tensor([0.001, 0.999], dtype=torch.float64))
    span = float(edges[0]), float(edges[1])
    profiles = make_profiles(quadrature, free.parameters, settings, stream, span, checkpoint.child("profiles"))
    marginal, log_z = join_profiles(quadrature, profiles)
    posterior = marginal.log_posterior(item.prior)
    if not np.isfinite(posterior).any():
        raise InputError(
            "fits",
            "grid",
            f"values of {item.name} from {marginal.grid[0]:.3g} to {marginal.grid[-1]:.3g}",
            f"some that the prior of {item.name} allows",
            "change low and high, or leave them out",
        )
    drawn, weighing = _draw(model, settings, marginal, posterior, profiles, quadrature, stream)
    flat_draws = draw_from(
        model, settings.parameter, marginal, marginal.log_likelihood, profiles, settings.draws, stream, "flat"
    )
    flat = _name_norms(model, settings.parameter, flat_draws.z)
    heavy = max(quadrature.nodes, key=lambda node: node.log_weight)
    error = float(np.max([profile.errors.max() for profile in profiles])) if settings.importance else None
    traces = {
        "marginal_grid": torch.as_tensor(marginal.grid),
        "marginal_log_likelihood": torch.as_tensor(marginal.log_likelihood),
        **flat,
        **node_traces(quadrature),
    }
    evidence = log_z + float(np.logaddexp.reduce(posterior)) + math.log(marginal.step)
    return Result(
        "grid",
        drawn.z[None],
        log_z=evidence,
        log_z_error=error,
        log_z_method="grid of laplace" + (", importance weighted" if settings.importance else ""),
        checks=[*optimum_checks(heavy.optimum), *_checks(marginal, profiles, settings), *weighing],
        traces=traces,
        cost={
            "cpu_s": checkpoint.cost()["cpu_seconds"],
            "evidences": float(quadrature.evaluations + sum(len(p.at) for p in profiles)),
        },
        variant=drawn.variant[None],
        started_from=start.describe(),
        labels={"marginal_of": settings.parameter},
    )


def _draw(
    model: Model,
    settings: Settings,
    marginal: Marginal,
    log_density: np.ndarray,
    profiles: list[Profile],
    quadrature: Quadrature,
    stream: Stream,
) -> tuple[Drawn, list[Check]]:
    """Return draws from the posterior, the rest weighted like its integrals, and what there is to say about that."""
    weighted = settings.importance > 0 and model.parameters.size > 1
    kind: Kind = "proposal" if weighted else "posterior"
    drawn = draw_from(model, settings.parameter, marginal, log_density, profiles, settings.draws, stream, kind)
    checks = []
    if weighted:
        drawn, weights = reweigh(model, drawn, quadrature.nodes, stream)
        share = weights.ess / settings.draws
        advice = "draws of the rest repeat each other: raise grid.draws, or add an hmc stage"
        checks.append(grade("ESS fraction of the draws", share, LEAST_ESS, 0.0, above=True, advice=advice))
    return drawn.shuffle(stream.numpy("grid-order")), checks


def _name_norms(model: Model, name: str, draws: Tensor) -> dict[str, Tensor]:
    """Return draws without the parameter's prior, ``flat_<name>`` (n,) for every single-number norm."""
    named = {}
    for item in model.parameters:
        if item.block == "norm" and item.shape == ():
            column = draws[:, model.parameters.slices[item.name].start]
            named[f"flat_{item.name}"] = column if item.name == name else item.prior.from_z(column)
    return named


def _free_start(model: Model, free: Model, name: str, start: Start, stream: Stream) -> Tensor:
    z = find_start(model, start, stream)
    return free.parameters.unconstrain(model.parameters.values(z[None]))[0]


def _checks(marginal: Marginal, profiles: list[Profile], settings: Settings) -> list[Check]:
    fall = float(min(-marginal.log_likelihood[0], -marginal.log_likelihood[-1]))
    wide = fall > 4.5 or settings.low is not None or settings.high is not None
    checks = [
        Check(
            "grid reaches",
            fall,
            "> 4.5 nats below the peak at both ends, unless limits are given",
            "green" if wide else "amber",
            "" if wide else f"widen the grid of {settings.parameter}, or the likelihood ends there",
        )
    ]
    if settings.importance:
        ess = float(min(profile.ess.min() for profile in profiles))
        error = float(max(profile.errors.max() for profile in profiles))
        good = error < 0.2
        advice = "" if good else "more importance draws"
        checks += [
            Check("least importance ESS fraction", ess, "reported", "green"),
            Check("largest importance error of ln L", error, "< 0.2", "green" if good else "amber", advice),
        ]
    return checks
