"""How the engines got there: ELBO and other traces by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.plots.style import assign_colours, new_figure, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_traces"]

POINTS = 2000


def plot_traces(
    traces: Mapping[str, NDArray[np.float64]], label: str, notes: Mapping[str, str] | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Plot one curve per fit against its step, and the last half again on its own scale.

    Parameters
    ----------
    traces : fit to (step,) or (restart, step)
    label : of the vertical axis, with unit
    notes : fit to what a reader must know about it

    Returns
    -------
    the figure, and the curves (at most 2000 points each)
    """
    import pandas as pd

    colours = assign_colours(traces)
    notes = notes or {}
    rows = []
    with use_style():
        figure, axes = new_figure(9.6, 3.2, 1, 2)
        for fit, given in traces.items():
            text = f"{fit} ({notes[fit]})" if notes.get(fit) else fit
            for k, curve in enumerate(np.atleast_2d(given)):
                step = np.unique(np.linspace(0, curve.size - 1, min(curve.size, POINTS)).astype(int))
                settings: dict[str, Any] = {"color": colours[fit], "linewidth": 0.9, "alpha": 0.85}
                axes[0].plot(step, curve[step], label=text if k == 0 else None, **settings)
                late = step[step >= curve.size // 2]
                axes[1].plot(late / max(curve.size - 1, 1), curve[late], **settings)
                rows.append(pd.DataFrame({"fit": fit, "restart": k, "step": step, "value": curve[step]}))
        axes[0].set_xlabel("step")
        axes[0].set_ylabel(label)
        axes[0].set_title("Whole run")
        _focus(axes[0], traces)
        axes[1].set_xlabel("share of the run")
        axes[1].set_title("Last half")
        axes[0].legend(loc="lower right")
    return figure, pd.concat(rows, ignore_index=True)


def _focus(axes: object, traces: Mapping[str, NDArray[np.float64]]) -> None:
    """Keep a few wild first steps from flattening the rest."""
    finite = np.concatenate([np.ravel(t)[np.isfinite(np.ravel(t))] for t in traces.values()])
    low, high = np.quantile(finite, [0.03, 1.0])
    margin = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)  # type: ignore[attr-defined]  # the stubs lack it
