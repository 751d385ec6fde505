"""Events as pictures: how many in each energy bin and where on the sky, beside what the model explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import INK, MUTED, assign_colours, new_figure, set_plain_log, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

__all__ = [
    "EnergyCounts", "ImageCounts", "double", "draw_diverging", "draw_image", "finish_image", "pixel_table",
    "plot_components", "plot_energies", "plot_images", "steps",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EnergyCounts:
    """Events in energy bins.

    ``edges_tev`` (K + 1,), ``observed`` (K,), ``expected`` (5, K): 2.5, 16, 50, 84, 97.5 % quantiles of predicted
    events, ``components``: name to mean (K,), ``counts``: name to the same quantiles of its number of events.
    """

    edges_tev: Array
    observed: Array
    expected: Array
    components: Mapping[str, Array]
    counts: Mapping[str, Array] = field(default_factory=dict)

    @property
    def model(self) -> Array:
        """Mean of all components together, (K,)."""
        return np.asarray(np.sum(list(self.components.values()), axis=0))

    def spread(self, name: str) -> tuple[Array, Array]:
        """Return the 95 % interval of a component's events in each bin, as far as its number is uncertain."""
        own = self.components[name]
        if name not in self.counts or not own.sum() > 0:
            return own, own
        quantiles = self.counts[name]
        return own * quantiles[0] / own.sum(), own * quantiles[4] / own.sum()


@dataclass(frozen=True)
class ImageCounts:
    """Events in pixels, ``ilat * n_lon + ilon``; quantiles and components as in `EnergyCounts`."""

    lon_edges_deg: Array
    lat_edges_deg: Array
    observed: Array
    expected: Array
    components: Mapping[str, Array]

    @property
    def model(self) -> Array:
        """Mean of all components together, (pixel,)."""
        return np.asarray(np.sum(list(self.components.values()), axis=0))

    def grid(self, values: Array) -> Array:
        """Return values of pixels as (latitude, longitude)."""
        return values.reshape(len(self.lat_edges_deg) - 1, len(self.lon_edges_deg) - 1)

    def smooth(self, values: Array) -> Array:
        """Return sums over 3 x 3 pixels, less at the border, (latitude, longitude)."""
        from scipy.ndimage import uniform_filter

        return 9.0 * np.asarray(uniform_filter(self.grid(np.asarray(values, dtype=np.float64)), 3, mode="constant"))

    @property
    def smoothed_sigma(self) -> Array:
        """(observed - expected) / sqrt(expected), both summed over 3 x 3 pixels, (latitude, longitude)."""
        seen, model = self.smooth(self.observed), self.smooth(self.model)
        return np.asarray((seen - model) / np.sqrt(np.maximum(model, 1e-9)))


def plot_energies(counts: EnergyCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot events by energy, linear and logarithmic, with residuals below.

    Returns
    -------
    the figure, and its numbers
    """
    import pandas as pd

    edges, middle, model = counts.edges_tev, np.sqrt(counts.edges_tev[1:] * counts.edges_tev[:-1]), counts.model
    colours = assign_colours(counts.components)
    pull = np.where(model > 0.3, (counts.observed - model) / np.sqrt(np.maximum(model, 0.3)), np.nan)
    with use_style():
        figure, axes = new_figure(9.6, 4.8, 2, 2, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        for axis, scale in zip(axes[:2], ("linear", "log"), strict=True):
            axis.fill_between(
                steps(edges), double(counts.expected[0]), double(counts.expected[4]), color=MUTED, alpha=0.35,
                linewidth=0, label="all, 95 %",
            )  # fmt: skip
            for name, part in counts.components.items():
                axis.plot(steps(edges), double(part), color=colours[name], label=name.replace("_", " "))
            axis.plot(steps(edges), double(model), color=INK, linewidth=0.8, label="all")
            axis.errorbar(
                middle, counts.observed, np.sqrt(np.maximum(counts.observed, 1)), fmt="o", markersize=2.5, color=INK,
                linewidth=0.8, label="events",
            )  # fmt: skip
            axis.set_yscale(scale)
            axis.set_title(f"{scale} scale")
            axis.set_ylim(0.3 if scale == "log" else 0.0, None)
        axes[0].set_ylabel("events per bin")
        axes[0].legend(fontsize="small")
        for axis in axes[2:]:
            axis.axhline(0, color=MUTED, linewidth=0.8)
            axis.plot(middle, pull, "o", markersize=2.5, color=INK)
            axis.set_xlabel("reconstructed energy, TeV")
            axis.set_ylim(-4.5, 4.5)
            set_plain_log(axis.xaxis)
        axes[2].set_ylabel("residual, σ")
    table = {"energy_low_tev": edges[:-1], "energy_high_tev": edges[1:], "observed": counts.observed}
    table |= {f"expected_{name}": row for name, row in zip(_LEVELS, counts.expected, strict=True)}
    return figure, pd.DataFrame(table | {"model": model, "sigma": pull} | dict(counts.components))


_LEVELS = ("q2.5", "q16", "q50", "q84", "q97.5")


def steps(edges: Array) -> Array:
    """Return the places of a curve of steps, (2 K,), for edges (K + 1,)."""
    return np.repeat(edges, 2)[1:-1]


def double(values: Array) -> Array:
    """Return the heights of a curve of steps, (2 K,), for values (K,)."""
    return np.repeat(values, 2)


def plot_images(counts: ImageCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot events on the sky and what all components explain, linear and logarithmic, and the residuals.

    Returns
    -------
    the figure, and its numbers by pixel
    """
    model, sigma = counts.model, counts.smoothed_sigma
    left = counts.smooth(counts.observed) - counts.smooth(model)
    high = float(max(counts.observed.max(), model.max(), 1.0))
    with use_style():
        figure, axes = new_figure(9.6, 5.7, 2, 3, sharex=True, sharey=True)
        for number, (values, title) in enumerate(((counts.observed, "events"), (model, "model"))):
            drawn = draw_image(axes[number], counts, counts.grid(values), 0.0, high)
            finish_image(axes[number], f"{title}, linear scale", first=number == 0, last=False)
            figure.colorbar(drawn, ax=axes[number], fraction=0.046, label="events per pixel")
            _draw_logarithmic(axes[3 + number], counts, counts.grid(values), high)
            finish_image(axes[3 + number], f"{title}, log scale", first=number == 0)
        drawn = draw_diverging(axes[2], counts, left, float(max(np.abs(left).max(), 1.0)))
        finish_image(axes[2], "events – model, 3 × 3 pixels", last=False)
        figure.colorbar(drawn, ax=axes[2], fraction=0.046, label="events in 3 × 3 pixels")
        drawn = draw_diverging(axes[5], counts, sigma, 5.0)
        finish_image(axes[5], "residual, 3 × 3 pixels")
        figure.colorbar(drawn, ax=axes[5], fraction=0.046, label="σ")
    columns = {"observed": counts.observed, "model": model, "excess_3x3": left.ravel(), "sigma_3x3": sigma.ravel()}
    return figure, pixel_table(counts, columns)


def plot_components(counts: ImageCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot each component on the sky, as the instrument sees it.

    Returns
    -------
    the figure, and its numbers by pixel
    """
    names = list(counts.components)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with use_style():
        figure, axes = new_figure(9.6, 2.9 * rows, rows, columns, sharey=True)
        for number, axis in enumerate(axes):
            if number >= len(names):
                axis.set_axis_off()
                continue
            values = counts.grid(counts.components[names[number]])
            _draw_logarithmic(axis, counts, values, float(max(values.max(), 1e-12)))
            finish_image(axis, names[number].replace("_", " "), first=number % columns == 0)
    return figure, pixel_table(counts, dict(counts.components))


def draw_image(axis: Axes, counts: ImageCounts, values: Array, low: float, high: float) -> QuadMesh:
    """Draw values (latitude, longitude) on a linear scale."""
    return axis.pcolormesh(
        counts.lon_edges_deg, counts.lat_edges_deg, values, cmap="cividis", vmin=low, vmax=high, rasterized=True
    )


def draw_diverging(axis: Axes, counts: ImageCounts, values: Array, limit: float) -> QuadMesh:
    """Draw values (latitude, longitude) of either sign on a scale that is white at zero."""
    return axis.pcolormesh(
        counts.lon_edges_deg, counts.lat_edges_deg, values, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True
    )


def _draw_logarithmic(axis: Axes, counts: ImageCounts, values: Array, high: float) -> None:
    """Draw values (latitude, longitude) on a logarithmic scale, with its bar."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    low = max(high / 1000.0, min(0.5, high / 10.0))
    shown = np.maximum(values, low)
    drawn = axis.pcolormesh(
        counts.lon_edges_deg, counts.lat_edges_deg, shown, cmap="cividis", norm=LogNorm(low, high), rasterized=True
    )
    figure = axis.figure
    assert isinstance(figure, Figure)  # noqa: S101 - narrows the type
    bar = figure.colorbar(drawn, ax=axis, fraction=0.046, label="events per pixel")
    set_plain_log(bar.ax.yaxis, labels=(1,) if high / low > 30.0 else (1, 2, 5))


def finish_image(axis: Axes, title: str, *, first: bool = False, last: bool = True) -> None:
    """Give a picture of the sky its title, and labels on the outer axes of its row (first) and column (last)."""
    axis.set_title(title, fontsize="medium")
    axis.set_aspect("equal")
    # Galactic longitude rises to the left, as on the sky.
    if not axis.xaxis_inverted():
        axis.invert_xaxis()
    if last:
        axis.set_xlabel("l, deg")
    if first:
        axis.set_ylabel("b, deg")


def pixel_table(counts: ImageCounts, columns: Mapping[str, Array]) -> pd.DataFrame:
    """Return columns (pixel,) beside the directions of the pixels' centres."""
    import pandas as pd

    lon = 0.5 * (counts.lon_edges_deg[1:] + counts.lon_edges_deg[:-1])
    lat = 0.5 * (counts.lat_edges_deg[1:] + counts.lat_edges_deg[:-1])
    return pd.DataFrame({"lon_deg": np.tile(lon, len(lat)), "lat_deg": np.repeat(lat, len(lon)), **columns})
