"""The engine ``hmc``: many Hamiltonian chains in one batch, whitened, run until they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from skysift.inference import convergence
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Result
from skysift.inference.leapfrog import Whitening
from skysift.inference.progress import follow
from skysift.inference.result import factorise_covariance
from skysift.inference.sampler import Sampler, whiten
from skysift.inference.target import Target
from skysift.inference.verdict import check_chains, is_settled

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Check, Start, Stream

__all__ = ["Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """How the chains run.

    ``chains`` in one batch; ``warmup`` transitions, dropped; ``draws`` per block: after each block the chains may
    stop; ``step``: first leapfrog step in whitened units (default: adapted from 1.2 d^-1/4); ``path``: mean length of
    a trajectory; ``max_leapfrog`` steps in it; ``target_accept``: acceptance that the step is adapted to;
    ``max_draws`` per chain.
    """

    chains: int = 32
    warmup: int = 200
    draws: int = 100
    step: float | None = None
    path: float = 0.5 * math.pi
    max_leapfrog: int = 64
    target_accept: float = 0.8
    max_draws: int = 2000


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Sample the posterior by Hamiltonian Monte Carlo, all chains in one batch, whitened by the Start's covariance.

    Chains begin at the Start's draws, or from the Gaussian of its mode and covariance; without those, a Newton climb
    finds them. The covariance is estimated anew once, half way through the warm-up, and the step (common to all
    chains) is frozen after four fifths of it. Blocks of draws follow until R-hat and effective sample sizes are green.
    ``traces``: ``r_hat``, ``ess_bulk``, ``ess_tail`` (d + 1,), the last that of the log density; ``acceptance``,
    ``energy``, ``diverging``, ``log_density`` (chain, draw); ``step``, ``leapfrogs``.

    Raises
    ------
    NumericsError : chains cannot be placed where the density is finite

    References
    ----------
    Neal 2011, Handbook of Markov Chain Monte Carlo, chapter 5; Vehtari et al. 2021, Bayesian Analysis 16, 667
    """
    target = Target(model, device=stream.device)
    checkpoint = checkpoint.metered(target)
    kept = checkpoint.load()
    if kept is None:
        sampler = Sampler(target, settings, stream, whiten(target, start, stream))
        sampler.begin(start, stream)
        due = settings.draws
    else:
        sampler = Sampler(target, settings, stream, Whitening(*kept["sampler"]["whitening"]))
        sampler.load(kept["sampler"])
        due = kept["due"]
    with follow("hmc warm-up", settings.warmup) as update:
        while sampler.done < settings.warmup:
            transition = sampler.warm_up()
            update(sampler.done, acceptance=float(transition.acceptance.mean()), step=sampler.step)
            checkpoint.save(partial(_snapshot, sampler, due))
    found = _collect(sampler, settings, due, checkpoint)
    return _report(sampler, found, start, checkpoint)


def _snapshot(sampler: Sampler, due: int) -> dict[str, Any]:
    return {"step": sampler.done, "due": due, "sampler": sampler.state()}


def _collect(
    sampler: Sampler, settings: Settings, due: int, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], list[Check]]:
    """Draw block after block until the checks are green; ``due`` draws are looked at first. Return what was found."""
    with follow("hmc draws, at most", settings.max_draws) as update:
        while True:
            if sampler.drawn >= min(due, settings.max_draws):
                diagnostics, checks = _diagnose(sampler)
                if is_settled(checks) or sampler.drawn >= settings.max_draws:
                    return diagnostics, checks
                # diagnostics cost more with every draw: look again after a quarter more, in whole blocks
                ahead = sampler.drawn + max(settings.draws, sampler.drawn // 4)
                due = settings.draws * math.ceil(ahead / settings.draws)
            transition = sampler.draw()
            update(sampler.drawn, acceptance=float(transition.acceptance.mean()))
            checkpoint.save(partial(_snapshot, sampler, due))


def _diagnose(sampler: Sampler) -> tuple[dict[str, Tensor], list[Check]]:
    density = sampler.gather("log_density")
    draws = torch.cat([sampler.gather("draws"), density[..., None]], -1).cpu().numpy()
    per_parameter = {
        "r_hat": torch.as_tensor(convergence.r_hat(draws)),
        "ess_bulk": torch.as_tensor(convergence.bulk_ess(draws)),
        "ess_tail": torch.as_tensor(convergence.tail_ess(draws)),
    }
    energy = sampler.gather("energy").cpu().numpy()
    summary = {
        "r_hat": float(per_parameter["r_hat"].max()),
        "ess_bulk": float(per_parameter["ess_bulk"].min()),
        "ess_tail": float(per_parameter["ess_tail"].min()),
        "acceptance": float(sampler.gather("acceptance").mean()),
        "divergences": float(sampler.gather("diverging").double().mean()),
        "e_bfmi": float(convergence.e_bfmi(energy).min()),
    }
    return per_parameter, check_chains(summary)


def _report(
    sampler: Sampler, found: tuple[dict[str, Tensor], list[Check]], start: Start, checkpoint: Checkpoint
) -> Result:
    draws, density = sampler.gather("draws"), sampler.gather("log_density")
    traces = {
        **found[0],
        "acceptance": sampler.gather("acceptance"),
        "energy": sampler.gather("energy"),
        "diverging": sampler.gather("diverging"),
        "log_density": density,
        "step": torch.tensor(sampler.step, dtype=torch.float64),
        "leapfrogs": torch.tensor(sampler.leapfrogs / draws.shape[1]),
    }
    flat = draws.reshape(-1, draws.shape[-1])
    return Result(
        engine="hmc",
        draws=draws,
        mode=flat[density.reshape(-1).argmax()] if start.mode is None else start.mode,
        covariance_factor=factorise_covariance(flat),
        checks=found[1],
        traces=traces,
        cost=checkpoint.cost(),
        started_from=start.describe(),
    )
