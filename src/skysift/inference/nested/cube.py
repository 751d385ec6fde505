"""The likelihood as a function of the unit cube, in batches; counts what it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.nested.journal import Journal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.contract import Model

__all__ = ["Cube"]

PIECE = 256
LONGEST_FIELD = 25
# the edge of a support lies at infinity in z
FARTHEST = 40.0


class Cube:
    """Log likelihood at points of the unit cube, -inf where it is not finite.

    ``calls`` and ``non_finite`` count points; ``size`` is the number of coordinates, ``periodic`` those that wrap. The
    ``journal`` keeps all values in the checkpoint, and gives them again to a sampler that begins anew.

    Raises
    ------
    InputError : a field too long for nested sampling
    """

    def __init__(self, model: Model, device: str, checkpoint: Checkpoint = NOWHERE) -> None:
        self.model, self.parameters, self.device = model, model.parameters, device
        self.journal = Journal(checkpoint)
        self.size = self.parameters.cube_size
        self.calls = self.non_finite = 0
        self.periodic = [
            place
            for item in self.parameters
            if item.prior.periodic
            for place in range(self.size)[self.parameters.cube_slices[item.name]]
        ]
        longest = int(self.parameters.block_mask("field").sum())
        if longest > LONGEST_FIELD:
            wanted, remedy = f"at most {LONGEST_FIELD} numbers of Gaussian processes", "fit with hmc or svi"
            raise InputError("sequence", "nested", f"{longest} of them", wanted, remedy)

    def __call__(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log likelihoods, (k, c) to (k,)."""
        found = self.journal.answer(u, self._evaluate_all)
        good = np.isfinite(found)
        self.calls += len(found)
        self.non_finite += int((~good).sum())
        return np.where(good, found, -np.inf)

    def one(self, u: NDArray[np.float64]) -> float:
        """Return the log likelihood of one point, (c,)."""
        return float(self(u[None])[0])

    def _evaluate_all(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.inference_mode():
            parts = [self._evaluate(u[start : start + PIECE]) for start in range(0, len(u), PIECE)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _evaluate(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self.parameters.from_cube(torch.as_tensor(u % 1.0 if self.periodic else u, device=self.device))
        found: NDArray[np.float64] = self.model.log_likelihood(values).double().cpu().numpy()
        return found

    def unconstrain(self, u: NDArray[np.float64]) -> Tensor:
        """Return z of points in the cube, (k, c) to (k, d)."""
        values = self.parameters.from_cube(torch.as_tensor(u % 1.0 if self.periodic else u, device=self.device))
        return torch.nan_to_num(self.parameters.unconstrain(values), posinf=FARTHEST, neginf=-FARTHEST)

    def cost(self) -> dict[str, float]:
        """Return the counts so far."""
        return {"calls": float(self.calls), "non_finite": float(self.non_finite)}
