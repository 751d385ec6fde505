"""How large an analysis of counts cubes is: what its jobs ask a cluster for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysift.config.cubes.analysis import CubeAnalysis

__all__ = ["cube_fit_minutes", "cube_memory_mb"]

_BASE_MB = 1000
_LIGHT_MB = 690  # without torch
_COPIES = 120  # derivatives of all bins in every parameter live at the same time
_READ_COPIES = 20  # of a file, its response and what is written
_BINS = 24 * 120 * 120  # of a file that nobody has read yet
_SECONDS = {
    "map": 200, "optimise": 100, "laplace": 400, "grid": 2000, "svi": 2000, "hmc": 6000, "nuts": 20000, "nested": 20000,
}  # fmt: skip
_SAFETY = 4


def _count_bins(analysis: CubeAnalysis) -> int:
    observation = analysis.observation
    if observation.pixels is None or observation.energy is None:
        return _BINS * max(1, len(observation.datasets))
    rows, columns = observation.pixels.shape
    return rows * columns * observation.energy.bins


def cube_memory_mb(analysis: CubeAnalysis, *, needs_torch: bool = True) -> int:
    """Return the memory in MB of a step that differentiates a cube, or only reads it."""
    base_mb, copies = (_BASE_MB, _COPIES) if needs_torch else (_LIGHT_MB, _READ_COPIES)
    return base_mb + math.ceil(8 * copies * _count_bins(analysis) / 1e6)


def cube_fit_minutes(analysis: CubeAnalysis, fit: str) -> int:
    """Return the wall time in minutes that one fit may take on one core, with a margin."""
    work_s = sum(_SECONDS[step.engine] for step in analysis.fits[fit].sequence) * _count_bins(analysis) / _BINS
    return int(10 + _SAFETY * work_s / 60) + 1
