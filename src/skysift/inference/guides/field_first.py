"""The guides ``iaf`` and ``conditional_iaf``: field first, then norms by a flow that may see the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from skysift.inference.guides.affine import Affine
from skysift.inference.guides.base import Draw, Guide, Schedule, base_density
from skysift.inference.guides.regression import Regression

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.summary import Summary
    from skysift.inference.guides.transforms import Transform
    from skysift.inference.guides.whitening import Whitening

__all__ = ["FieldFirstGuide"]


class _Pass(NamedTuple):
    """One pass from noise to x: leading modes, norms, log-determinant of both, and leaves for their gradients."""

    modes: Tensor
    norms: Tensor
    log_det_modes: Tensor
    log_det_norms: Tensor
    modes_leaf: Tensor
    lead_leaf: Tensor


class FieldFirstGuide(Guide):
    r"""v Gaussian but for a few leading modes; u = a + B v + C z, with z from a flow given s(f) and those modes.

    With w = m + T x + bend, T lower triangular and the field block first, B and C are rows of T, and
    x = (modes(e), e', norms(e''; s(f), modes)) with all e standard normal. The bend lets the other field numbers
    follow products of the leading modes: the ridge along which norms and field trade counts is curved.

    Parameters
    ----------
    whitening : the frame, field first; its first ``mode_count`` numbers are the leading modes
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
        device = whitening.centre.device
        self.whitening, self.independent, self.summary = whitening, independent, summary
        self.affine = Affine(whitening.size, device)
        self.norms, self.modes = norms, modes
        self.lead, self.count = whitening.lead, mode_count
        self.regression = Regression(self.lead - self.count, self.count * (self.count + 1) // 2, device)
        self.modules = [norms] if modes is None else [norms, modes]
        brief = Schedule(32, 60, 0.2, finalists=2, promise=0.15 if summary is not None else 0.0)
        free = Schedule(64, 1000, 0.1, window=50)
        self.schedule = brief if self.lead else free

    def _products(self, modes: Tensor) -> Tensor:
        row, column = torch.tril_indices(self.count, self.count)
        return modes[:, row] * modes[:, column]

    def _bend(self, modes: Tensor) -> Tensor:
        """Return the bend of all numbers, (batch, d)."""
        middle = self.regression.push(self._products(modes))
        return torch.nn.functional.pad(middle, (self.count, self.whitening.size - self.lead))

    def _context(self, lead: Tensor, modes: Tensor) -> Tensor | None:
        parts = [] if self.summary is None else [self.summary(lead)]
        parts += [] if self.modes is None else [modes]
        return torch.cat(parts, 1) if parts else None

    def _push(self, noise: Tensor) -> _Pass:
        modes, log_det_modes = noise[:, : self.count], noise.new_zeros(len(noise))
        if self.modes is not None:
            modes, log_det_modes = self.modes(modes, None)
        leaf = modes.detach().requires_grad_(torch.is_grad_enabled())
        x_lead = torch.cat([modes.detach(), noise[:, self.count : self.lead]], 1)
        lead = self.affine.mean[: self.lead] + x_lead @ self.affine.factor[: self.lead, : self.lead].T
        lead = lead + self._bend(modes.detach())[:, : self.lead]
        lead_leaf = lead.requires_grad_(torch.is_grad_enabled())
        norms, log_det_norms = self.norms(noise[:, self.lead :], self._context(lead_leaf, leaf))
        return _Pass(modes, norms, log_det_modes, log_det_norms, leaf, lead_leaf)

    def _join(self, made: _Pass, noise: Tensor) -> Tensor:
        return torch.cat([made.modes, noise[:, self.count : self.lead], made.norms], 1).detach()

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Draw:
        """Turn standard normal noise, (batch, d), into draws."""
        made = self._push(noise)
        w = self.affine.push(self._join(made, noise)) + self._bend(made.modes)
        return Draw(w, base_density(noise) - made.log_det_modes - made.log_det_norms - self.affine.log_det())

    @torch.no_grad()
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""
        x = self.affine.pull(w)[:, : self.count]
        x = self.affine.pull(w - self._bend(x))
        modes = x[:, : self.count]
        context = self._context(w[:, : self.lead], modes)
        last = self.norms.inverse(x[:, self.lead :], context)
        log_det = self.norms(last, context)[1] + self.affine.log_det()
        if self.modes is not None:
            modes = self.modes.inverse(modes, None)
            log_det = log_det + self.modes(modes, None)[1]
        density: Tensor = base_density(torch.cat([modes, x[:, self.count : self.lead], last], 1)) - log_det
        return density

    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one step; see `Guide.climb`."""
        made = self._push(noise)
        x = self._join(made, noise)
        density, force = target(self.affine.push(x) + self._bend(made.modes.detach()))
        middle = slice(self.count, self.lead)
        force = self._pull_back(made, force, noise[:, middle])
        factor = self.affine.factor[middle, middle]
        excess = (force @ self.affine.factor)[:, middle] + noise[:, middle]
        turn = self.regression.step(excess, factor, self._products(x[:, : self.count]), rate, limit)
        flows = [slice(0, self.count), slice(self.lead, None)]
        self.affine.step(force, x, noise, rate, limit, frozen=flows)
        self.affine.mean[middle] += turn
        if self.independent:
            self.affine.factor[self.lead :, : self.lead] = 0.0
        log_det = (made.log_det_modes + made.log_det_norms).detach() + self.affine.log_det()
        return density - base_density(noise) + log_det

    def _pull_back(self, made: _Pass, force: Tensor, middle: Tensor) -> Tensor:
        """Fill the networks' gradients; return the force with what acts on the field through the context."""
        count, pulled = len(force), force @ self.affine.factor
        gain = ((pulled[:, self.lead :] * made.norms).sum(1) + made.log_det_norms).sum()
        leaves = [made.modes_leaf, made.lead_leaf]
        by_modes, by_lead = self.fill(-gain / count, self.norms, leaves)
        if by_lead is not None:
            force = torch.cat([force[:, : self.lead] - count * by_lead, force[:, self.lead :]], 1)
        if self.modes is not None:
            pulled = force @ self.affine.factor
            by_modes = pulled[:, : self.count] if by_modes is None else pulled[:, : self.count] - count * by_modes
            # zero mean given the modes for a perfect fit, like the excess that the regression follows
            factor = self.affine.factor[self.count : self.lead, self.count : self.lead]
            back = torch.linalg.solve_triangular(factor.T, (pulled[:, self.count : self.lead] + middle).T, upper=True).T
            bend = self.regression.push(self._products(made.modes))
            gain = ((by_modes * made.modes).sum(1) + (back * bend).sum(1) + made.log_det_modes).mean()
            self.fill(-gain, self.modes)
        return force

    def frame_state(self) -> dict[str, Tensor]:
        """Return mean, factor and bend."""
        return self.affine.state() | {"slope": self.regression.slope.clone()}

    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over mean, factor and bend."""
        self.regression.slope = state["slope"].clone()
        self.affine.load(state)

    def memory(self) -> dict[str, Tensor]:
        """Return the running moments of the regression."""
        return {"moment": self.regression.moment.clone()}

    def load_memory(self, state: dict[str, Tensor]) -> None:
        """Take over what `memory` returned."""
        self.regression.moment = state["moment"].clone()
