"""The frame in which guides live: one block of numbers before the other, centred and whitened by the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from skysift.errors import NumericsError

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Start
    from skysift.parameters import Parameters

__all__ = ["Whitening", "block_order", "find_moments"]


@dataclass(frozen=True)
class Whitening:
    """The affine map z = centre + F w between whitened w and unconstrained z.

    ``order`` (d,) places of w's numbers in z; ``centre`` (d,) and ``factor`` (d, d) in w's order; ``lead`` length of
    the first block, whose z depends on the first block of w alone.
    """

    order: Tensor
    centre: Tensor
    factor: Tensor
    lead: int

    @property
    def size(self) -> int:
        """How many numbers w has."""
        return len(self.centre)

    def to_z(self, w: Tensor) -> Tensor:
        """Map (batch, d) w to z."""
        z = torch.empty_like(w)
        z[:, self.order] = self.centre + w @ self.factor.T
        return z

    def to_w(self, z: Tensor) -> Tensor:
        """Map (batch, d) z to w."""
        w: Tensor = torch.linalg.solve(self.factor, (z[:, self.order] - self.centre).T).T
        return w

    def pull_gradient(self, gradient: Tensor) -> Tensor:
        """Turn derivatives by z, (batch, d), into derivatives by w."""
        return gradient[:, self.order] @ self.factor

    def lead_to_z(self, w_lead: Tensor) -> Tensor:
        """Return z, (batch, d), of the first block's w, (batch, lead), with the other block at the centre."""
        first = self.centre[: self.lead] + w_lead @ self.factor[: self.lead, : self.lead].T
        rest = self.centre[self.lead :].expand(len(w_lead), -1)
        return torch.cat([first, rest], 1)[:, torch.argsort(self.order)]

    def log_det(self) -> Tensor:
        """Return log |dz/dw|, ()."""
        log_det: Tensor = torch.linalg.slogdet(self.factor).logabsdet
        return log_det

    @classmethod
    def from_start(
        cls,
        parameters: Parameters,
        start: Start,
        first: Literal["field", "norm"],
        *,
        independent: bool = False,
        rotate: bool = False,
    ) -> Whitening:
        """Build the frame from a Start: its covariance factor, else the covariance of its draws, else the prior's.

        Parameters
        ----------
        parameters : of the model
        start : where the guide begins
        first : the block that leads: the Gaussian-process numbers, or everything else
        independent : leave out the covariance between the blocks
        rotate : turn the leading block so that its first numbers are those that the other block follows most

        Raises
        ------
        NumericsError : centre or factor is not finite, or the factor is singular
        """
        centre, factor = find_moments(start, parameters.size)
        order, lead = block_order(parameters, first)
        order = order.to(centre.device)
        rows = factor[order]
        lower = _lower(rows)
        if independent:
            lower = torch.block_diag(_lower(rows[:lead]), _lower(rows[lead:]))  # type: ignore[no-untyped-call]  # torch
        if not (torch.isfinite(centre).all() and torch.isfinite(lower).all() and (lower.diagonal() > 0).all()):
            raise NumericsError("the start's mode or covariance factor is not finite or not positive definite")
        if rotate:
            lower = _rotate(lower, lead)
        return cls(order, centre[order], lower, lead)


def block_order(parameters: Parameters, first: Literal["field", "norm"]) -> tuple[Tensor, int]:
    """Return the order of z that puts one block first, (d,) int64, and that block's length."""
    is_field = parameters.block_mask("field")
    field, rest = is_field.nonzero()[:, 0], (~is_field).nonzero()[:, 0]
    lead, tail = (field, rest) if first == "field" else (rest, field)
    return torch.cat([lead, tail]), len(lead)


def find_moments(start: Start, size: int) -> tuple[Tensor, Tensor]:
    """Return centre (d,) and covariance factor (d, d) of whatever the start offers; the prior's scale at last."""
    draws = None if start.draws is None else start.draws.reshape(-1, size).double()
    if start.mode is not None:
        centre = start.mode.double()
    elif draws is not None:
        centre = draws.mean(0)
    elif start.z is not None and len(start.z):
        centre = start.z[0].double()
    else:
        centre = torch.zeros(size, dtype=torch.float64)
    if start.covariance_factor is not None:
        return centre, start.covariance_factor.double()
    if draws is not None and len(draws) > 2 * size:
        return centre, torch.linalg.cholesky(torch.cov(draws.T).reshape(size, size))
    return centre, torch.eye(size, dtype=torch.float64, device=centre.device)


def _lower(rows: Tensor) -> Tensor:
    """Return the lower-triangular factor with positive diagonal of ``rows @ rows.T``."""
    if not len(rows):
        return rows.new_zeros(0, 0)
    upper = torch.linalg.qr(rows.T, mode="r").R
    signs = torch.where(upper.diagonal() < 0, -1.0, 1.0).to(rows.dtype)
    lower: Tensor = (signs[:, None] * upper).T
    return lower


def _rotate(lower: Tensor, lead: int) -> Tensor:
    """Rotate the leading whitened numbers: the directions that carry most of the other block come first."""
    spread = torch.linalg.vector_norm(lower[lead:], dim=1)
    _, _, directions = torch.linalg.svd(lower[lead:, :lead] / spread[:, None], full_matrices=True)
    rotated = lower.clone()
    rotated[:, :lead] = lower[:, :lead] @ directions.T
    return rotated
