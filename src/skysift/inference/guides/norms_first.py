"""The guide ``flow``: norms by a flow first, then the field given the norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skysift.inference.guides.affine import Affine
from skysift.inference.guides.base import Draw, Guide, Schedule, base_density, normal_noise
from skysift.inference.guides.regression import Regression

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.guides.base import Climb
    from skysift.inference.guides.summary import Summary
    from skysift.inference.guides.transforms import Transform
    from skysift.inference.guides.whitening import Whitening

__all__ = ["NormsFirstGuide"]


class NormsFirstGuide(Guide):
    r"""u = a + C flow(e); v = m + B psi(u) + T e', with psi(u) the whitened norms and the physical ones.

    The joint family of the other guides, factorised the other way round. Given the norms the field is Gaussian to
    good accuracy (many counts constrain it), and its mean follows the *physical* norms, in which counts are linear;
    what is not Gaussian, such as a norm at the edge of its prior, sits in the few numbers of u, where a flow is exact
    and cheap. The marginal density of u is explicit. On the published problem (138 numbers) this order reaches an
    effective share of draws of 0.7 where the field first, with the same steps, reaches 0.3.

    Parameters
    ----------
    whitening : the frame, norms first
    flow : transform of the norms' noise
    summary : physical norms of whitened u, standardised; None without a field
    """

    def __init__(self, whitening: Whitening, flow: Transform, summary: Summary | None = None) -> None:
        device = whitening.centre.device
        self.whitening, self.flow, self.summary = whitening, flow, summary
        self.lead, self.fields = whitening.lead, whitening.size - whitening.lead
        self.first, self.second = Affine(self.lead, device), Affine(self.fields, device)
        regressors = 0 if summary is None else self.lead + summary.size
        self.regression = Regression(self.fields, regressors, device)
        self.modules = [flow]
        # a field is Gaussian given the norms, and counts pin both: little is left to learn after the Laplace start
        brief, free = Schedule(32, 60, 0.25, finalists=2, promise=0.15), Schedule(64, 1000, 0.25, window=50)
        self.schedule = brief if self.fields else free

    def _regressors(self, u: Tensor) -> Tensor:
        return u[:, :0] if self.summary is None else torch.cat([u, self.summary(u)], 1)

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
        v = self.second.push(noise[:, self.lead :]) + self.regression.push(self._regressors(u))
        log_det = log_det + self.first.log_det() + self.second.log_det()
        return Draw(torch.cat([u, v], 1), base_density(noise) - log_det)

    @torch.no_grad()
    def log_density(self, w: Tensor) -> Tensor:
        """Log density at any w, (batch, d) to (batch,)."""
        u = w[:, : self.lead]
        rest = self.second.pull(w[:, self.lead :] - self.regression.push(self._regressors(u)))
        first = self.flow.inverse(self.first.pull(u), None)
        log_det = self.flow(first, None)[1] + self.first.log_det() + self.second.log_det()
        density: Tensor = base_density(torch.cat([first, rest], 1)) - log_det
        return density

    def climb(self, target: Climb, noise: Tensor, rate: float, limit: float) -> Tensor:
        """Take one step; see `Guide.climb`."""
        first, rest = noise[:, : self.lead], noise[:, self.lead :]
        x, log_det = self.flow(first, None)
        u = self.first.push(x.detach()).requires_grad_()
        regressors = self._regressors(u)
        v = self.second.push(rest) + self.regression.push(regressors.detach())
        density, force = target(torch.cat([u.detach(), v], 1))
        by_u, by_v = force[:, : self.lead], force[:, self.lead :]
        # what is left of the force on v once that of its own density is taken off: zero mean for a perfect fit
        excess = by_v @ self.second.factor + rest
        if self.fields:
            back = torch.linalg.solve_triangular(self.second.factor.T, excess.T, upper=True).T
            by_u = by_u + torch.autograd.grad((back * self.regression.push(regressors)).sum(), u)[0]
        gain = ((by_u @ self.first.factor * x).sum(1) + log_det).mean()
        self.fill(-gain, self.flow)
        self.first.step(by_u, x.detach(), first, rate, limit, frozen=[slice(None)])
        turn = self.regression.step(excess, self.second.factor, regressors.detach(), rate, limit)
        self.second.step(by_v, rest, rest, rate, limit)
        self.second.mean = self.second.mean + turn
        total = log_det.detach() + self.first.log_det() + self.second.log_det()
        gap: Tensor = density - base_density(noise) + total
        return gap

    def frame_state(self) -> dict[str, Tensor]:
        """Return both affine maps and the regression on the norms."""
        out = {"slope": self.regression.slope.clone()}
        for name, affine in (("first", self.first), ("second", self.second)):
            out |= {f"{name}.{key}": value for key, value in affine.state().items()}
        return out

    def load_frame(self, state: dict[str, Tensor]) -> None:
        """Take over what `frame_state` returned."""
        self.regression.slope = state["slope"].clone()
        for name, affine in (("first", self.first), ("second", self.second)):
            affine.load({key: state[f"{name}.{key}"] for key in ("mean", "factor")})

    def memory(self) -> dict[str, Tensor]:
        """Return the running moments of the regression."""
        return {"moment": self.regression.moment.clone()}

    def load_memory(self, state: dict[str, Tensor]) -> None:
        """Take over what `memory` returned."""
        self.regression.moment = state["moment"].clone()
