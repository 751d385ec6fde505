"""Source counts of a population: dN/dF and the number of sources above each flux, with their bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import MUTED, TRUTH, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SourceCounts", "plot_source_counts"]

Array = NDArray[np.float64]
_DECADES = 5


@dataclass(frozen=True)
class SourceCounts:
    """Quantiles (5, n) at 2.5, 16, 50, 84 and 97.5 % of F^2 dN/dF and of sources above F, at fluxes (n,).

    ``truth`` (2, n) where it is known; ``one_photon`` and ``brightest``: fluxes of one photon and of the largest count.
    """

    flux: Array
    density: Array
    number: Array
    one_photon: float
    brightest: float
    truth: Array | None = None


def plot_source_counts(counts: SourceCounts, colour: str) -> tuple[Figure, pd.DataFrame]:
    """Plot median, 68 and 95 % bands of F^2 dN/dF and of the number of sources above F.

    Returns
    -------
    the figure, and its numbers
    """
    import pandas as pd

    table: dict[str, Array] = {"flux_cm-2_s-1": counts.flux}
    panels = (
        ("density", counts.density, "F² dN/dF, cm⁻² s⁻¹ deg⁻²", "Light per interval of ln F"),
        ("number_above", counts.number, "sources above F, deg⁻²", "Sources above each flux"),
    )
    with use_style():
        figure, axes = new_figure(9.6, 3.9, 1, 2)
        for k, (place, (name, bands, label, title)) in enumerate(zip(axes, panels, strict=True)):
            place.fill_between(counts.flux, bands[0], bands[4], color=colour, alpha=0.18, linewidth=0, label="95 %")
            place.fill_between(counts.flux, bands[1], bands[3], color=colour, alpha=0.38, linewidth=0, label="68 %")
            place.plot(counts.flux, bands[2], color=colour, label="median")
            if counts.truth is not None:
                place.plot(counts.flux, counts.truth[k], color=TRUTH, linewidth=1.2, label="truth")
                table[f"{name}_truth"] = counts.truth[k]
            place.axvline(counts.one_photon, color=MUTED, linewidth=1.0, linestyle="dashed", label="one photon")
            place.axvline(counts.brightest, color=MUTED, linewidth=1.0, linestyle="dotted", label="largest count")
            place.set_xscale("log")
            place.set_yscale("log")
            top = float(max(bands[4].max(), 1e-300))
            place.set_ylim(top / 10**_DECADES, 2 * top)
            place.set_xlabel("flux F, cm⁻² s⁻¹")
            place.set_ylabel(label)
            place.set_title(title)
            for level, row in zip(("q2.5", "q16", "q50", "q84", "q97.5"), bands, strict=True):
                table[f"{name}_{level}"] = row
        axes[0].legend(loc="best")
    return figure, pd.DataFrame(table)
