"""Posteriors of norms: one panel per quantity with every fit, prior and truth; and corner plots."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import INK, MUTED, TRUTH, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["FitDraws", "Quantity", "plot_corner", "plot_posteriors"]

#: Numbers of so many digits more or less are written with their power of ten.
_LONG = 4
#: A corner plot of more quantities is shown smaller, so that letters must be larger.
_MANY = 7
#: Letters of one line of a label in it.
_LINE = 13


@dataclass(frozen=True)
class FitDraws:
    """Draws of one fit by quantity name, (draw,) each; ``note`` is shown wherever the fit is."""

    fit: str
    colour: str
    draws: Mapping[str, NDArray[np.float64]]
    note: str = ""

    @property
    def label(self) -> str:
        """Name and, in brackets, what a reader must know about it."""
        return f"{self.fit} ({self.note})" if self.note else self.fit


@dataclass(frozen=True)
class Quantity:
    """What is shown of one quantity: axis label with unit, prior density (2, grid) and truth where known."""

    name: str
    label: str
    prior: NDArray[np.float64] | None = None
    truth: float | None = None
    bounds: tuple[float, float] = field(default=(-np.inf, np.inf))


def _span(quantity: Quantity, fits: Sequence[FitDraws]) -> tuple[float, float]:
    """Choose the axis range: the draws and, where it is not much wider, the prior."""
    ends = [np.quantile(fit.draws[quantity.name], [0.001, 0.999]) for fit in fits if quantity.name in fit.draws]
    low, high = float(min(e[0] for e in ends)), float(max(e[1] for e in ends))
    if quantity.truth is not None:
        low, high = min(low, quantity.truth), max(high, quantity.truth)
    margin = 0.08 * (high - low) or 0.05 * max(abs(high), 1e-12)
    low, high = low - margin, high + margin
    if quantity.prior is not None:
        grid, density = quantity.prior
        inside = grid[density > 0.01 * density.max()]
        if inside[-1] - inside[0] < 2.5 * (high - low):
            low, high = min(low, float(inside[0])), max(high, float(inside[-1]))
    return max(low, quantity.bounds[0]), min(high, quantity.bounds[1])


def _name_axis(axis: Axis, quantity: Quantity, span: tuple[float, float], *, breaks: bool = False) -> None:
    """Write the label, with the power of ten of very small or large numbers in it rather than beside the axis.

    ``breaks`` writes short lines, the unit on one of its own.
    """
    from matplotlib.ticker import FuncFormatter

    name, _, unit = quantity.label.partition(", ")
    largest = max(map(abs, span))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    if abs(power) >= _LONG:
        unit = f"$10^{{{power}}}$ {unit}".strip()
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**power:.3g}"))
    parts = [textwrap.fill(name, _LINE) if breaks else name, unit]
    axis.set_label_text((",\n" if breaks else ", ").join(filter(None, parts)))


def _draw_panel(axes: Axes, quantity: Quantity, fits: Sequence[FitDraws]) -> None:
    low, high = _span(quantity, fits)
    if quantity.prior is not None:
        grid, density = quantity.prior
        axes.fill_between(grid, density, color=MUTED, alpha=0.22, linewidth=0, label="prior")
        axes.plot(grid, density, color=MUTED, linewidth=0.8)
    peaks = []
    for fit in fits:
        if quantity.name not in fit.draws:
            continue
        draws = fit.draws[quantity.name]
        bins = int(np.clip(draws.size**0.5, 20, 60))
        edges = np.linspace(draws.min(), draws.max(), bins + 1).tolist() if np.ptp(draws) > 0 else bins
        style = "dashed" if fit.note else "solid"
        heights, _, _ = axes.hist(
            draws, bins=edges, density=True, histtype="step", color=fit.colour, linestyle=style, linewidth=1.5,
            label=fit.label,
        )  # fmt: skip
        peaks.append(float(np.max(heights)))
    if quantity.truth is not None:
        axes.axvline(quantity.truth, color=TRUTH, linewidth=1.3, label="truth")
    axes.set_xlim(low, high)
    # One needle must not flatten the rest: it may leave through the top.
    axes.set_ylim(0, 1.08 * min(max(peaks), 5 * min(peaks)))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _name_axis(axes.xaxis, quantity, (low, high))


def _histogram_table(quantities: Sequence[Quantity], fits: Sequence[FitDraws]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for quantity in quantities:
        for fit in fits:
            if quantity.name not in fit.draws:
                continue
            draws = fit.draws[quantity.name]
            density, edges = np.histogram(draws, bins=40, density=True)
            rows += [
                {"quantity": quantity.name, "fit": fit.fit, "low": a, "high": b, "density": d, "truth": quantity.truth}
                for a, b, d in zip(edges[:-1], edges[1:], density, strict=True)
            ]
        if quantity.prior is not None:
            grid, prior = quantity.prior
            rows += [
                {"quantity": quantity.name, "fit": "prior", "low": x, "high": x, "density": d, "truth": quantity.truth}
                for x, d in zip(grid, prior, strict=True)
            ]
    return pd.DataFrame(rows)


def plot_posteriors(quantities: Sequence[Quantity], fits: Sequence[FitDraws]) -> tuple[Figure, pd.DataFrame]:
    """Plot one panel per quantity: histograms of every fit, its prior in grey, its truth as a black line.

    Parameters
    ----------
    quantities : those that at least one fit has
    fits : drawn in order; a fit with a note is dashed

    Returns
    -------
    the figure, and the densities
    """
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    with use_style():
        figure, axes = new_figure(9.6, 0.7 + 2.1 * rows, rows, columns)
        handles: dict[str, Artist] = {}
        for place, quantity in zip(axes, quantities, strict=False):
            _draw_panel(place, quantity, fits)
            handles |= {label: h for h, label in zip(*place.get_legend_handles_labels(), strict=True)}
        for place in axes[len(quantities) :]:
            place.set_axis_off()
        figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=min(4, len(handles)))
    return figure, _histogram_table(quantities, fits)


def _tallest(fits: Sequence[FitDraws], name: str, span: tuple[float, float]) -> float:
    return max(float(np.histogram(f.draws[name], bins=30, range=span, density=True)[0].max()) for f in fits)


def plot_corner(quantities: Sequence[Quantity], fits: Sequence[FitDraws]) -> tuple[Figure, pd.DataFrame]:
    """Plot all pairs of quantities, 68 and 95 % contours per fit, with truths.

    Returns
    -------
    the figure, and correlations and moments as a table
    """
    import corner
    import pandas as pd
    from matplotlib.lines import Line2D

    names = [quantity.name for quantity in quantities]
    size = len(names)
    with use_style():
        width = 1.6 + 1.75 * size
        figure, _ = new_figure(width, width, size, size, layout=None)
        spans, larger = [_span(quantity, fits) for quantity in quantities], max(1.0, (size / _MANY) ** 0.7)
        for fit in fits:
            samples = np.stack([fit.draws[name] for name in names], axis=1)
            corner.corner(
                samples, fig=figure, bins=30, range=spans, color=fit.colour, levels=(0.68, 0.95),
                labels=[q.label for q in quantities], truths=[q.truth for q in quantities], truth_color=TRUTH,
                plot_datapoints=False, plot_density=False, fill_contours=len(fits) == 1, smooth=0.9,
                max_n_ticks=4 if larger == 1 else 3, hist_kwargs={"density": True, "linewidth": 1.4},
                contour_kwargs={"linewidths": 1.2}, labelpad=0.2 * (larger - 1) - 0.02,
                label_kwargs={"fontsize": 9 * larger},
            )  # fmt: skip
        # room for labels of three lines
        margin = (0.45 + 0.62 * larger) / width
        figure.subplots_adjust(left=margin, bottom=margin)
        for k, place in enumerate(figure.axes):
            place.tick_params(labelsize=7.5 * larger)
            line, column = divmod(k, size)
            if line == size - 1:
                _name_axis(place.xaxis, quantities[column], spans[column], breaks=True)
            if column == 0 and line:
                _name_axis(place.yaxis, quantities[line], spans[line], breaks=True)
            if k % (size + 1) == 0:
                # Each call fits the height to its own histogram; show the tallest of all.
                place.set_ylim(0, 1.08 * max(_tallest(fits, names[k // (size + 1)], spans[k // (size + 1)]), 1e-300))
        keys = [Line2D([], [], color=fit.colour, label=fit.label) for fit in fits]
        if any(q.truth is not None for q in quantities):
            keys.append(Line2D([], [], color=TRUTH, label="truth"))
        figure.legend(handles=keys, loc="upper right", fontsize=10 * larger, labelcolor=INK)
    rows = []
    for fit in fits:
        matrix = np.atleast_2d(np.corrcoef(np.stack([fit.draws[name] for name in names])))
        for i, name in enumerate(names):
            row: dict[str, object] = {"fit": fit.fit, "quantity": name, "mean": fit.draws[name].mean()}
            row["sd"] = fit.draws[name].std(ddof=1)
            rows.append(row | {f"corr_{other}": matrix[i, j] for j, other in enumerate(names)})
    return figure, pd.DataFrame(rows)
