"""Counts beside what a posterior predicts for them: one summary with maps, histogram and p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysift.diagnostics.predictive import (
    CountsHistogram,
    compare_histogram,
    draw_replicas,
    measure_deviance,
    predictive_p_value,
    randomise_pit,
    rank_in_replicas,
)
from skysift.diagnostics.ranks import measure_uniformity
from skysift.diagnostics.residuals import Autocorrelation, bin_pairs, compare_autocorrelation, measure_significance

__all__ = ["Comparison", "compare_prediction"]

PAIRS = 2e7
LAGS_DEG = (5.0, 3.0, 2.0, 1.0)
Map = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Data against the posterior's prediction; maps are (energy, pixel).

    ``p_values``: ``deviance``, ``chi_square``, ``brightest_pixel``, ``autocorrelation`` (posterior predictive) and
    ``pit`` (uniformity of the randomised PIT).
    """

    mean: Map
    sd: Map
    sigma: Map
    deviance: Map
    pit: Map
    histogram: CountsHistogram
    autocorrelation: Autocorrelation
    p_values: dict[str, float]


def compare_prediction(
    counts: NDArray[np.int64],
    draws: Map,
    directions: Map,
    pixel_area_sr: float,
    random: np.random.Generator,
    replicas: NDArray[np.int64] | None = None,
) -> Comparison:
    """Compare counts with posterior draws of their mean.

    Parameters
    ----------
    counts : (energy, pixel), photons
    draws : (draw, energy pixel), expected photons
    directions : (pixel, 3), unit vectors
    pixel_area_sr : sr
    random : of replicas and of the randomised PIT
    replicas : (draw, energy pixel), one data set per draw where photons are not Poisson; drawn here when None

    Returns
    -------
    Comparison
    """
    flat = counts.ravel()
    mean = draws.mean(axis=0)
    if replicas is None:
        replicas, pit = draw_replicas(draws, random), randomise_pit(flat, draws, random)
    else:
        pit = rank_in_replicas(flat, replicas, random)
    structure = _measure_structure(counts, draws, replicas, directions, pixel_area_sr)
    p_values = _measure_p_values(flat, draws, replicas)
    p_values |= {"autocorrelation": structure.p_value, "pit": float(measure_uniformity(pit[:, None])[0])}
    shape = counts.shape
    return Comparison(
        mean=mean.reshape(shape),
        sd=draws.std(axis=0).reshape(shape),
        sigma=measure_significance(flat, mean).reshape(shape),
        deviance=measure_deviance(flat, mean).reshape(shape),
        pit=pit.reshape(shape),
        histogram=compare_histogram(flat, replicas),
        autocorrelation=structure,
        p_values=p_values,
    )


def _measure_p_values(counts: NDArray[np.int64], draws: Map, replicas: NDArray[np.int64]) -> dict[str, float]:
    def chi_square(values: NDArray[np.int64]) -> Map:
        return np.asarray((measure_significance(values, draws) ** 2).sum(axis=1), dtype=np.float64)

    seen, drawn = measure_deviance(counts, draws).sum(axis=1), measure_deviance(replicas, draws).sum(axis=1)
    return {
        "deviance": predictive_p_value(seen, drawn),
        "chi_square": predictive_p_value(chi_square(counts), chi_square(replicas)),
        "brightest_pixel": predictive_p_value(np.array([float(counts.max())]), replicas.max(axis=1).astype(np.float64)),
    }


def _measure_structure(
    counts: NDArray[np.int64], draws: Map, replicas: NDArray[np.int64], directions: Map, pixel_area_sr: float
) -> Autocorrelation:
    """Correlate residuals, energies summed, out to the longest lag whose pairs fit into memory."""
    pixels = len(directions)
    fitting = [r for r in LAGS_DEG if pixels * np.pi * np.radians(r) ** 2 / pixel_area_sr / 2 < PAIRS]
    pixel_deg = float(np.degrees(np.sqrt(pixel_area_sr)))
    longest_deg = max(fitting[0] if fitting else LAGS_DEG[-1], 4 * pixel_deg)
    # The first bin starts below the nearest neighbours: a pixel is never paired with itself.
    edges_deg = np.linspace(0.5 * pixel_deg, longest_deg, int(np.clip(longest_deg / pixel_deg, 3, 10)) + 1)

    def over_energy(values: NDArray[np.float64] | NDArray[np.int64]) -> Map:
        return np.asarray(values.reshape(-1, *counts.shape).sum(axis=1), dtype=np.float64)

    mean = over_energy(draws)
    return compare_autocorrelation(
        measure_significance(over_energy(counts), mean),
        measure_significance(over_energy(replicas), mean),
        bin_pairs(directions, edges_deg),
    )
