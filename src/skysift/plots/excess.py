"""What the data leave for each source when all others are taken away, beside what the fit gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.plots.events import (
    EnergyCounts,
    ImageCounts,
    double,
    draw_diverging,
    draw_image,
    finish_image,
    pixel_table,
    steps,
)
from skysift.plots.style import INK, MUTED, assign_colours, new_figure, set_plain_log, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["plot_energy_excess", "plot_image_excess"]

Array = NDArray[np.float64]
#: Bins in which fewer events are expected have no residual in units of sigma.
_FEWEST = 0.3
_LEAST_SIGMA = 4.0


def plot_energy_excess(counts: EnergyCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot, for each source, the events that the other sources do not explain, by energy.

    Below: residuals in units of sigma with the source left out and with it; where both agree, the source is not needed.

    Returns
    -------
    the figure, and its numbers by energy
    """
    import pandas as pd

    edges, middle = counts.edges_tev, np.sqrt(counts.edges_tev[1:] * counts.edges_tev[:-1])
    names, colours, model = list(counts.components), assign_colours(counts.components), counts.model
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    table = {"energy_low_tev": edges[:-1], "energy_high_tev": edges[1:], "observed": counts.observed, "model": model}
    with use_style():
        figure, axes = new_figure(
            9.6, 3.9 * rows, 2 * rows, columns, sharex=True, gridspec_kw={"height_ratios": [2.2, 1] * rows}
        )
        for number, name in enumerate(names):
            row, column = divmod(number, columns)
            top, bottom = axes[2 * row * columns + column], axes[(2 * row + 1) * columns + column]
            own = counts.components[name]
            excess = counts.observed - (model - own)
            without, within = _sigma(counts.observed, model - own), _sigma(counts.observed, model)
            low, high = counts.spread(name)
            top.fill_between(steps(edges), double(low), double(high), color=colours[name], alpha=0.3, linewidth=0)
            top.plot(steps(edges), double(own), color=colours[name])
            top.errorbar(
                middle, excess, np.sqrt(np.maximum(model, 1.0)), fmt="o", markersize=2.5, color=INK, linewidth=0.8
            )
            top.set_yscale("symlog", linthresh=10.0, linscale=0.6)
            top.axhline(0, color=MUTED, linewidth=0.8)
            top.set_title(name.replace("_", " "))
            _draw_sigma(bottom, middle, without, within, colours[name])
            if column == 0:
                top.set_ylabel("events per bin")
                bottom.set_ylabel("residual, σ")
            table |= {f"excess_{name}": excess, f"model_{name}": own, f"low_{name}": low, f"high_{name}": high,
                      f"sigma_without_{name}": without}  # fmt: skip
        for unused in range(len(names), rows * columns):
            for part in (0, 1):
                axes[(2 * (unused // columns) + part) * columns + unused % columns].set_axis_off()
        figure.legend(handles=_explain(), loc="outside upper left", ncols=4)
        table["sigma"] = _sigma(counts.observed, model)
    return figure, pd.DataFrame(table)


def _explain() -> list[Line2D]:
    """Return what each kind of line and point means."""
    from matplotlib.lines import Line2D

    point: dict[str, Any] = {"marker": "o", "linestyle": "none", "color": INK}
    return [
        Line2D([], [], markersize=3, label="events – other sources", **point),
        Line2D([], [], color=MUTED, label="model of the source, 95 %"),
        Line2D([], [], markersize=4, markerfacecolor="none", label="residual without it", **point),
        Line2D([], [], markersize=3, label="residual with it", **point),
    ]


def _draw_sigma(axis: Axes, middle: Array, without: Array, within: Array, colour: str) -> None:
    axis.axhline(0, color=MUTED, linewidth=0.8)
    both = np.concatenate([without, within, [-_LEAST_SIGMA, _LEAST_SIGMA]])
    axis.plot(middle, without, "o", markersize=3, markerfacecolor="none", color=colour)
    axis.plot(middle, within, "o", markersize=2.5, color=INK)
    axis.set_ylim(1.1 * np.nanmin(both), 1.1 * np.nanmax(both))
    axis.set_xlabel("reconstructed energy, TeV")
    set_plain_log(axis.xaxis)


def _sigma(seen: Array, expected: Array) -> Array:
    """Return (seen - expected) / sqrt(expected), NaN where next to nothing is expected."""
    return np.where(expected > _FEWEST, (seen - expected) / np.sqrt(np.maximum(expected, _FEWEST)), np.nan)


def plot_image_excess(counts: ImageCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot, for each source, the events that the other sources do not explain, on the sky, summed over 3 x 3 pixels.

    Beside it the model of the source on the same scale, and the residual in units of sigma when it is left out.

    Returns
    -------
    the figure, and its numbers by pixel
    """
    names, model = list(counts.components), counts.model
    table = {"observed": counts.observed, "model": model}
    seen, whole = counts.smooth(counts.observed), counts.smooth(model)
    with use_style():
        figure, axes = new_figure(9.6, 2.75 * len(names) + 0.3, len(names), 3, sharex=True, sharey=True)
        for number, name in enumerate(names):
            own = counts.smooth(counts.components[name])
            others, left = whole - own, seen - whole + own
            without = (seen - others) / np.sqrt(np.maximum(others, _FEWEST))
            row, word, last = axes[3 * number : 3 * number + 3], name.replace("_", " "), number == len(names) - 1
            low, high = float(min(left.min(), 0.0)), float(max(left.max(), own.max()))
            titles = ("events – other sources", f"{word}, model", f"residual without {word}")
            for axis, values, title in zip(row, (left, own), titles, strict=False):
                drawn = draw_image(axis, counts, values, low, high)
                finish_image(axis, title, first=axis is row[0], last=last)
                figure.colorbar(drawn, ax=axis, fraction=0.046, label="events in 3 × 3 pixels")
            drawn = draw_diverging(row[2], counts, without, float(max(np.abs(without).max(), _LEAST_SIGMA)))
            finish_image(row[2], titles[2], last=last)
            figure.colorbar(drawn, ax=row[2], fraction=0.046, label="σ")
            table |= {f"excess_3x3_{name}": left.ravel(), f"model_3x3_{name}": own.ravel(),
                      f"sigma_without_{name}": without.ravel()}  # fmt: skip
        table["sigma_3x3"] = counts.smoothed_sigma.ravel()
    return figure, pixel_table(counts, table)
