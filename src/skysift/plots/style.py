"""One look for every figure: colour-blind safe, units on axes, the numbers beside the picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skysift.storage.atomic import replace_when_done

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "INK",
    "MUTED",
    "TRUTH",
    "assign_colours",
    "new_figure",
    "save_figure",
    "set_plain_log",
    "use_style",
]

# Okabe and Ito (2008): distinguishable with every common form of colour blindness. Black is kept for the truth.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C7A00", "#5B5B5B")
TRUTH = "#000000"
INK = "#222222"
MUTED = "#8A8A8A"

PNG_DPI = 150
SETTINGS: dict[str, Any] = {
    "figure.dpi": 100,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "image.interpolation": "nearest",
    "mathtext.default": "regular",
    "svg.hashsalt": "skysift",
}


@contextmanager
def use_style() -> Iterator[None]:
    """Draw with skysift's settings inside this block."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stubs are narrower
        yield


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, layout: str | None = "constrained", **settings: object
) -> tuple[Figure, list[Axes]]:
    """Make a figure of ``width`` x ``height`` inches and its axes, row by row; no window is ever opened."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # the stubs are narrower
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **settings)  # type: ignore[call-overload]
    return figure, list(np.asarray(grid).ravel())


def set_plain_log(axis: Axis, labels: tuple[int, ...] = (1,)) -> None:
    """Make an axis of a plot logarithmic, with numbers as people write them, at these multiples of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    name = axis.axis_name  # type: ignore[attr-defined]  # the stubs lack it
    getattr(axis.axes, f"set_{name}scale")("log")
    axis.set_major_locator(LogLocator(10, subs=labels))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def assign_colours(names: Iterable[str]) -> dict[str, str]:
    """Give each name its colour, in order; the same names get the same colours in every figure.

    Examples
    --------
    >>> assign_colours(["mvn", "hmc"])
    {'mvn': '#0072B2', 'hmc': '#D55E00'}
    """
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}


def save_figure(figure: Figure, stem: Path, table: pd.DataFrame) -> list[Path]:
    """Write a figure as PNG and SVG, and its numbers as CSV, each whole or not at all.

    Parameters
    ----------
    figure : drawn with `new_figure`
    stem : path without ending
    table : the numbers that the figure shows

    Returns
    -------
    the three paths: PNG, SVG, CSV
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    written = []
    with use_style():
        _settle(figure)
        for ending in ("png", "svg", "csv"):
            final = stem.with_name(f"{stem.name}.{ending}")
            with replace_when_done(final) as partial:
                if ending == "csv":
                    table.to_csv(partial, index=False, float_format="%.8g")
                elif ending == "svg":
                    # No date inside: the same numbers make the same file.
                    FigureCanvasSVG(figure).print_svg(partial, metadata={"Date": None})  # type: ignore[no-untyped-call]
                else:
                    partial.write_bytes(_encode_png(figure))
            written.append(final)
    return written


def _settle(figure: Figure) -> None:
    """Lay out once and for all formats; the second pass settles what labels of the first one moved."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine("none")


def _encode_png(figure: Figure) -> bytes:
    """Return the figure as PNG of 256 colours: a third of the bytes, for pages that carry it inside."""
    from PIL import Image

    dots = figure.dpi
    figure.set_dpi(PNG_DPI)
    canvas = figure.canvas
    canvas.draw()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")  # type: ignore[attr-defined]
    figure.set_dpi(dots)
    stream = io.BytesIO()
    # two rounds of k-means: without them colour scales come in steps
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few.save(stream, "PNG", dpi=(PNG_DPI, PNG_DPI))
    return stream.getvalue()
