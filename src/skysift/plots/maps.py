"""Counts, model and residual on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.plots.sky import SkyView, draw_sky, find_directions, frame_pixels, new_sky_panels, rasterise
from skysift.plots.style import use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FitMaps", "plot_fit_maps", "plot_likelihood_maps", "plot_signal_maps"]


@dataclass(frozen=True)
class FitMaps:
    """Maps of one fit, summed over energy, each (pixel,) on the ``pixels`` (RING, Galactic) of its region."""

    nside: int
    pixels: NDArray[np.int64]
    counts: NDArray[np.float64]
    expected: NDArray[np.float64]
    sigma: NDArray[np.float64]
    smoothed_sigma: NDArray[np.float64]
    smoothing_deg: float

    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return Galactic longitude and latitude of the pixel centres, degrees."""
        return find_directions(self.nside, self.pixels)

    def view(self) -> SkyView:
        """Return the window that shows the whole region."""
        return frame_pixels(*self.directions())


def plot_fit_maps(maps: FitMaps) -> tuple[Figure, pd.DataFrame]:
    """Plot counts, expected counts, residual in sigma and the same smoothed.

    Returns
    -------
    the figure, and a table with one row per pixel
    """
    import pandas as pd
    from matplotlib.colors import PowerNorm

    view = maps.view()
    top = float(np.quantile(np.concatenate([maps.counts, maps.expected]), 0.998))
    wide = float(np.clip(np.abs(maps.smoothed_sigma).max(), 3.0, 8.0))
    panels = (
        ("Counts", maps.counts, "photons per pixel", {"cmap": "magma", "norm": PowerNorm(0.5, 0, top)}),
        (
            "Model, posterior mean",
            maps.expected,
            "photons per pixel",
            {"cmap": "magma", "norm": PowerNorm(0.5, 0, top)},
        ),
        ("Residual", maps.sigma, "(counts – model) / √model, σ", {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}),
        (
            f"Residual, smoothed {maps.smoothing_deg:g}°",
            maps.smoothed_sigma,
            "significance, σ",
            {"cmap": "RdBu_r", "vmin": -wide, "vmax": wide},
        ),
    )
    with use_style():
        figure, places = new_sky_panels(view, 2)
        for (place, bar), (title, values, label, settings) in zip(places, panels, strict=True):
            draw_sky(place, bar, rasterise(view, maps.pixels, maps.nside, values), label, **settings)
            place.set_title(title)
        for place, _ in places[:2]:
            place.set_xlabel("")
        for place, _ in places[1::2]:
            place.set_ylabel("")
    lon, lat = maps.directions()
    table = pd.DataFrame(
        {
            "pixel": maps.pixels,
            "l_deg": lon,
            "b_deg": lat,
            "counts": maps.counts,
            "expected_counts": maps.expected,
            "residual_sigma": maps.sigma,
            "smoothed_residual_sigma": maps.smoothed_sigma,
        }
    )
    return figure, table


def plot_signal_maps(
    maps: FitMaps, left_in: NDArray[np.float64], component: NDArray[np.float64], name: str
) -> tuple[Figure, pd.DataFrame]:
    """Plot what the data hold beyond every component but one, beside that component.

    Parameters
    ----------
    left_in : (pixel,), smoothed counts minus model without the component, photons per pixel
    component : (pixel,), posterior mean counts of the component, smoothed alike, photons per pixel
    name : of the component
    """
    import pandas as pd

    view = maps.view()
    top = float(max(np.quantile(np.abs(left_in), 0.995), component.max(), 1e-9))
    with use_style():
        figure, places = new_sky_panels(view, 1)
        titles = (f"Counts – model without {name}", f"{name}, posterior mean")
        for (place, bar), title, values in zip(places, titles, (left_in, component), strict=True):
            image = rasterise(view, maps.pixels, maps.nside, values)
            draw_sky(place, bar, image, "photons per pixel", cmap="RdBu_r", vmin=-top, vmax=top)
            place.set_title(f"{title}, smoothed {maps.smoothing_deg:g}°")
        places[1][0].set_ylabel("")
    lon, lat = maps.directions()
    columns = {"pixel": maps.pixels, "l_deg": lon, "b_deg": lat, "left_in_counts": left_in, f"{name}_counts": component}
    return figure, pd.DataFrame(columns)


def plot_likelihood_maps(
    maps: FitMaps, log_likelihood: NDArray[np.float64], deviance: NDArray[np.float64]
) -> tuple[Figure, pd.DataFrame]:
    """Plot what each pixel adds to the log likelihood, beside its Poisson deviance.

    Parameters
    ----------
    maps : of the fit
    log_likelihood : (pixel,), nat, log probability of the pixel's counts, mean over the posterior
    deviance : (pixel,), twice the log of the ratio of Poisson probabilities of the counts, at best and as expected
    """
    import pandas as pd

    view = maps.view()
    panels = (
        ("Log probability of the counts", log_likelihood, "nat", np.quantile(log_likelihood, [0.005, 1.0])),
        ("Poisson deviance", deviance, "deviance", np.array([0.0, max(np.quantile(deviance, 0.995), 1e-9)])),
    )
    with use_style():
        figure, places = new_sky_panels(view, 1)
        for (place, bar), (title, values, label, ends) in zip(places, panels, strict=True):
            image = rasterise(view, maps.pixels, maps.nside, values)
            draw_sky(place, bar, image, label, cmap="viridis", vmin=float(ends[0]), vmax=float(ends[1]))
            place.set_title(title)
        places[1][0].set_ylabel("")
    lon, lat = maps.directions()
    columns = {"pixel": maps.pixels, "l_deg": lon, "b_deg": lat, "log_likelihood": log_likelihood, "deviance": deviance}
    return figure, pd.DataFrame(columns)
