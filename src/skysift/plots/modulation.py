"""What the Gaussian process makes of a template: exp(f), its uncertainty, and the truth where it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.plots.sky import draw_sky, find_directions, frame_pixels, new_sky_panels, rasterise
from skysift.plots.style import COLOURS, TRUTH, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Modulation", "plot_modulation_by_pixel", "plot_modulation_maps"]

ZOOM = 500


@dataclass(frozen=True)
class Modulation:
    """Norm times exp(f) of one component on the region's pixels.

    ``quantiles`` (5, pixel) at 2.5, 16, 50, 84 and 97.5 %; ``truth`` (pixel,) or None; without unit: the ratio of
    the modulated component to its template at unit norm.
    """

    component: str
    nside: int
    pixels: NDArray[np.int64]
    quantiles: NDArray[np.float64]
    truth: NDArray[np.float64] | None

    def table(self) -> pd.DataFrame:
        """Return the numbers, one row per pixel."""
        import pandas as pd

        lon, lat = find_directions(self.nside, self.pixels)
        columns: dict[str, Any] = {"pixel": self.pixels, "l_deg": lon, "b_deg": lat}
        columns |= {f"q{q}": row for q, row in zip(("2.5", "16", "50", "84", "97.5"), self.quantiles, strict=True)}
        if self.truth is not None:
            columns["truth"] = self.truth
        return pd.DataFrame(columns)


def _draw_bands(axes: Axes, modulation: Modulation, chosen: slice) -> None:
    index = np.arange(modulation.pixels.size)[chosen]
    low95, low68, median, high68, high95 = modulation.quantiles[:, chosen]
    colour = COLOURS[0]
    axes.fill_between(index, low95, high95, color=colour, alpha=0.22, linewidth=0, label="95 %")
    axes.fill_between(index, low68, high68, color=colour, alpha=0.45, linewidth=0, label="68 %")
    axes.plot(index, median, color=colour, linewidth=0.9, label="median")
    if modulation.truth is not None:
        axes.plot(index, modulation.truth[chosen], color=TRUTH, linewidth=0.6, label="truth")
    axes.margins(x=0)
    axes.set_ylabel(f"{modulation.component} / template")


def plot_modulation_by_pixel(modulation: Modulation) -> tuple[Figure, pd.DataFrame]:
    """Plot the median and the 68 and 95 % bands by pixel index, with the truth: all pixels, and a close view."""
    count = modulation.pixels.size
    first = max(0, (count - ZOOM) // 2)
    close = slice(first, min(count, first + ZOOM))
    with use_style():
        figure, axes = new_figure(9.6, 5.4, 2, 1)
        _draw_bands(axes[0], modulation, slice(0, count))
        axes[0].set_title("All pixels of the region, north to south")
        axes[0].axvspan(close.start, close.stop, color="#999999", alpha=0.18, linewidth=0)
        _draw_bands(axes[1], modulation, close)
        axes[1].set_title(f"{close.stop - close.start} pixels in the middle")
        axes[1].set_xlabel("pixel index in the region")
        figure.legend(*axes[1].get_legend_handles_labels(), ncols=4, loc="outside lower right")
    return figure, modulation.table()


def plot_modulation_maps(modulation: Modulation) -> tuple[Figure, pd.DataFrame]:
    """Plot the median and its relative uncertainty on the sky; with truth also the truth and the pull."""
    from matplotlib.colors import LogNorm

    view = frame_pixels(*find_directions(modulation.nside, modulation.pixels))
    _, low, median, high, _ = modulation.quantiles
    shown = [median] if modulation.truth is None else [median, modulation.truth]
    edges = np.quantile(np.concatenate(shown), [0.002, 0.998])
    if edges[1] <= edges[0]:
        edges = edges[0] * np.array([0.99, 1.01])
    ratio: dict[str, Any] = {"cmap": "viridis", "norm": LogNorm(*edges)}
    label = f"{modulation.component} / template"
    width = 0.5 * (high - low)
    spread = {"cmap": "cividis", "vmin": 0}
    panels = [
        ("Median", median, label, ratio),
        ("Relative uncertainty", width / median, "half 68 % width / median", spread),
    ]
    if modulation.truth is not None:
        pull = (median - modulation.truth) / np.where(width > 0, width, np.nan)
        signed = {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}
        panels = [panels[0], ("Truth", modulation.truth, label, ratio), panels[1],
                  ("(median – truth) / half 68 % width", pull, "σ", signed)]  # fmt: skip
    rows = len(panels) // 2
    with use_style():
        figure, places = new_sky_panels(view, rows)
        for k, ((place, bar), (title, values, text, settings)) in enumerate(zip(places, panels, strict=True)):
            draw_sky(place, bar, rasterise(view, modulation.pixels, modulation.nside, values), text, **settings)
            place.set_title(title)
            if k % 2:
                place.set_ylabel("")
            if k < len(panels) - 2:
                place.set_xlabel("")
            if settings is ratio:
                _label_log_bar(place, edges)
    return figure, modulation.table()


def _label_log_bar(axes: Axes, edges: NDArray[np.float64]) -> None:
    """Write plain numbers on the colour bar of a logarithmic scale."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    image = axes.images[0]
    bar = image.colorbar
    if bar is None:
        return
    bar.locator = FixedLocator([v for v in MaxNLocator(6).tick_values(*edges) if edges[0] <= v <= edges[1]])
    bar.formatter = FuncFormatter(lambda v, _: f"{v:g}")
    bar.minorlocator = NullLocator()
    bar.update_ticks()
