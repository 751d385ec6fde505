"""Does what comes out follow what went in? Posterior and peak against the injected norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skysift.plots.style import MUTED, TRUTH, assign_colours, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_injection"]

Point = tuple[float, float, float, float]


def plot_injection(
    points: Mapping[str, Sequence[Point]], label: str, prior_mean: float | None
) -> tuple[Figure, pd.DataFrame]:
    """Plot posterior mean and peak without prior against the true value, one colour per fit.

    Parameters
    ----------
    points : fit to (truth, mean, mean sd, peak), one per simulated set
    label : of the quantity, with unit
    prior_mean : where a fit would lie that learns nothing

    Returns
    -------
    the figure, and its points with the slope of the peak where there are two or more truths
    """
    import pandas as pd

    rows = []
    with use_style():
        figure, (left, right) = new_figure(9.6, 4.0, 1, 2, sharex=True, sharey=True)
        for fit, colour in assign_colours(points).items():
            truth, mean, sd, peak = np.array(sorted(points[fit])).T
            left.errorbar(truth, mean, sd, fmt="o-", color=colour, markersize=4, linewidth=1.1, label=fit)
            right.plot(truth, peak, "o-", color=colour, markersize=4, linewidth=1.1)
            known = np.isfinite(peak)
            spread = np.unique(truth[known]).size > 1
            slope = float(np.polyfit(truth[known], peak[known], 1)[0]) if spread else float("nan")
            rows += [
                {"fit": fit, "truth": t, "mean": m, "mean_sd": s, "peak": p, "peak_slope": slope}
                for t, m, s, p in zip(truth, mean, sd, peak, strict=True)
            ]
        for place, title in ((left, "Posterior mean, mean sd"), (right, "Peak without the prior")):
            ends = np.array(place.get_xlim())
            place.plot(ends, ends, color=TRUTH, linewidth=0.9)
            place.set_title(title)
            place.set_xlabel(f"true {label}")
        left.set_ylabel(label)
        if prior_mean is not None:
            left.axhline(prior_mean, color=MUTED, linewidth=1.0, linestyle="dashed", label="bare prior")
        left.legend(loc="best")
    return figure, pd.DataFrame(rows)
