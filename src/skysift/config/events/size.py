"""How large an event analysis is: what its jobs ask a cluster for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysift.config.events.analysis import EventAnalysis

__all__ = ["count_bins", "event_fit_minutes", "event_memory_mb", "gather_memory_mb"]

_BASE_MB = 1000
_LIGHT_MB = 850  # without pyro
_COPIES = 8  # cubes that live at the same time, beside the sources
_TRUE_PER_RECONSTRUCTED = 3  # true energies beyond the axis
_LARGEST_PIXEL_DEG = 0.1
_MARGIN_DEG = 1.0
_BYTES_PER_ROW = 400  # of one event while it is marginalised, per source
_GATHERED_COPIES = 4  # of all marginals: the chunks, the whole, its checksums
_SECONDS = {"map": 20, "optimise": 20, "laplace": 20, "grid": 60, "svi": 120, "hmc": 300, "nuts": 1500, "nested": 120}
_SAFETY = 4


def count_bins(analysis: EventAnalysis) -> tuple[int, int]:
    """Return about how many reconstructed and how many true bins there are."""
    axes, true = analysis.observation.reconstructed, analysis.observation.true
    pixels, fine = 1, 1.0
    for side in (axes.lon, axes.lat):
        low, high = side.range_deg
        count = round((high - low) / side.step_deg) + 1
        refine = true.refine or math.ceil(side.step_deg / _LARGEST_PIXEL_DEG)
        margin = _MARGIN_DEG if true.margin_deg is None else true.margin_deg
        pixels *= count
        fine *= (count + 2 * margin / side.step_deg) * refine
    return axes.energy.points * pixels, math.ceil(axes.energy.points * _TRUE_PER_RECONSTRUCTED * fine)


def event_memory_mb(analysis: EventAnalysis, observed: int = 1) -> int:
    """Return the memory in MB of a step that holds all sources on the true grid, or the rows of a chunk."""
    seen, true = count_bins(analysis)
    columns = len(analysis.sources()) + _COPIES
    rows = (
        seen
        if analysis.model.binned
        else max(
            analysis.expected_events(data, observed) // analysis.chunk_count(data, observed)
            for data in analysis.all_data()
        )
    )
    return _BASE_MB + math.ceil((8 * columns * (seen + true) + _BYTES_PER_ROW * len(analysis.sources()) * rows) / 1e6)


def gather_memory_mb(analysis: EventAnalysis, observed: int = 1) -> int:
    """Return the memory in MB of the step that holds the marginals of all events."""
    rows = max(analysis.expected_events(data, observed) for data in analysis.all_data())
    if analysis.model.binned:
        rows = min(rows, count_bins(analysis)[0])
    return _LIGHT_MB + math.ceil(8 * _GATHERED_COPIES * len(analysis.sources()) * rows / 1e6)


def event_fit_minutes(analysis: EventAnalysis, fit: str, observed: int = 1) -> int:
    """Return the wall time in minutes that one fit may take on one core, with a margin."""
    rows = max(analysis.expected_events(data, observed) for data in analysis.fit_data()[fit])
    if analysis.model.binned:
        rows = min(rows, count_bins(analysis)[0])
    free = sum(len(part.free) for part in analysis.model_of(fit).components.values())
    work_s = sum(_SECONDS[step.engine] for step in analysis.fits[fit].sequence) * (1 + 4 * free)
    return int(10 + _SAFETY * work_s * max(1.0, rows / 1e5) / 60) + 1
