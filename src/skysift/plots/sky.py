"""Pictures of a part of the sky: HEALPix pixels on a small grid in Galactic longitude and latitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.pixels import find_pixels, ring_vectors
from skysift.geometry.sphere import lonlat_deg, unit_vectors
from skysift.plots.style import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SkyImage", "SkyView", "draw_sky", "find_directions", "frame_pixels", "new_sky_panels", "rasterise"]

# Inches: two panels side by side, each with its bar, and room for what is written around them.
WIDTH, LEFT, BETWEEN, RIGHT = 9.6, 0.72, 0.5, 0.7
TITLE, TICKS, LABEL = 0.3, 0.28, 0.24
BAR_GAP, BAR_WIDTH = 0.08, 0.13
STEPS_DEG = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True)
class SkyView:
    """A window on the sky: centre and half sizes in degrees, and how the sphere is laid flat.

    ``cartesian``: longitude and latitude as they are; ``gnomonic``: tangent plane, for windows away from the plane.
    """

    center_deg: tuple[float, float]
    half_width_deg: float
    half_height_deg: float
    projection: str

    def grid(self, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return x, y (degrees from the centre, x to the left) and the (rows, columns) shape of a raster."""
        pixel = 2 * max(self.half_width_deg, self.half_height_deg) / size
        columns = max(2, round(2 * self.half_width_deg / pixel))
        rows = max(2, round(2 * self.half_height_deg / pixel))
        x = self.half_width_deg * (1 - 2 * (np.arange(columns) + 0.5) / columns)
        y = self.half_height_deg * (2 * (np.arange(rows) + 0.5) / rows - 1)
        return x, y, np.array([rows, columns])

    def to_sky(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Turn offsets (degrees) into longitude and latitude (degrees); nan beyond a pole."""
        lon0, lat0 = self.center_deg
        if self.projection == "cartesian":
            lat = np.where(np.abs(lat0 + y) <= 90, lat0 + y, np.nan)
            return np.mod(lon0 + x, 360.0), lat
        u, v = np.tan(np.radians(x)), np.tan(np.radians(y))
        lat0_rad = np.radians(lat0)
        norm = np.sqrt(1 + u**2 + v**2)
        lat = np.arcsin((np.sin(lat0_rad) + v * np.cos(lat0_rad)) / norm)
        lon = np.arctan2(u, np.cos(lat0_rad) - v * np.sin(lat0_rad))
        return np.mod(lon0 + np.degrees(lon), 360.0), np.degrees(lat)


@dataclass(frozen=True)
class SkyImage:
    """A raster of one map: ``values`` (row, column), nan outside the pixels, and its view."""

    view: SkyView
    values: NDArray[np.float64]


def find_directions(nside: int, pixels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Galactic longitude in [0, 360) and latitude of the centres of RING pixels, degrees."""
    lon, lat = lonlat_deg(ring_vectors(nside, pixels))
    return np.mod(lon, 360.0), lat


def frame_pixels(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], margin_deg: float = 1.0) -> SkyView:
    """Choose the window that shows all the given pixel centres.

    Parameters
    ----------
    lon_deg, lat_deg : (pixel,), Galactic
    margin_deg : empty border

    Returns
    -------
    SkyView, gnomonic for small windows far from the plane, else cartesian
    """
    angle = np.radians(lon_deg)
    center = np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
    offset = np.mod(lon_deg - center + 180, 360) - 180
    lon0 = float(np.mod(center + 0.5 * (offset.min() + offset.max()), 360))
    lat0 = float(0.5 * (lat_deg.min() + lat_deg.max()))
    half_height = float(0.5 * np.ptp(lat_deg)) + margin_deg
    if abs(lat0) > 30 and half_height < 40:
        half = half_height
        return SkyView((lon0, lat0), half, half, "gnomonic")
    half_width = min(180.0, float(0.5 * np.ptp(offset)) + margin_deg)
    return SkyView((lon0, lat0), half_width, min(half_height, 90.0), "cartesian")


def rasterise(
    view: SkyView, pixels: NDArray[np.int64], nside: int, values: NDArray[np.float64], size: int = 480
) -> SkyImage:
    """Lay the values of RING pixels on a raster of the view.

    Parameters
    ----------
    pixels : (pixel,), RING numbers, ascending
    values : (pixel,)
    size : raster points along the longer side

    Returns
    -------
    SkyImage; nan where no pixel is given
    """
    x, y, _ = view.grid(size)
    lon, lat = view.to_sky(*np.meshgrid(x, y))
    image = np.full(lon.shape, np.nan)
    valid = np.isfinite(lat)
    index = find_pixels(nside, unit_vectors(lon[valid], lat[valid]))
    place = np.minimum(np.searchsorted(pixels, index), pixels.size - 1)
    image[valid] = np.where(pixels[place] == index, values[place], np.nan)
    return SkyImage(view, image)


def new_sky_panels(view: SkyView, rows: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Make a figure of ``rows`` times two panels with the shape of the view, and axes for a bar beside each.

    The places follow from the view alone: nothing has to be measured, which is what laying out spends its time on.

    Returns
    -------
    the figure, and row by row its panels, each with the axes of its bar
    """
    panel = 0.5 * (WIDTH - LEFT - BETWEEN - 2 * (BAR_GAP + BAR_WIDTH + RIGHT))
    high = panel * view.half_height_deg / view.half_width_deg
    height = rows * (TITLE + high + TICKS) + LABEL
    figure, panels = new_figure(WIDTH, height, rows, 2, layout=None)
    bars = []
    for k, place in enumerate(panels):
        left = LEFT + (k % 2) * (panel + BAR_GAP + BAR_WIDTH + RIGHT + BETWEEN)
        bottom = LABEL + (rows - 1 - k // 2) * (TITLE + high + TICKS) + TICKS
        place.set_position((left / WIDTH, bottom / height, panel / WIDTH, high / height))
        beside = (left + panel + BAR_GAP) / WIDTH
        bars.append(figure.add_axes((beside, bottom / height, BAR_WIDTH / WIDTH, high / height)))
    return figure, list(zip(panels, bars, strict=True))


def _ticks(low: float, high: float, wanted: int = 5) -> NDArray[np.float64]:
    step = next((s for s in STEPS_DEG if (high - low) / s <= wanted), STEPS_DEG[-1])
    return np.arange(np.ceil(low / step) * step, high + 1e-9, step)


def _draw_cartesian_axes(axes: Axes, view: SkyView) -> None:
    lon0, lat0 = view.center_deg
    lon0 = lon0 - 360 if lon0 > 180 else lon0
    lon = _ticks(lon0 - view.half_width_deg, lon0 + view.half_width_deg)
    lat = _ticks(lat0 - view.half_height_deg, lat0 + view.half_height_deg)
    axes.set_xticks(lon - lon0, [f"{np.mod(v, 360):g}°" for v in lon])
    axes.set_yticks(lat - lat0, [f"{v:g}°" for v in lat])
    axes.grid(True, color="#777777", linewidth=0.4, alpha=0.6)


def _draw_gnomonic_axes(axes: Axes, view: SkyView) -> None:
    x, y, _ = view.grid(200)
    lon, lat = view.to_sky(*np.meshgrid(x, y))
    lon0 = view.center_deg[0]
    turned = np.mod(lon - lon0 + 180, 360) - 180
    lines: dict[str, Any] = {"colors": "#777777", "linewidths": 0.4, "alpha": 0.8}
    for values, levels, shift in (
        (lat, _ticks(float(lat.min()), float(lat.max())), 0.0),
        (turned, _ticks(float(lon0 + turned.min()), float(lon0 + turned.max())) - lon0, lon0),
    ):
        # A jump of a full turn, beyond a pole, is not a line of longitude.
        shown = np.where(np.abs(values) < 179, values, np.nan)
        drawn = axes.contour(x, y, shown, levels=levels, **lines)
        axes.clabel(drawn, fmt=lambda v, s=shift: f"{np.mod(v + s, 360) if s else v:g}°", fontsize=7)
    axes.set_xticks([])
    axes.set_yticks([])


def draw_sky(axes: Axes, bar_axes: Axes, image: SkyImage, label: str, **settings: Any) -> None:  # noqa: ANN401 - imshow's own
    """Draw a raster with Galactic coordinates, longitude growing to the left, and a colour bar with its unit.

    Parameters
    ----------
    bar_axes : of the colour bar
    label : of the colour bar, with unit
    settings : handed to imshow (cmap, norm, vmin, vmax)
    """
    view = image.view
    half_w, half_h = view.half_width_deg, view.half_height_deg
    extent = (half_w, -half_w, -half_h, half_h)
    drawn = axes.imshow(image.values, origin="lower", extent=extent, aspect="equal", **settings)
    axes.set_facecolor("#EDEDED")
    if view.projection == "cartesian":
        _draw_cartesian_axes(axes, view)
        axes.set_xlabel("Galactic longitude l")
        axes.set_ylabel("Galactic latitude b")
    else:
        _draw_gnomonic_axes(axes, view)
        axes.set_xlabel("Galactic, gnomonic projection; l grows to the left")
    for side in axes.spines.values():
        side.set_visible(True)
    bar = axes.figure.colorbar(drawn, cax=bar_axes)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)
