"""What a nested sampler leaves behind, whichever library it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Found"]


@dataclass(frozen=True)
class Found:
    """Weighted points of the cube, the evidence, and how it was reached.

    Parameters
    ----------
    u : (n, c)
    log_weights : (n,), normalised or not
    log_likelihood : (n,)
    log_z, log_z_error : evidence and the error that the library claims
    insertion : p-value of the insertion ranks, None where the method has none
    iterations : points that replaced others, or calls where there are none
    single : evidence of each run
    """

    u: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    log_z: float
    log_z_error: float
    method: str
    insertion: float | None = None
    iterations: int = 0
    single: list[float] = field(default_factory=list)
