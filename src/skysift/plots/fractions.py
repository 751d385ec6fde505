"""Shares of the photons per component, fit by fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from skysift.plots.posteriors import FitDraws
from skysift.plots.style import TRUTH, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_fractions"]


def plot_fractions(
    components: Sequence[str], fits: Sequence[FitDraws], truths: Mapping[str, float]
) -> tuple[Figure, pd.DataFrame]:
    """Plot median, 68 and 95 % interval of each component's share of the expected counts, in percent.

    Parameters
    ----------
    components : one panel each
    fits : draws by component name, shares between 0 and 1
    truths : component to true share; absent where unknown

    Returns
    -------
    the figure, and the intervals in percent
    """
    import pandas as pd

    columns = min(3, len(components))
    rows = -(-len(components) // columns)
    table = []
    with use_style():
        height = 0.5 + rows * (0.75 + 0.26 * len(fits))
        figure, axes = new_figure(9.6, height, rows, columns, sharey=True)
        for place, component in zip(axes, components, strict=False):
            for k, fit in enumerate(fits):
                if component not in fit.draws:
                    continue
                quantiles = 100 * np.quantile(fit.draws[component], [0.025, 0.16, 0.5, 0.84, 0.975])
                low95, low68, median, high68, high95 = quantiles
                place.plot([low95, high95], [k, k], color=fit.colour, linewidth=1.1)
                place.plot([low68, high68], [k, k], color=fit.colour, linewidth=3.6, solid_capstyle="butt")
                place.plot(median, k, "o", color="white", markeredgecolor=fit.colour, markersize=5)
                names = ("q2.5", "q16", "q50", "q84", "q97.5")
                row: dict[str, object] = {"component": component, "fit": fit.fit, "unit": "%"}
                row |= dict(zip(names, quantiles, strict=True))
                table.append(row | {"truth": 100 * truths[component] if component in truths else None})
            if component in truths:
                place.axvline(100 * truths[component], color=TRUTH, linewidth=1.2)
            place.set_xlabel(f"{component}, % of counts")
            place.set_yticks(range(len(fits)), [fill(fit.label, 26) for fit in fits])
            place.set_ylim(len(fits) - 0.4, -0.6)
            place.margins(x=0.12)
        for place in axes[len(components) :]:
            place.set_axis_off()
    return figure, pd.DataFrame(table)
