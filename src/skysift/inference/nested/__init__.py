"""The engine ``nested``: evidence and posterior by nested sampling through the unit cube."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Check, Result
from skysift.inference.nested.cube import Cube
from skysift.inference.nested.found import Found
from skysift.inference.nested.settings import Settings
from skysift.inference.result import factorise_covariance
from skysift.inference.verdict import grade

if TYPE_CHECKING:
    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream

__all__ = ["Settings", "run"]

LEAST_WEIGHT = 1e-12
INSERTION = (0.01, 1e-4)
ESS = (400.0, 100.0)
LIVE = (10.0, 2.0)
PROBES = 32
DRAWS = 10_000


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Sample the posterior and its evidence by nested sampling.

    The sampler walks through the unit cube, of which the priors make values; nothing of ``start`` is used, so that the
    answer is independent of what came before. Draws are weighted. Several runs are merged, and the error of log Z is
    the larger one of the claimed error and their scatter. A checkpoint keeps every likelihood that was computed: an
    interrupted sampler begins anew from its seed, is told the same, and costs its own overhead only.

    Raises
    ------
    InputError : a Gaussian process too long for the cube, or a library that does not take so few dimensions

    References
    ----------
    Skilling (2006); Speagle (2020), MNRAS 493, 3132 (dynesty); Lange (2023), MNRAS 525, 3181 (nautilus)
    """
    checkpoint = checkpoint.metered()
    cube = Cube(model, stream.device, checkpoint)
    found = _sample(cube, settings, stream)
    kept = found.log_weights > found.log_weights.max() + np.log(LEAST_WEIGHT)
    draws = cube.unconstrain(found.u[kept])
    log_weights = torch.as_tensor(found.log_weights[kept], device=draws.device)
    log_weights = log_weights - log_weights.logsumexp(0)
    weights = log_weights.exp()
    error = found.log_z_error
    if len(found.single) > 1:
        error = max(error, float(np.std(found.single, ddof=1) / len(found.single) ** 0.5))
    return Result(
        engine="nested",
        draws=draws[None],
        log_weights=log_weights[None],
        covariance_factor=factorise_covariance(draws, weights),
        log_z=found.log_z,
        log_z_error=error,
        log_z_method=found.method,
        checks=[*_check(found, cube, float(1.0 / (weights**2).sum())), *_check_live(settings, cube)],
        traces={
            "log_likelihood": torch.as_tensor(found.log_likelihood[kept]),
            "log_z_runs": torch.tensor(found.single, dtype=torch.float64),
        },
        cost={**cube.cost(), **checkpoint.cost()},
        started_from="the prior",
    )


def _sample(cube: Cube, settings: Settings, stream: Stream) -> Found:
    probes = stream.numpy("probes").random((PROBES, cube.size))
    values = cube(probes)
    if np.ptp(values) == 0.0 and np.isfinite(values[0]):
        # no threshold to rise above: the posterior is the prior
        u = stream.numpy("prior").random((settings.effective or DRAWS, cube.size))
        flat = cube(u)
        if np.ptp(flat) == 0.0 and flat[0] == values[0]:
            return Found(u, np.zeros(len(u)), flat, float(flat[0]), 0.0, "constant likelihood")
    with warnings.catch_warnings():
        # plateaus and slow bounds show in the checks
        warnings.filterwarnings("ignore", module="dynesty|nautilus|sklearn")
        if settings.library == "nautilus":
            from skysift.inference.nested.with_nautilus import run_nautilus

            return run_nautilus(cube, settings, stream)
        from skysift.inference.nested.with_dynesty import run_dynesty

        return run_dynesty(cube, settings, stream)


def _check_live(settings: Settings, cube: Cube) -> list[Check]:
    """Return the check of a number of live points that was asked for: too few do not span the space they walk in."""
    if settings.live is None:
        return []
    return [grade("live points per number", settings.live / cube.size, *LIVE, above=True, advice="raise nested.live")]


def _check(found: Found, cube: Cube, ess: float) -> list[Check]:
    checks = [
        grade("nested ESS", ess, *ESS, above=True, advice="raise nested.effective or nested.live"),
        grade(
            "calls without a likelihood",
            cube.non_finite / max(1, cube.calls),
            0.01,
            0.5,
            advice="the prior reaches where the likelihood fails: tighten it",
        ),
    ]
    if found.iterations:
        checks.append(Check("calls per iteration", cube.calls / found.iterations, "reported", "green"))
    if found.insertion is not None:
        advice = "new points are not drawn evenly: take another nested.sample, or raise nested.live"
        checks.append(grade("insertion ranks, p", found.insertion, *INSERTION, above=True, advice=advice))
    return checks
