"""The engine ``hmc``: many Hamiltonian chains in one batch, whitened, run until they agree."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from skysift.errors import NumericsError
from skysift.inference import convergence
from skysift.inference.engine import Result
from skysift.inference.leapfrog import Chains, StepSearch, Transition, Whitening, place_chains, recentre, transit
from skysift.inference.newton import climb
from skysift.inference.progress import follow
from skysift.inference.result import factorise_covariance
from skysift.inference.starts import draw_starts
from skysift.inference.target import Target
from skysift.inference.verdict import check_chains, is_settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Check, Start, Stream

__all__ = ["Settings", "run"]

LARGEST_COVARIANCE = 300
FIRST_STAGE = 0.5
FROZEN_FROM = 0.8


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


def run(model: Model, settings: Settings, start: Start, stream: Stream) -> Result:
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
    begin = time.process_time()
    target = Target(model, device=stream.device)
    sampler = _Sampler(target, settings, _whiten(target, start, stream), stream)
    sampler.begin(start, stream)
    with follow("hmc warm-up", settings.warmup) as update:
        sampler.warm_up(update)
    with follow("hmc draws, at most", settings.max_draws) as update:
        blocks, found = _collect(sampler, settings, update)
    return _report(sampler, blocks, found, start, begin)


def _collect(
    sampler: _Sampler, settings: Settings, update: Callable[..., None]
) -> tuple[list[_Block], tuple[dict[str, Tensor], list[Check]]]:
    """Draw block after block until the checks are green; return the blocks and what was found."""
    blocks: list[_Block] = []
    checks: list[Check] = []
    diagnostics: dict[str, Tensor] = {}
    due = settings.draws
    while (done := sum(block.draws.shape[1] for block in blocks)) < settings.max_draws:
        blocks.append(sampler.collect(min(settings.draws, settings.max_draws - done), done, update))
        done += blocks[-1].draws.shape[1]
        if done < min(due, settings.max_draws):
            continue
        diagnostics, checks = _diagnose(blocks)
        if is_settled(checks):
            break
        # diagnostics cost more with every draw: look again after a quarter more
        due = done + max(settings.draws, done // 4)
    return blocks, (diagnostics, checks)


def _whiten(target: Target, start: Start, stream: Stream) -> Whitening:
    if start.covariance_factor is not None and start.mode is not None:
        return Whitening(start.mode.to(target.device), start.covariance_factor.to(target.device))
    if start.draws is not None and len(start.draws) > 2 * target.size:
        draws = start.draws.to(target.device)
        return Whitening(draws.mean(0), factorise_covariance(draws))
    points = draw_starts(target, 8, start, stream)
    best = climb(target, points[target.check_starts(points).argmax()])
    return Whitening(best.z, best.covariance_factor)


class _Block:
    """Draws (chain, draw, d) in z, and per draw what the transitions did (chain, draw)."""

    def __init__(self, z: list[Tensor], density: list[Tensor], transitions: list[Transition], leapfrogs: int) -> None:
        self.draws = torch.stack(z, 1)
        self.log_density = torch.stack(density, 1)
        self.acceptance = torch.stack([one.acceptance for one in transitions], 1)
        self.diverging = torch.stack([one.is_divergent for one in transitions], 1)
        self.energy = torch.stack([one.energy for one in transitions], 1)
        self.leapfrogs = leapfrogs


class _Sampler:
    """Chains, their coordinates and their step; the only state that a run has."""

    def __init__(self, target: Target, settings: Settings, whitening: Whitening, stream: Stream) -> None:
        self.target, self.settings, self.whitening = target, settings, whitening
        self.generator = stream.generator("momenta")
        self.jitter = stream.numpy("path")
        self.step = settings.step or 1.2 * target.size**-0.25
        self.leapfrogs = 0
        self.chains: Chains

    def begin(self, start: Start, stream: Stream) -> None:
        """Place the chains at draws of the Start, or of the Gaussian; those at impossible values closer to the mode."""
        generator, shape = stream.generator("places"), (self.settings.chains, self.target.size)
        w = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
        if start.draws is not None and len(start.draws) >= self.settings.chains:
            rows = torch.randperm(len(start.draws), generator=generator, device=generator.device)[: shape[0]]
            w = self.whitening.to_w(start.draws.to(w)[rows])
        for _ in range(12):
            self.chains = place_chains(self.target, self.whitening, w)
            bad = ~torch.isfinite(self.chains.log_density)
            if not bool(bad.any()):
                return
            w = torch.where(bad[:, None], 0.5 * w, w)
        raise NumericsError(f"{int(bad.sum())} of {len(w)} chains find no finite log density around the mode")

    def transit(self) -> Transition:
        """Move all chains once."""
        path = self.settings.path * self.jitter.uniform(0.5, 1.5)
        count = min(max(1, round(path / self.step)), self.settings.max_leapfrog)
        self.leapfrogs += count
        self.chains, transition = transit(self.target, self.whitening, self.chains, self.step, count, self.generator)
        return transition

    def warm_up(self, update: Callable[..., None]) -> None:
        """Find the step; half way, take the covariance of the draws so far as the new one."""
        total = self.settings.warmup
        middle, frozen = int(FIRST_STAGE * total), int(FROZEN_FROM * total)
        search = StepSearch(self.step, self.settings.target_accept)
        seen: list[Tensor] = []
        for k in range(total):
            if k == middle and len(seen) > 3 and self._learn_covariance(torch.stack(seen, 1)):
                search = StepSearch(self.step, self.settings.target_accept)
            if k == frozen:
                self.step = search.settled
            transition = self.transit()
            update(k + 1, acceptance=float(transition.acceptance.mean()), step=self.step)
            if k < frozen:
                search.update(transition.acceptance)
                # the step of a diverging search may leave every bound
                self.step = min(max(search.step, 1e-4), 2.0)
            if 2 * middle // 5 <= k < middle:
                seen.append(self.chains.w)

    def _learn_covariance(self, seen: Tensor) -> bool:
        """Replace the coordinates by those of the draws (chain, draw, d), shrunk towards the present ones."""
        size = self.target.size
        if size > LARGEST_COVARIANCE:
            return False
        effective = float(torch.as_tensor(convergence.effective_size(seen.cpu().numpy())).nanmedian())
        if not effective > size:
            return False
        flat = seen.reshape(-1, size)
        covariance = _shrink(torch.cov(flat.T).reshape(size, size), effective)
        old = self.whitening
        self.whitening = Whitening(old.to_z(flat.mean(0)), old.factor @ torch.linalg.cholesky(covariance))
        self.chains = recentre(self.chains, old, self.whitening)
        return True

    def collect(self, count: int, done: int, update: Callable[..., None]) -> _Block:
        """Move all chains ``count`` times and keep every draw; ``done`` draws came before."""
        z, density, transitions, before = [], [], [], self.leapfrogs
        for k in range(count):
            transitions.append(self.transit())
            update(done + k + 1, acceptance=float(transitions[-1].acceptance.mean()))
            z.append(self.whitening.to_z(self.chains.w))
            density.append(self.chains.log_density)
        return _Block(z, density, transitions, self.leapfrogs - before)


def _shrink(covariance: Tensor, effective: float) -> Tensor:
    """Shrink the covariance of draws in whitened coordinates towards a multiple of one by what is noise in it.

    The noise of ``effective`` independent draws about a multiple m of one is m² (d + 1) / n per dimension; if the
    draws scatter no more than that, the old coordinates were right and stay.

    References
    ----------
    Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, 365
    """
    size = len(covariance)
    one = torch.eye(size, dtype=covariance.dtype, device=covariance.device)
    scale = covariance.diagonal().mean()
    scatter = float(((covariance - scale * one) ** 2).sum() / size)
    noise = float(scale) ** 2 * (size + 1) / effective
    share = min(1.0, noise / max(scatter, 1e-300))
    return (1.0 - share) * covariance + share * scale * one


def _diagnose(blocks: list[_Block]) -> tuple[dict[str, Tensor], list[Check]]:
    density = torch.cat([block.log_density for block in blocks], 1)
    draws = torch.cat([torch.cat([block.draws for block in blocks], 1), density[..., None]], -1).cpu().numpy()
    per_parameter = {
        "r_hat": torch.as_tensor(convergence.r_hat(draws)),
        "ess_bulk": torch.as_tensor(convergence.bulk_ess(draws)),
        "ess_tail": torch.as_tensor(convergence.tail_ess(draws)),
    }
    energy = torch.cat([block.energy for block in blocks], 1).cpu().numpy()
    summary = {
        "r_hat": float(per_parameter["r_hat"].max()),
        "ess_bulk": float(per_parameter["ess_bulk"].min()),
        "ess_tail": float(per_parameter["ess_tail"].min()),
        "acceptance": float(torch.cat([block.acceptance for block in blocks], 1).mean()),
        "divergences": float(torch.cat([block.diverging for block in blocks], 1).double().mean()),
        "e_bfmi": float(convergence.e_bfmi(energy).min()),
    }
    return per_parameter, check_chains(summary)


def _report(
    sampler: _Sampler,
    blocks: list[_Block],
    found: tuple[dict[str, Tensor], list[Check]],
    start: Start,
    begin: float,
) -> Result:
    draws = torch.cat([block.draws for block in blocks], 1)
    density = torch.cat([block.log_density for block in blocks], 1)
    traces = {
        **found[0],
        "acceptance": torch.cat([block.acceptance for block in blocks], 1),
        "energy": torch.cat([block.energy for block in blocks], 1),
        "diverging": torch.cat([block.diverging for block in blocks], 1),
        "log_density": density,
        "step": torch.tensor(sampler.step, dtype=torch.float64),
        "leapfrogs": torch.tensor(sum(block.leapfrogs for block in blocks) / draws.shape[1]),
    }
    flat = draws.reshape(-1, draws.shape[-1])
    return Result(
        engine="hmc",
        draws=draws,
        mode=flat[density.reshape(-1).argmax()] if start.mode is None else start.mode,
        covariance_factor=factorise_covariance(flat),
        checks=found[1],
        traces=traces,
        cost={**sampler.target.cost(), "cpu_seconds": time.process_time() - begin},
        started_from=start.describe(),
    )
