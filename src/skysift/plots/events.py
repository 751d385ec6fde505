"""Events as pictures: how many in each energy bin and where on the sky, beside what each component explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import INK, MUTED, assign_colours, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

__all__ = ["EnergyCounts", "ImageCounts", "plot_components", "plot_energies", "plot_images"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EnergyCounts:
    """Events in energy bins.

    ``edges_tev`` (K + 1,), ``observed`` (K,), ``expected`` (5, K): 2.5, 16, 50, 84, 97.5 % quantiles of predicted
    events, ``components``: name to mean (K,).
    """

    edges_tev: Array
    observed: Array
    expected: Array
    components: Mapping[str, Array]


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

    @property
    def smoothed_sigma(self) -> Array:
        """(observed - expected) / sqrt(expected), both summed over 3 x 3 pixels, (latitude, longitude)."""
        from scipy.ndimage import uniform_filter

        seen, model = (self.grid(part) for part in (self.observed, self.model))
        both = [9.0 * uniform_filter(np.asarray(part, dtype=np.float64), 3, mode="constant") for part in (seen, model)]
        return np.asarray((both[0] - both[1]) / np.sqrt(np.maximum(both[1], 1e-9)))


def plot_energies(counts: EnergyCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot events by energy, linear and logarithmic, with residuals below.

    Returns
    -------
    the figure, and its numbers
    """
    import pandas as pd

    edges, middle = counts.edges_tev, np.sqrt(counts.edges_tev[1:] * counts.edges_tev[:-1])
    colours = assign_colours(counts.components)
    model = np.asarray(sum(counts.components.values()))
    with use_style():
        figure, axes = new_figure(9.6, 4.6, 2, 2, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        for axis, scale in zip(axes[:2], ("linear", "log"), strict=True):
            axis.fill_between(
                _steps(edges), _double(counts.expected[0]), _double(counts.expected[4]), color=MUTED, alpha=0.35,
                linewidth=0, label="95 %",
            )  # fmt: skip
            for name, part in counts.components.items():
                axis.plot(_steps(edges), _double(part), color=colours[name], label=name.replace("_", " "))
            axis.plot(_steps(edges), _double(model), color=INK, linewidth=0.8, label="all")
            axis.errorbar(
                middle, counts.observed, np.sqrt(np.maximum(counts.observed, 1)), fmt="o", markersize=2.5, color=INK,
                linewidth=0.8, label="events",
            )  # fmt: skip
            axis.set_yscale(scale)
            if scale == "log":
                axis.set_ylim(0.3, None)
        axes[0].set_ylabel("events per bin")
        axes[0].legend(fontsize="small")
        pull = (counts.observed - model) / np.sqrt(np.maximum(model, 1e-9))
        for axis in axes[2:]:
            axis.axhline(0, color=MUTED, linewidth=0.8)
            axis.plot(middle, np.where(np.asarray(model) > 0.3, pull, np.nan), "o", markersize=2.5, color=INK)
            axis.set_xscale("log")
            axis.set_xlabel("reconstructed energy, TeV")
            axis.set_ylim(-4.5, 4.5)
        axes[2].set_ylabel("residual, sigma")
    table = {"energy_low_tev": edges[:-1], "energy_high_tev": edges[1:], "observed": counts.observed}
    table |= {f"expected_{name}": row for name, row in zip(_LEVELS, counts.expected, strict=True)}
    return figure, pd.DataFrame(table | dict(counts.components))


_LEVELS = ("q2.5", "q16", "q50", "q84", "q97.5")


def _steps(edges: Array) -> Array:
    return np.repeat(edges, 2)[1:-1]


def _double(values: Array) -> Array:
    return np.repeat(values, 2)


def plot_images(counts: ImageCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot events on the sky, what all components explain, and the residual.

    Returns
    -------
    the figure, and its numbers by pixel
    """
    model = counts.model
    sigma = counts.smoothed_sigma
    with use_style():
        figure, axes = new_figure(9.6, 3.4, 1, 3)
        high = float(max(counts.observed.max(), model.max(), 1.0))
        titles = ("events", "model", "residual, 3 × 3 pixels")
        for number, (axis, title) in enumerate(zip(axes, titles, strict=True)):
            values = (counts.grid(counts.observed), counts.grid(model), sigma)[number]
            if number < 2:
                drawn = _draw_logarithmic(axis, counts, values, high)
            else:
                drawn = axis.pcolormesh(
                    counts.lon_edges_deg, counts.lat_edges_deg, values, cmap="RdBu_r", vmin=-5, vmax=5, rasterized=True
                )
            _finish(axis, title, first=number == 0)
            figure.colorbar(drawn, ax=axis, fraction=0.046, label="events per pixel" if number < 2 else "sigma")
    return figure, _pixel_table(counts, {"observed": counts.observed, "model": model, "sigma_3x3": sigma.ravel()})


def plot_components(counts: ImageCounts) -> tuple[Figure, pd.DataFrame]:
    """Plot each component on the sky, as the instrument sees it.

    Returns
    -------
    the figure, and its numbers by pixel
    """
    names = list(counts.components)
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with use_style():
        figure, axes = new_figure(2.6 * columns + 0.6, 2.7 * rows, rows, columns)
        for number, axis in enumerate(axes):
            if number >= len(names):
                axis.set_axis_off()
                continue
            values = counts.grid(counts.components[names[number]])
            drawn = _draw_logarithmic(axis, counts, values, float(values.max()))
            _finish(axis, names[number].replace("_", " "), first=number % columns == 0)
            figure.colorbar(drawn, ax=axis, fraction=0.046, label="events per pixel")
    return figure, _pixel_table(counts, dict(counts.components))


def _draw_logarithmic(axis: Axes, counts: ImageCounts, values: Array, high: float) -> QuadMesh:
    from matplotlib.colors import LogNorm

    low = max(high / 1000.0, min(0.5, high / 10.0))
    shown = np.maximum(values, low)
    return axis.pcolormesh(
        counts.lon_edges_deg, counts.lat_edges_deg, shown, cmap="cividis", norm=LogNorm(low, high), rasterized=True
    )


def _finish(axis: Axes, title: str, *, first: bool) -> None:
    axis.set_title(title, fontsize="medium")
    axis.set_aspect("equal")
    # Galactic longitude rises to the left, as on the sky.
    axis.invert_xaxis()
    axis.set_xlabel("l, deg")
    if first:
        axis.set_ylabel("b, deg")


def _pixel_table(counts: ImageCounts, columns: Mapping[str, Array]) -> pd.DataFrame:
    import pandas as pd

    lon = 0.5 * (counts.lon_edges_deg[1:] + counts.lon_edges_deg[:-1])
    lat = 0.5 * (counts.lat_edges_deg[1:] + counts.lat_edges_deg[:-1])
    return pd.DataFrame({"lon_deg": np.tile(lon, len(lat)), "lat_deg": np.repeat(lat, len(lon)), **columns})
