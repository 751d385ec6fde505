"""Predictive checks as pictures: counts histogram, randomised PIT, structure of residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import COLOURS, INK, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PredictiveChecks", "plot_predictive"]


@dataclass(frozen=True)
class PredictiveChecks:
    """What `plot_predictive` shows.

    ``counts`` (bin,): fewest photons of each bin, with ``observed`` (bin,) and ``predicted`` (5, bin) pixels; ``pit``
    (data,) with the band ``pit_points``, ``pit_lower``, ``pit_upper`` of its distribution; ``lags_deg`` (lag + 1,) with
    ``correlation`` (3, lag): observed, low and high end of the 95 % range of replicas; ``p_values`` by name.
    """

    counts: NDArray[np.int64]
    observed: NDArray[np.int64]
    predicted: NDArray[np.float64]
    pit: NDArray[np.float64]
    pit_points: NDArray[np.float64]
    pit_lower: NDArray[np.float64]
    pit_upper: NDArray[np.float64]
    lags_deg: NDArray[np.float64]
    correlation: NDArray[np.float64]
    p_values: dict[str, float]


def plot_predictive(checks: PredictiveChecks) -> tuple[Figure, pd.DataFrame]:
    """Plot the three predictive checks side by side; inside the bands is right.

    Returns
    -------
    the figure, and all three curves in one long table
    """
    import pandas as pd

    blue, orange = COLOURS[0], COLOURS[1]
    share = np.searchsorted(np.sort(checks.pit), checks.pit_points, side="right") / checks.pit.size
    middle = 0.5 * (checks.lags_deg[1:] + checks.lags_deg[:-1])
    observed, low, high = checks.correlation

    def told(name: str) -> str:
        return f", p = {checks.p_values[name]:.3g}" if name in checks.p_values else ""

    with use_style():
        figure, (left, centre, right) = new_figure(9.6, 3.1, 1, 3)
        width = int(checks.counts[1] - checks.counts[0]) if checks.counts.size > 1 else 1
        middle_photons = checks.counts + 0.5 * (width - 1)
        left.fill_between(
            middle_photons, checks.predicted[0], checks.predicted[4], color=blue, alpha=0.25, linewidth=0, step="mid",
            label="model, 95 %",
        )  # fmt: skip
        left.plot(middle_photons, checks.observed, ".", color=INK, markersize=4, label="data")
        left.set_xlabel("photons in a pixel" + (f", bins of {width}" if width > 1 else ""))
        # few bright pixels matter as much as many faint ones
        left.set_yscale("symlog", linthresh=1)
        left.set_ylim(bottom=0)
        left.set_ylabel("pixels")
        left.set_title("Counts")
        left.legend(loc="upper right")
        centre.fill_between(
            checks.pit_points, checks.pit_lower - checks.pit_points, checks.pit_upper - checks.pit_points,
            color=blue, alpha=0.25, linewidth=0, label="99 % band",
        )  # fmt: skip
        centre.plot(checks.pit_points, share - checks.pit_points, color=INK, linewidth=1.1, label="data")
        centre.axhline(0, color=INK, linewidth=0.5)
        centre.set_xlabel("randomised PIT")
        centre.set_ylabel("share below – expected share")
        centre.set_title("PIT" + told("pit"))
        centre.legend(loc="upper right")
        right.fill_between(middle, low, high, color=blue, alpha=0.25, linewidth=0, label="model, 95 %")
        right.plot(middle, observed, "o-", color=orange, markersize=4, label="data")
        right.axhline(0, color=INK, linewidth=0.5)
        right.set_xlabel("separation, deg")
        right.set_ylabel("mean product of residuals, σ²")
        right.set_title("Autocorrelation" + told("autocorrelation"))
        right.legend(loc="upper right")
    parts = [
        pd.DataFrame({"check": "counts", "x": checks.counts, "data": checks.observed,
                      "low": checks.predicted[0], "high": checks.predicted[4]}),
        pd.DataFrame({"check": "pit", "x": checks.pit_points, "data": share,
                      "low": checks.pit_lower, "high": checks.pit_upper}),
        pd.DataFrame({"check": "autocorrelation", "x": middle, "data": observed, "low": low, "high": high}),
    ]  # fmt: skip
    return figure, pd.concat(parts, ignore_index=True)
