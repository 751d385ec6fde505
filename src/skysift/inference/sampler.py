"""The chains of ``hmc`` with their coordinates, step and random numbers: all that a run needs to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from skysift.errors import NumericsError
from skysift.inference import convergence
from skysift.inference.leapfrog import Chains, StepSearch, Transition, Whitening, place_chains, recentre, transit
from skysift.inference.newton import climb
from skysift.inference.result import factorise_covariance
from skysift.inference.starts import draw_starts

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Start, Stream
    from skysift.inference.hmc import Settings
    from skysift.inference.target import Target

__all__ = ["Sampler", "begin_chains", "whiten"]

LARGEST_COVARIANCE = 300
FIRST_STAGE = 0.5
FROZEN_FROM = 0.8
RECORDED = ("draws", "log_density", "acceptance", "diverging", "energy")


class Sampler:
    """Chains on their way: first the warm-up, in which step and covariance are learned, then draws.

    ``done`` counts transitions, ``drawn`` those whose draws are kept; ``record`` holds what they left, one tensor per
    draw: z (chain, d), and per chain log density, acceptance, whether it diverged, and energy.

    Parameters
    ----------
    target : the target
    settings : how the chains run
    stream : random numbers
    whitening : coordinates at the beginning
    """

    def __init__(self, target: Target, settings: Settings, stream: Stream, whitening: Whitening) -> None:
        self.target, self.settings, self.whitening = target, settings, whitening
        self.generator = stream.generator("momenta")
        self.jitter = stream.numpy("path")
        self.step = settings.step or 1.2 * target.size**-0.25
        self.search = StepSearch(self.step, settings.target_accept)
        self.done = self.drawn = 0
        self.leapfrogs = 0
        self.record: dict[str, list[Tensor]] = {name: [] for name in RECORDED}
        self.chains: Chains
        self._seen: list[Tensor] = []

    def begin(self, start: Start, stream: Stream) -> None:
        """Place the chains; see `begin_chains`."""
        self.chains = begin_chains(self.target, self.whitening, self.settings.chains, start, stream)

    def warm_up(self) -> Transition:
        """Move all chains once and learn from it: the step; half way, the covariance of the draws so far."""
        middle, frozen = int(FIRST_STAGE * self.settings.warmup), int(FROZEN_FROM * self.settings.warmup)
        k = self.done
        if k == middle and len(self._seen) > 3 and self._learn_covariance(torch.stack(self._seen, 1)):
            self.search = StepSearch(self.step, self.settings.target_accept)
        if k == frozen:
            self.step = self.search.settled
        transition = self._transit()
        if k < frozen:
            self.search.update(transition.acceptance)
            # the step of a diverging search may leave every bound
            self.step = min(max(self.search.step, 1e-4), 2.0)
        if 2 * middle // 5 <= k < middle:
            self._seen.append(self.chains.w)
        elif k >= middle:
            self._seen = []
        return transition

    def draw(self) -> Transition:
        """Move all chains once and keep where they are."""
        if not self.drawn:
            self.leapfrogs = 0
        transition = self._transit()
        self.drawn += 1
        kept = (self.whitening.to_z(self.chains.w), self.chains.log_density, *transition)
        for name, tensor in zip(RECORDED, kept, strict=True):
            self.record[name].append(tensor)
        return transition

    def gather(self, name: str) -> Tensor:
        """Return what was recorded under a name, (chain, draw, ...)."""
        return torch.stack(self.record[name], 1)

    def state(self) -> dict[str, Any]:
        """Return all that a run needs to go on from here."""
        return {
            "done": self.done,
            "drawn": self.drawn,
            "leapfrogs": self.leapfrogs,
            "step_length": self.step,
            "search": self.search.state(),
            "whitening": [self.whitening.centre, self.whitening.factor],
            "chains": list(self.chains),
            "seen": list(self._seen),
            "record": {name: self.gather(name) for name in RECORDED} if self.drawn else {},
            "momenta": self.generator.get_state(),
            "path": self.jitter.bit_generator.state,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.done, self.drawn, self.leapfrogs = state["done"], state["drawn"], state["leapfrogs"]
        self.step = state["step_length"]
        self.search.load(state["search"])
        self.whitening = Whitening(*state["whitening"])
        self.chains = Chains(*state["chains"])
        self._seen = state["seen"]
        self.record = {name: list(state["record"][name].unbind(1)) if self.drawn else [] for name in RECORDED}
        self.generator.set_state(state["momenta"])
        self.jitter.bit_generator.state = state["path"]

    def _transit(self) -> Transition:
        path = self.settings.path * self.jitter.uniform(0.5, 1.5)
        count = min(max(1, round(path / self.step)), self.settings.max_leapfrog)
        self.leapfrogs += count
        self.chains, transition = transit(self.target, self.whitening, self.chains, self.step, count, self.generator)
        self.done += 1
        return transition

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


def whiten(target: Target, start: Start, stream: Stream) -> Whitening:
    """Return coordinates from the Start's mode and covariance, its draws, or else a climb from the prior."""
    if start.covariance_factor is not None and start.mode is not None:
        return Whitening(start.mode.to(target.device), start.covariance_factor.to(target.device))
    if start.draws is not None and len(start.draws) > 2 * target.size:
        draws = start.draws.to(target.device)
        return Whitening(draws.mean(0), factorise_covariance(draws))
    points = draw_starts(target, 8, start, stream)
    best = climb(target, points[target.check_starts(points).argmax()])
    return Whitening(best.z, best.covariance_factor)


def begin_chains(target: Target, whitening: Whitening, count: int, start: Start, stream: Stream) -> Chains:
    """Place chains at draws of the Start, or of the Gaussian; those at impossible values closer to the mode.

    Raises
    ------
    NumericsError : some find no finite log density
    """
    generator, shape = stream.generator("places"), (count, target.size)
    w = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    if start.draws is not None and len(start.draws) >= count:
        rows = torch.randperm(len(start.draws), generator=generator, device=generator.device)[:count]
        w = whitening.to_w(start.draws.to(w)[rows])
    for _ in range(12):
        chains = place_chains(target, whitening, w)
        bad = ~torch.isfinite(chains.log_density)
        if not bool(bad.any()):
            return chains
        w = torch.where(bad[:, None], 0.5 * w, w)
    raise NumericsError(f"{int(bad.sum())} of {len(w)} chains find no finite log density around the mode")


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
