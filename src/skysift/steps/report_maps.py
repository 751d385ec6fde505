"""Figures of one fit of one data set: sky maps, modulation, predictive checks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from skysift.diagnostics.bands import make_ecdf_band
from skysift.plots.maps import FitMaps, plot_fit_maps, plot_likelihood_maps, plot_signal_maps
from skysift.plots.modulation import Modulation, plot_modulation_by_pixel, plot_modulation_maps
from skysift.plots.predictive import PredictiveChecks, plot_predictive
from skysift.plots.source_counts import SourceCounts, plot_source_counts
from skysift.steps.gather import FitRecord
from skysift.steps.report_events import plan_event_fit
from skysift.steps.report_pictures import Picture, Run
from skysift.storage.hdf5 import File, read

if TYPE_CHECKING:
    from skysift.steps.report_pictures import Plan

__all__ = ["plan_fit"]

NEIGHBOURS = (
    "Neighbouring pixels share the photons of a source through the point-spread function, and the likelihood takes "
    "pixels for independent. Residuals that go together up to a few widths of that function, above the band of "
    "replicas, are therefore what sources look like, not a fault of the templates; beyond it they are one. Intervals "
    "of this fit leave that correlation out."
)
EACH_PIXEL = (
    "Left: log probability of each pixel's counts, mean over the posterior, in nat; its sum is the log likelihood. "
    "Right: deviance from a Poisson variable of the same mean; where it is large and the left map is not low, the "
    "model explains the photons by a source."
)


def plan_fit(run: Run, record: FitRecord) -> Iterator[Plan]:
    """Plan the maps and checks of one fit of one data set."""
    path = run.folder / "predictive" / record.fit / f"{record.data}.h5"
    if not path.exists():
        return
    file = read(path, format="predictive")
    if file.attributes.get("kind") in ("events", "cubes"):
        yield from plan_event_fit(run, record, file)
        return
    section, ending = f"fit:{record.fit}:{record.data}", f"{record.fit}-{record.data}"
    maps = _maps(file)
    note = f" ({record.note})" if record.note else ""
    words = f"of the fit {record.fit} of {record.data}{note}"
    yield (
        Picture(f"maps-{ending}", section, f"Counts, model and residual{note}", f"Sky maps {words}."),
        lambda: plot_fit_maps(maps),
    )
    signal = run.settings.signal
    if signal and f"smoothed/components/{signal}" in file:
        own = file[f"smoothed/components/{signal}"]
        yield (
            Picture(f"signal-{ending}", section, f"What is left for {signal}{note}", f"Sky maps of {signal} {words}."),
            lambda: plot_signal_maps(maps, file["smoothed/residual"] + own, own, signal),
        )
    for component in dict.fromkeys(name.split("/")[1] for name in file.datasets if name.startswith("modulation/")):
        modulation = _modulation(file, component)
        if np.ptp(np.nan_to_num(modulation.quantiles[2])) < 1e-9 * np.nanmax(modulation.quantiles[2]):
            continue
        title = f"{component} over its template"
        yield (
            Picture(
                f"modulation-{component}-{ending}", section, f"{title}, on the sky{note}", f"{title} {words}, maps."
            ),
            partial(plot_modulation_maps, modulation),
        )
        yield (
            Picture(f"pixels-{component}-{ending}", section, f"{title}, by pixel{note}", f"{title} {words}, by pixel."),
            partial(plot_modulation_by_pixel, modulation),
        )
    yield from _plan_sources(run, record, file, maps)
    has_sources = any(name.startswith("source_counts/") for name in file.datasets)
    alt, caption = f"Counts histogram, PIT, residuals {words}.", NEIGHBOURS if has_sources else ""
    yield (
        Picture(f"checks-{ending}", section, f"Predictive checks{note}", alt, caption=caption),
        lambda: plot_predictive(_checks(file)),
    )


def _plan_sources(run: Run, record: FitRecord, file: File, maps: FitMaps) -> Iterator[Plan]:
    """Plan what belongs to populations of sources; the likelihood of each pixel for fits without them too.

    Pixel by pixel, a fit without sources is what one with them is compared with.
    """
    section, ending = f"fit:{record.fit}:{record.data}", f"{record.fit}-{record.data}"
    note = f" ({record.note})" if record.note else ""
    words = f"of the fit {record.fit} of {record.data}{note}"
    for component in dict.fromkeys(name.split("/")[1] for name in file.datasets if name.startswith("source_counts/")):
        title = f"Source counts of {component}: median, 68 and 95 %"
        alt = f"F^2 dN/dF and the number of sources above F of {component} {words}, with bands and truth where known."
        draw = partial(plot_source_counts, _source_counts(file, component), run.colours[record.fit])
        yield Picture(f"sources-{component}-{ending}", section, f"{title}{note}", alt), draw
    models = run.settings.models.values()
    if any(getattr(component, "population", None) for model in models for component in model.values()):
        title, alt = f"Log likelihood by pixel{note}", f"Maps of each pixel's log likelihood and deviance {words}."
        yield (
            Picture(f"likelihood-{ending}", section, title, alt, caption=EACH_PIXEL),
            lambda: plot_likelihood_maps(maps, file["log_likelihood"].sum(axis=0), file["deviance"].sum(axis=0)),
        )


def _maps(file: File) -> FitMaps:
    counts, expected = file["counts"].sum(axis=0).astype(np.float64), file["expected"].sum(axis=0)
    sigma = (counts - expected) / np.sqrt(np.maximum(expected, 1e-300))
    return FitMaps(
        nside=int(file.attributes["nside"]),
        pixels=file["pixel"],
        counts=counts,
        expected=expected,
        sigma=sigma,
        smoothed_sigma=file["smoothed/residual_sigma"],
        smoothing_deg=round(float(file.attributes["smoothing_deg"]), 2),
    )


def _modulation(file: File, component: str) -> Modulation:
    head = f"modulation/{component}"
    truth = file[f"{head}/truth"] if f"{head}/truth" in file.datasets else None
    return Modulation(component, int(file.attributes["nside"]), file["pixel"], file[f"{head}/quantiles"], truth)


def _source_counts(file: File, component: str) -> SourceCounts:
    head = f"source_counts/{component}"
    about = file.datasets[f"{head}/flux"].attributes
    truth = [file[f"{head}/true_{kind}"] for kind in ("density", "number") if f"{head}/true_{kind}" in file.datasets]
    return SourceCounts(
        file[f"{head}/flux"],
        file[f"{head}/density"],
        file[f"{head}/number"],
        float(about["one_photon"]),
        float(about["brightest"]),
        np.stack(truth) if truth else None,
    )


def _checks(file: File) -> PredictiveChecks:
    pit = file["pit"].ravel()
    band = make_ecdf_band(pit.size)
    correlation = np.stack([file[f"autocorrelation/{name}"] for name in ("observed", "low", "high")])
    return PredictiveChecks(
        counts=file["histogram/counts"],
        observed=file["histogram/observed"],
        predicted=file["histogram/predicted"],
        pit=pit,
        pit_points=band.points,
        pit_lower=band.lower,
        pit_upper=band.upper,
        lags_deg=file["autocorrelation/edges"],
        correlation=correlation,
        p_values=dict(file.attributes["p_values"]),
    )
