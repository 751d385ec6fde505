"""The engine ``nuts``: Pyro's No-U-Turn sampler, a slow check of ``hmc`` that shares nothing with it but the target."""

from __future__ import annotations

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
from skysift.inference.sampler import begin_chains, whiten
from skysift.inference.target import Target
from skysift.inference.verdict import check_chains

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream

__all__ = ["Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """How the chains run, one after the other.

    ``chains``; ``warmup`` transitions of each, dropped; ``draws`` of each; ``max_depth`` of a tree, whose trajectory
    has up to two to that power leapfrogs; ``target_accept``: acceptance that the step is adapted to.
    """

    chains: int = 4
    warmup: int = 300
    draws: int = 1000
    max_depth: int = 10
    target_accept: float = 0.8


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Sample the posterior by Pyro's No-U-Turn sampler, whitened by the Start's covariance as ``hmc`` is.

    A cross-check, once per kind of model: its trajectories, step and mass are Pyro's, and so is the price of a fifth
    of a millisecond per leapfrog in each chain. A checkpoint keeps the chains that have ended. ``traces``: ``r_hat``,
    ``ess_bulk``, ``ess_tail`` (d + 1,), the last that of the log density; ``log_density`` (chain, draw).

    Raises
    ------
    NumericsError : chains cannot be placed where the density is finite

    References
    ----------
    Hoffman & Gelman 2014, Journal of Machine Learning Research 15, 1593
    """
    target = Target(model, device=stream.device)
    checkpoint = checkpoint.metered(target)
    whitening = checkpoint.child("whitening").once(
        lambda _: whiten(target, start, stream),
        lambda found: [found.centre, found.factor],
        lambda kept: Whitening(*kept),
    )
    places = begin_chains(target, whitening, settings.chains, start, stream).w
    found: list[dict[str, Any]] = []
    with follow("nuts", settings.chains * (settings.warmup + settings.draws)) as update:
        for k, place in enumerate(places):
            walk = partial(_walk, target, whitening, place, settings, stream.number(f"chain-{k}"), update)
            found.append(checkpoint.child(f"chain-{k}").once(walk))
    return _report(found, target, start, checkpoint)


def _walk(
    target: Target,
    whitening: Whitening,
    place: Tensor,
    settings: Settings,
    seed: int,
    update: Callable[..., None],
    checkpoint: Checkpoint,
) -> dict[str, Any]:
    """Return one chain: draws in z (n, d), their log density (n,), mean acceptance, share of divergences."""
    from pyro.infer import NUTS

    def fall(parameters: dict[str, Tensor]) -> Tensor:
        return -target(whitening.to_z(parameters["w"])[None])[0]

    # Pyro is untyped
    kernel: Any = NUTS(  # type: ignore[no-untyped-call]
        potential_fn=fall, target_accept_prob=settings.target_accept, max_tree_depth=settings.max_depth
    )
    kept = []
    # Pyro draws from torch's global generator
    with torch.random.fork_rng(devices=[target.device] if "cuda" in str(target.device) else []):
        torch.manual_seed(seed)
        kernel.initial_params = parameters = {"w": place}
        kernel.setup(settings.warmup)
        for k in range(settings.warmup + settings.draws):
            parameters = kernel.sample(parameters)
            update(k + 1, step=float(kernel.step_size))
            if k >= settings.warmup:
                kept.append(parameters["w"].detach())
            # a chain that is stopped begins anew
            checkpoint.save(partial(dict, step=k + 1))
    z = whitening.to_z(torch.stack(kept))
    return {
        "draws": z,
        "log_density": target.log_density(z),
        "acceptance": float(kernel.logging()["acc. prob"]),
        "divergences": len(kernel.diagnostics()["divergences"]) / settings.draws,
    }


def _report(found: list[dict[str, Any]], target: Target, start: Start, checkpoint: Checkpoint) -> Result:
    draws, density = (torch.stack([chain[name] for chain in found]) for name in ("draws", "log_density"))
    watched = torch.cat([draws, density[..., None]], -1).cpu().numpy()
    traces = {
        "r_hat": torch.as_tensor(convergence.r_hat(watched)),
        "ess_bulk": torch.as_tensor(convergence.bulk_ess(watched)),
        "ess_tail": torch.as_tensor(convergence.tail_ess(watched)),
        "log_density": density,
    }
    summary = {
        "r_hat": float(traces["r_hat"].max()),
        "ess_bulk": float(traces["ess_bulk"].min()),
        "ess_tail": float(traces["ess_tail"].min()),
    }
    for name in ("acceptance", "divergences"):
        summary[name] = sum(chain[name] for chain in found) / len(found)
    flat = draws.reshape(-1, target.size)
    return Result(
        engine="nuts",
        draws=draws,
        mode=flat[density.reshape(-1).argmax()] if start.mode is None else start.mode,
        covariance_factor=factorise_covariance(flat),
        checks=check_chains(summary, "nuts.draws"),
        traces=traces,
        cost=checkpoint.cost(),
        started_from=start.describe(),
    )
