"""Ranks of truths among posterior draws: how far they stray from uniform, and what intervals and regions hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skysift.diagnostics.bands import count_below, make_ecdf_band
from skysift.diagnostics.coverage import LEVELS, binomial_tolerance
from skysift.plots.style import COLOURS, MUTED, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from skysift.diagnostics.calibration import Calibration

__all__ = ["plot_ranks"]

STYLES = ("-", "--", ":", "-.")


def plot_ranks(found: Calibration, labels: tuple[str, ...]) -> tuple[Figure, pd.DataFrame]:
    """Plot the ranks' distribution minus uniform with its 99 % band, and coverage minus nominal with 3 sigma.

    Beside them the coverage of joint regions minus their level with its 99 % bootstrap band, which must hold zero.

    Parameters
    ----------
    found : calibration of one fit
    labels : of its quantities

    Returns
    -------
    the figure, and the distribution: rank and one column for each quantity
    """
    import pandas as pd

    band = make_ecdf_band(found.count, 0.99)
    share = np.stack([count_below(column, band.points) / found.count for column in found.uniforms.T], 1)
    with use_style():
        figure, (left, right, last) = new_figure(12.6, 3.9, 1, 3)
        left.fill_between(
            band.points, band.lower - band.points, band.upper - band.points, color=MUTED, alpha=0.25, lw=0,
            label="99 % of uniform ranks",
        )  # fmt: skip
        left.axhline(0, color=MUTED, lw=0.8)
        for k, label in enumerate(labels):
            left.step(
                band.points, share[:, k] - band.points, where="mid", color=COLOURS[k % len(COLOURS)],
                ls=STYLES[k // len(COLOURS) % len(STYLES)], label=label,
            )  # fmt: skip
        left.set(xlabel="rank of the truth / draws", ylabel="share of truths below, minus uniform", xlim=(0, 1))
        left.set_title(f"Ranks of {found.count} truths")
        _draw_coverage(right, found)
        _draw_joint(last, found)
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)))
    frame = pd.DataFrame({"rank": band.points, "band_low": band.lower, "band_high": band.upper})
    return figure, frame.assign(**{name: share[:, k] for k, name in enumerate(found.names)})


def _draw_coverage(place: Axes, found: Calibration) -> None:
    at = np.arange(len(LEVELS))
    spread = 100 * np.array([binomial_tolerance(level, found.count) for level in LEVELS])
    place.bar(at, 2 * spread, 0.8, -spread, color=MUTED, alpha=0.25)
    place.axhline(0, color=MUTED, lw=0.8)
    many = len(found.names)
    for k in range(many):
        offset = 0.7 * ((k + 0.5) / many - 0.5)
        excess = 100 * (found.coverage[:, k] - LEVELS)
        place.plot(at + offset, excess, "o", ms=4, color=COLOURS[k % len(COLOURS)])
    place.set(xlabel="credible interval", ylabel="truths inside, minus level (%)")
    place.set_xticks(at, [f"{100 * level:.0f} %" for level in LEVELS])
    place.set_title("Coverage (bars: 3 sigma)")


def _draw_joint(place: Axes, found: Calibration) -> None:
    joint = found.joint
    place.fill_between(
        joint.levels, 100 * (joint.lower - joint.levels), 100 * (joint.upper - joint.levels), color=MUTED, alpha=0.25,
        lw=0,
    )  # fmt: skip
    place.axhline(0, color=MUTED, lw=0.8)
    place.plot(joint.levels, 100 * (joint.coverage - joint.levels), "o-", ms=3, color=COLOURS[0])
    place.set(xlabel="credibility of joint regions", ylabel="truths inside, minus level (%)", xlim=(0, 1))
    place.set_title("Joint coverage (band: 99 % bootstrap)")
