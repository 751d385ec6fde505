"""The guides ``iaf`` and ``conditional_iaf``: field first, then norms by a flow that may see the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from skysift.inference.guides.affine import Affine
from skysift.inference.guides.base import Draw, Guide, Schedule, base_density

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.summary import Summary
    from skysift.inference.guides.transforms import Transform
    from skysift.inference.guides.whitening import Whitening

__all__ = ["FieldFirstGuide"]


class _Pass(NamedTuple):
    """One pass from noise to x: leading modes, norms, log-determinant of each, and leaves for their gradients."""

    modes: Tensor
    norms: Tensor
    log_det_modes: Tensor
    log_det_norms: Tensor
    modes_leaf: Tensor
    lead_leaf: Tensor


class FieldFirstGuide(Guide):
    r"""v Gaussian but for a few leading modes; u = a + B v + C z, with z from a flow given s(f) and those modes.

    With w = m + T x, T lower triangular and the field block first, B and C are rows of T, and
    x = (e, modes(e'), norms(e''; s(f))) with all e standard normal.

    Parameters
    ----------
    whitening : the frame, field first, its last ``modes`` field numbers leading
    norms : transform of the other block's noise
    summary : s(f) of the field block, or None for a flow that sees nothing
    modes : transform of the leading modes' noise, or None where there are none
    mode_count : how many leading modes there are
    independent : B = 0 (the published form)
    """

    def __init__(
        self,
        whitening: Whitening,
        norms: Transform,
        summary: Summary | None = None,
        modes: Transform | None = None,
        mode_count: int = 0,
        *,
        independent: bool = False,
    ) -> None:
        self.whitening, self.independent, self.summary = whitening, independent, summary
        self.affine = Affine(whitening.size, whitening.centre.device)
        self.norms, self.modes = norms, modes
        self.lead, self.plain = whitening.lead, whitening.lead - mode_count
        self.modules = [norms] if modes is None else [norms, modes]
        self.schedule = Schedule(32, 120, 0.1, pilot=75) if self.lead else Schedule(64, 800, 0.1, pilot=75)

    def _context(self, lead: Tensor, modes: Tensor) -> Tensor | None:
        parts = [] if self.summary is None else [self.summary(lead)]
        parts += [] if self.modes is None else [modes]
        return torch.cat(parts, 1) if parts else None

    def _push(self, noise: Tensor) -> _Pass:
        modes, log_det_modes = noise[:, self.plain : self.lead], noise.new_zeros(len(noise))
        if self.modes is not None:
            modes, log_det_modes = self.modes(modes, None)
        modes_leaf = modes.detach().requires_grad_(torch.is_grad_enabled())
        x_lead = torch.cat([noise[:, : self.plain], modes.detach()], 1)
        lead = self.affine.mean[: self.lead] + x_lead @ self.affine.factor[: self.lead, : self.lead].T
        lead_leaf = lead.requires_grad_(torch.is_grad_enabled())
        norms, log_det_norms = self.norms(noise[:, self.lead :], self._context(lead_leaf, modes_leaf))
        return _Pass(modes, norms, log_det_modes, log_det_norms, modes_leaf, lead_leaf)

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Draw:
        """Turn standard normal noise, (batch, d), into draws."""
        made = self._push(noise)
        x = torch.cat([noise[:, : self.plain], made.modes, made.norms], 1)
        log_det = made.log_det_modes + made.log_det_norms + self.affine.log_det()
        return Draw(self.affine.push(x), base_density(noise) - log_det)

    @torch.no_grad()
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""
        x = self.affine.pull(w)
        modes = x[:, self.plain : self.lead]
        context = self._context(w[:, : self.lead], modes)
        last = self.norms.inverse(x[:, self.lead :], context)
        log_det = self.norms(last, context)[1] + self.affine.log_det()
        if self.modes is not None:
            modes = self.modes.inverse(modes, None)
            log_det = log_det + self.modes(modes, None)[1]
        return base_density(torch.cat([x[:, : self.plain], modes, last], 1)) - log_det

    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one step; see `Guide.climb`."""
        made = self._push(noise)
        x = torch.cat([noise[:, : self.plain], made.modes.detach(), made.norms.detach()], 1)
        density, force = target(self.affine.push(x))
        force = self._pull_back(made, force)
        self.affine.step(force, x, noise, rate, limit)
        if self.independent:
            self.affine.factor[self.lead :, : self.lead] = 0.0
        log_det = (made.log_det_modes + made.log_det_norms).detach() + self.affine.log_det()
        return density - base_density(noise) + log_det

    def _pull_back(self, made: _Pass, force: Tensor) -> Tensor:
        """Fill the networks' gradients; return the force with what acts on the field through the context."""
        pulled = force @ self.affine.factor
        gain = ((pulled[:, self.lead :] * made.norms).sum(1) + made.log_det_norms).sum()
        leaves = [made.modes_leaf, made.lead_leaf]
        weights = list(self.norms.parameters())
        slopes = torch.autograd.grad(gain, [*leaves, *weights], allow_unused=True)
        count = len(force)
        for weight, slope in zip(weights, slopes[2:], strict=True):
            weight.grad = None if slope is None else -slope / count
        if slopes[1] is not None:
            force = torch.cat([force[:, : self.lead] + slopes[1], force[:, self.lead :]], 1)
        if self.modes is not None:
            by_mode = (force @ self.affine.factor)[:, self.plain : self.lead] + slopes[0]
            gain = ((by_mode * made.modes).sum(1) + made.log_det_modes).sum()
            weights = list(self.modes.parameters())
            for weight, slope in zip(weights, torch.autograd.grad(gain, weights), strict=True):
                weight.grad = -slope / count
        return force

    def frame_state(self) -> dict[str, Tensor]:
        """Return mean and factor."""
        return self.affine.state()

    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over mean and factor."""
        self.affine.load(state)
