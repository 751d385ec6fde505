"""Many simulated data sets of one truth: every posterior, and bias, coverage and contraction per fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.diagnostics.coverage import binomial_interval
from skysift.plots.style import MUTED, TRUTH, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FitSummary", "ReplicateIntervals", "plot_calibration", "plot_replicates"]


@dataclass(frozen=True)
class ReplicateIntervals:
    """Posterior intervals of one fit: ``quantiles`` (replicate, 5) at 2.5, 16, 50, 84 and 97.5 %."""

    fit: str
    colour: str
    data: tuple[str, ...]
    quantiles: NDArray[np.float64]
    note: str = ""


@dataclass(frozen=True)
class FitSummary:
    """One row of the calibration figure: a fit, or the bare prior (``n`` 0 when its coverage is exact)."""

    fit: str
    colour: str
    n: int
    bias: float
    bias_error: float
    mean_sd: float
    coverage_68: float
    coverage_95: float
    sd_over_prior_sd: float


def plot_replicates(
    fits: Sequence[ReplicateIntervals], label: str, truth: float, prior_68: tuple[float, float] | None
) -> tuple[Figure, pd.DataFrame]:
    """Plot one panel per fit: median, 68 and 95 % interval of each replicate, against truth and prior.

    A replicate whose 95 % interval misses the truth has an open marker.

    Parameters
    ----------
    fits : one panel each
    label : of the quantity, with unit
    truth : that made every replicate
    prior_68 : the central 68 % of the bare prior, drawn as a grey band

    Returns
    -------
    the figure, and the intervals
    """
    import pandas as pd

    columns = min(3, len(fits))
    rows = -(-len(fits) // columns)
    with use_style():
        figure, axes = new_figure(9.6, 0.4 + 2.5 * rows, rows, columns, sharey=True)
        for k, (place, fit) in enumerate(zip(axes, fits, strict=False)):
            _draw_replicates(place, fit, truth, prior_68)
            place.set_title(f"{fit.fit}\n{fit.note}" if fit.note else fit.fit)
            if k % columns == 0:
                place.set_ylabel(label)
            if k + columns >= len(fits):
                place.set_xlabel("replicate")
        for place in axes[len(fits) :]:
            place.set_axis_off()
    frames = [
        pd.DataFrame(fit.quantiles, columns=["q2.5", "q16", "q50", "q84", "q97.5"]).assign(
            fit=fit.fit, data=list(fit.data), truth=truth
        )
        for fit in fits
    ]
    return figure, pd.concat(frames, ignore_index=True)


def _draw_replicates(axes: Axes, fit: ReplicateIntervals, truth: float, prior_68: tuple[float, float] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    place = np.arange(len(fit.data))
    low95, low68, median, high68, high95 = fit.quantiles.T
    if prior_68 is not None:
        axes.axhspan(*prior_68, color=MUTED, alpha=0.18, linewidth=0)
    axes.axhline(truth, color=TRUTH, linewidth=1.1)
    axes.vlines(place, low95, high95, color=fit.colour, linewidth=0.9)
    axes.vlines(place, low68, high68, color=fit.colour, linewidth=2.6)
    missed = (truth < low95) | (truth > high95)
    axes.plot(place[~missed], median[~missed], "o", color=fit.colour, markersize=4)
    axes.plot(place[missed], median[missed], "o", color="white", markeredgecolor=fit.colour, markersize=4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def plot_calibration(fits: Sequence[FitSummary], label: str) -> tuple[Figure, pd.DataFrame]:
    """Plot bias, coverage and contraction of each fit, with the bare prior as the line to beat.

    Parameters
    ----------
    fits : from top to bottom
    label : of the quantity, with unit

    Returns
    -------
    the figure, and its numbers
    """
    import pandas as pd

    names = [fit.fit for fit in fits]
    with use_style():
        figure, (left, centre, right) = new_figure(9.6, 1.1 + 0.32 * len(fits), 1, 3, sharey=True)
        for row, fit in enumerate(fits):
            left.plot([fit.bias - fit.mean_sd, fit.bias + fit.mean_sd], [row, row], color=fit.colour, linewidth=1.0)
            if np.isfinite(fit.bias_error):
                ends = [fit.bias - fit.bias_error, fit.bias + fit.bias_error]
                left.plot(ends, [row, row], color=fit.colour, linewidth=4.0, solid_capstyle="butt")
            left.plot(fit.bias, row, "o", color="white", markeredgecolor=fit.colour, markersize=5)
            for level, share, marker, shift in (
                (0.68, fit.coverage_68, "o", -0.13),
                (0.95, fit.coverage_95, "s", 0.13),
            ):
                if fit.n:
                    ends = list(binomial_interval(round(share * fit.n), fit.n))
                    centre.plot(ends, [row + shift] * 2, color=fit.colour, linewidth=1.6)
                text = f"{100 * level:.0f} % intervals" if row == 0 else None
                centre.plot(share, row + shift, marker, color=fit.colour, markersize=5, label=text)
            right.plot([0, fit.sd_over_prior_sd], [row, row], color=fit.colour, linewidth=5, solid_capstyle="butt")
        left.axvline(0, color=TRUTH, linewidth=0.9)
        left.set_xlabel(f"mean – truth, {label}")
        left.set_title("Bias (thick: its error; thin: posterior sd)", fontsize=9)
        centre.axvline(0.68, color=TRUTH, linewidth=0.9, linestyle="dotted")
        centre.axvline(0.95, color=TRUTH, linewidth=0.9, linestyle="dashed")
        centre.set_xlim(-0.03, 1.03)
        centre.set_xlabel("share that holds the truth")
        centre.set_title("Coverage (● 68 %, ■ 95 %)", fontsize=9)
        right.axvline(1, color=TRUTH, linewidth=0.9)
        right.set_xlim(0, max(1.1, *(f.sd_over_prior_sd for f in fits if np.isfinite(f.sd_over_prior_sd)), 0))
        right.set_xlabel("posterior sd / prior sd")
        right.set_title("What the data left open", fontsize=9)
        left.set_yticks(range(len(fits)), names)
        left.set_ylim(len(fits) - 0.4, -0.6)
    return figure, pd.DataFrame([{k: v for k, v in vars(fit).items() if k != "colour"} for fit in fits])
