"""The response of a telescope as pictures: effective area, point-spread function, energy dispersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import COLOURS, INK, MUTED, assign_colours, new_figure, set_plain_log, use_style

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from skysift.instruments.ctao.curves import ResponseCurves

__all__ = ["plot_efficiency", "plot_migration", "plot_response"]

Array = NDArray[np.float64]


def plot_response(curves: ResponseCurves) -> tuple[Figure, pd.DataFrame]:
    """Plot effective area, PSF radii, energy bias and resolution over true energy, one line per offset.

    Parameters
    ----------
    curves : of one response

    Returns
    -------
    the figure, and its numbers: one row per offset and energy
    """
    import pandas as pd
    from matplotlib.lines import Line2D

    colours = _graded(len(curves.offsets_deg))
    with use_style():
        figure, axes = new_figure(9.6, 5.6, 2, 2, sharex=True)
        for number, offset in enumerate(curves.offsets_deg):
            line: dict[str, Any] = {"color": colours[number], "label": f"{offset:g}"}
            area = 1e-6 * curves.area_m2[number]
            axes[0].plot(curves.energies_tev, np.where(area > 0, area, np.nan), **line)
            for radii, style in zip(curves.containment_deg[number], ("solid", "dashed"), strict=True):
                axes[1].plot(curves.energies_tev, radii, linestyle=style, **line)
            axes[2].plot(curves.energies_tev, 100 * curves.bias[number], **line)
            axes[3].plot(curves.energies_tev, 100 * curves.resolution[number], **line)
        axes[0].set_title("effective area")
        axes[0].set_ylabel("km²")
        axes[1].set_title("point-spread function: radius that holds a share")
        axes[1].set_ylabel("deg")
        shares = [Line2D([], [], color=INK, linestyle=style) for style in ("solid", "dashed")]
        axes[1].legend(shares, ["68 %", "95 %"], loc="upper right")
        axes[2].set_title("energy bias: median of $E_r / E_t - 1$")
        axes[2].axhline(0, color=MUTED, linewidth=0.8)
        axes[2].set_ylabel("%")
        low, high = axes[2].get_ylim()
        axes[2].set_ylim(min(low, -1.0), max(high, 1.0))
        axes[3].set_title("energy resolution: half of the central 68 %")
        axes[3].set_ylabel("%")
        axes[3].set_ylim(0, None)
        for axis in axes[:2]:
            set_plain_log(axis.yaxis, labels=(1, 2, 5))
        for axis in axes[2:]:
            axis.set_xlabel("true energy, TeV")
            set_plain_log(axis.xaxis)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, title="offset, deg", loc="outside right center")
    size = len(curves.energies_tev)
    table = {
        "offset_deg": np.repeat(curves.offsets_deg, size),
        "energy_tev": np.tile(curves.energies_tev, len(curves.offsets_deg)),
        "area_km2": 1e-6 * curves.area_m2.ravel(),
        "radius_68_deg": curves.containment_deg[:, 0].ravel(),
        "radius_95_deg": curves.containment_deg[:, 1].ravel(),
        "bias": curves.bias.ravel(),
        "resolution": curves.resolution.ravel(),
    }
    return figure, pd.DataFrame(table)


def plot_migration(curves: ResponseCurves) -> tuple[Figure, pd.DataFrame]:
    """Plot where events of a true energy are reconstructed: the density of ln E_r, at one offset.

    Returns
    -------
    the figure, and the density: one row per true and reconstructed energy
    """
    import pandas as pd
    from matplotlib.colors import PowerNorm

    true, seen, density = curves.energies_tev, curves.reconstructed_tev, curves.migration
    with use_style():
        figure, axes = new_figure(9.6, 3.9, 1, 2)
        matrix, cuts = axes
        drawn = matrix.pcolormesh(
            true, seen, density.T, cmap="cividis", norm=PowerNorm(0.5, 0.0, float(density.max())), rasterized=True
        )
        matrix.plot(true, true, color="white", linewidth=0.8, linestyle="dashed")
        matrix.set_title(f"energy dispersion, offset {curves.migration_offset_deg:g} deg")
        matrix.set_xlabel("true energy, TeV")
        matrix.set_ylabel("reconstructed energy, TeV")
        for axis in (matrix.xaxis, matrix.yaxis):
            set_plain_log(axis)
        figure.colorbar(drawn, ax=matrix, label="density of ln $E_r$")
        chosen = np.linspace(0, len(true) - 1, 7).round().astype(int)[1:-1]
        for number, colour in zip(chosen, _graded(len(chosen)), strict=True):
            cuts.plot(seen / true[number], density[number], color=colour, label=f"{true[number]:.2g}")
        cuts.axvline(1, color=MUTED, linewidth=0.8)
        cuts.set_xlim(0.3, 1.8)
        cuts.set_ylim(0, None)
        cuts.set_xlabel("reconstructed over true energy")
        cuts.set_ylabel("density of ln $E_r$")
        cuts.set_title("cuts through it")
        cuts.legend(title="true energy, TeV", loc="upper right")
    rows = {"true_tev": np.repeat(true, len(seen)), "reconstructed_tev": np.tile(seen, len(true))}
    return figure, pd.DataFrame(rows | {"density_per_ln_energy": density.ravel()})


def plot_efficiency(
    edges_tev: Array, arriving: Mapping[str, Array], efficiency: Mapping[str, Array]
) -> tuple[Figure, pd.DataFrame]:
    """Plot what arrives of each source at true energies, and the share that is reconstructed within the axes.

    Parameters
    ----------
    edges_tev : (E + 1,)
    arriving : source to events (E,)
    efficiency : source to share (E,), NaN where nothing arrives

    Returns
    -------
    the figure, and its numbers by energy
    """
    import pandas as pd

    middle = np.sqrt(edges_tev[1:] * edges_tev[:-1])
    colours = assign_colours(arriving)
    with use_style():
        figure, (left, right) = new_figure(9.6, 3.3, 1, 2, sharex=True)
        for name, counts in arriving.items():
            label = name.replace("_", " ")
            drawn = np.where(counts > 0, counts, np.nan)
            left.stairs(drawn, edges_tev, color=colours[name], label=label)
            left.stairs(
                np.where(counts > 0, counts * np.nan_to_num(efficiency[name]), np.nan), edges_tev, color=colours[name],
                alpha=0.3, fill=True,
            )  # fmt: skip
            right.plot(middle, 100 * efficiency[name], color=colours[name], label=label)
        top = max(float(counts.max()) for counts in arriving.values())
        left.set_yscale("log")
        left.set_ylim(max(top * 1e-5, 1e-3), 2 * top)
        left.set_ylabel("events per bin")
        left.set_title("arriving (line) and within the axes (filled)")
        left.legend(loc="lower left")
        right.set_ylim(0, 102)
        right.set_ylabel("%")
        right.set_title("efficiency: share reconstructed within the axes")
        for axis in (left, right):
            axis.set_xlabel("true energy, TeV")
            set_plain_log(axis.xaxis)
    table = {"energy_low_tev": edges_tev[:-1], "energy_high_tev": edges_tev[1:]}
    table |= {f"arriving_{name}": counts for name, counts in arriving.items()}
    return figure, pd.DataFrame(table | {f"efficiency_{name}": share for name, share in efficiency.items()})


def _graded(count: int) -> list[str]:
    """Return colours that go from dark to light in order; the usual ones where there are few."""
    import matplotlib as mpl

    if count <= 1:
        return list(COLOURS[:count])
    palette = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, count))
    return [mpl.colors.to_hex(colour) for colour in palette]
