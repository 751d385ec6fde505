"""The mean of a Gaussian block as a linear function of regressors, moved by least squares."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Regression"]

MEMORY = 0.95  # of the running covariance of the regressors
RIDGE = 1e-2


class Regression:
    """y = B psi, with B (size, regressors); starts at zero."""

    def __init__(self, size: int, regressors: int, device: torch.device | str = "cpu") -> None:
        self.slope = torch.zeros(size, regressors, dtype=torch.float64, device=device)
        self.moment = torch.eye(1 + regressors, dtype=torch.float64, device=device)

    def push(self, regressors: Tensor) -> Tensor:
        """Return B psi of regressors, (batch, k) to (batch, size)."""
        y: Tensor = regressors @ self.slope.T
        return y

    def step(self, excess: Tensor, factor: Tensor, regressors: Tensor, rate: float, limit: float) -> Tensor:
        r"""Take one natural-gradient step towards what the force on the block still says about the regressors.

        Parameters
        ----------
        excess : (P, size), T^T g + e: zero in the mean, given the regressors, for a perfect fit
        factor : (size, size), T of the block
        regressors : (P, k)
        rate, limit : see `Affine.step`

        Returns
        -------
        (size,), to add to the block's mean, so that the turn is about the mean of the regressors
        """
        if not self.slope.numel():
            return excess.new_zeros(excess.shape[1])
        count = len(excess)
        design = torch.cat([torch.ones_like(regressors[:, :1]), regressors], 1)
        self.moment = MEMORY * self.moment + (1.0 - MEMORY) * design.T @ design / count
        ridge = RIDGE * torch.diag(self.moment.diagonal())
        moves = torch.linalg.solve(self.moment + ridge, design.T @ excess / count).T[:, 1:]
        length = float((regressors @ moves.T).square().sum(1).mean().sqrt())
        turn = factor @ (min(rate, limit / max(length, 1e-300)) * moves)
        self.slope = self.slope + turn
        shift: Tensor = -turn @ regressors.mean(0)
        return shift
