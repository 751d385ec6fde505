"""The guide ``flow``: norms by a flow first, then the field given the norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skysift.inference.guides.affine import Affine
from skysift.inference.guides.base import Draw, Guide, Schedule, base_density, normal_noise

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.summary import Summary
    from skysift.inference.guides.transforms import Transform
    from skysift.inference.guides.whitening import Whitening

__all__ = ["NormsFirstGuide"]

MEMORY = 0.95  # of the running covariance of the regressors
RIDGE = 1e-2


class NormsFirstGuide(Guide):
    r"""u = a + C flow(e); v = m + B psi(u) + T e', with psi(u) the whitened norms and the physical ones.

    The same joint family as field first, factorised the other way round. Given the norms the field is Gaussian to good
    accuracy (many counts constrain it), and its mean follows the *physical* norms, in which counts are linear; what
    is not Gaussian, such as a norm at the edge of its prior, sits in the few numbers of u, where a flow is exact and
    cheap. The marginal density of u is explicit.

    Parameters
    ----------
    whitening : the frame, norms first
    flow : transform of the norms' noise
    summary : physical norms of whitened u, standardised
    """

    def __init__(self, whitening: Whitening, flow: Transform, summary: Summary | None = None) -> None:
        device = whitening.centre.device
        self.whitening, self.flow, self.summary = whitening, flow, summary
        self.lead, self.fields = whitening.lead, whitening.size - whitening.lead
        self.first = Affine(self.lead, device)
        self.second = Affine(self.fields, device)
        self.modules = [flow]
        # a field is Gaussian given the norms, and counts pin both: little is left to learn after the Laplace start
        self.schedule = Schedule(32, 120, 0.25) if self.fields else Schedule(64, 800, 0.25)
        regressors = self.lead + (0 if summary is None else summary.size)
        self.slope = torch.zeros(self.fields, regressors, dtype=torch.float64, device=device)
        self.moment = torch.eye(1 + regressors, dtype=torch.float64, device=device)

    def _regress(self, u: Tensor) -> Tensor:
        return u if self.summary is None else torch.cat([u, self.summary(u)], 1)

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw noise whose pairs share the norms and differ in the sign of the field's part, (count, d)."""
        norms = normal_noise((count + 1) // 2, self.lead, generator)
        field = normal_noise(count, self.fields, generator)
        return torch.cat([torch.cat([norms, norms])[:count], field], 1)

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Draw:
        """Turn standard normal noise, (batch, d), into draws."""
        x, log_det = self.flow(noise[:, : self.lead], None)
        u = self.first.push(x)
        v = self.second.push(noise[:, self.lead :]) + self._regress(u) @ self.slope.T
        log_det = log_det + self.first.log_det() + self.second.log_det()
        return Draw(torch.cat([u, v], 1), base_density(noise) - log_det)

    @torch.no_grad()
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""
        u = w[:, : self.lead]
        rest = self.second.pull(w[:, self.lead :] - self._regress(u) @ self.slope.T)
        first = self.flow.inverse(self.first.pull(u), None)
        log_det = self.flow(first, None)[1] + self.first.log_det() + self.second.log_det()
        return base_density(torch.cat([first, rest], 1)) - log_det

    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one step; see `Guide.climb`."""
        first, rest = noise[:, : self.lead], noise[:, self.lead :]
        x, log_det = self.flow(first, None)
        u = self.first.push(x.detach()).requires_grad_()
        regressors = self._regress(u)
        v = self.second.push(rest) + regressors.detach() @ self.slope.T
        density, force = target(torch.cat([u.detach(), v], 1))
        by_u, by_v = force[:, : self.lead], force[:, self.lead :]
        # what is left of the force on v once that of its own density is taken off: zero mean for a perfect fit
        excess = by_v @ self.second.factor + rest
        if self.fields:
            back = torch.linalg.solve_triangular(self.second.factor.T, excess.T, upper=True).T
            by_u = by_u + torch.autograd.grad(((back @ self.slope) * regressors).sum(), u)[0]
        gain = ((by_u @ self.first.factor * x).sum(1) + log_det).mean()
        for weight, slope in zip(self.parameters(), torch.autograd.grad(-gain, self.parameters()), strict=True):
            weight.grad = slope
        self.first.step(by_u, x.detach(), first, rate, limit)
        self.second.step(by_v, rest, rest, rate, limit)
        self._step_slope(excess, regressors.detach(), rate, limit)
        total = log_det.detach() + self.first.log_det() + self.second.log_det()
        return density - base_density(noise) + total

    def _step_slope(self, excess: Tensor, regressors: Tensor, rate: float, limit: float) -> None:
        """Move B by least squares of what the field's force still says about the norms."""
        if not self.fields:
            return
        count = len(excess)
        design = torch.cat([torch.ones_like(regressors[:, :1]), regressors], 1)
        self.moment = MEMORY * self.moment + (1.0 - MEMORY) * design.T @ design / count
        ridge = RIDGE * torch.diag(self.moment.diagonal())
        moves = self.second.factor @ torch.linalg.solve(self.moment + ridge, design.T @ excess / count).T
        length = float((design @ moves.T).square().sum(1).mean().sqrt())
        turn = min(rate, limit / max(length, 1e-300)) * moves[:, 1:]
        self.slope = self.slope + turn
        # the mean has taken its own step: turn about the mean of the regressors
        self.second.mean = self.second.mean - turn @ regressors.mean(0)

    def frame_state(self) -> dict[str, Tensor]:
        """Return both affine maps and the regression on the norms."""
        out = {"slope": self.slope.clone()}
        for name, affine in (("first", self.first), ("second", self.second)):
            out |= {f"{name}.{key}": value for key, value in affine.state().items()}
        return out

    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over what `frame_state` returned."""
        self.slope = state["slope"].clone()
        for name, affine in (("first", self.first), ("second", self.second)):
            affine.load({key: state[f"{name}.{key}"] for key in ("mean", "factor")})
