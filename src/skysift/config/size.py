"""How large an analysis is: what its jobs ask a cluster for, as functions of pixels, bins and engines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysift.config.analysis import Analysis

__all__ = ["count_pixels", "fit_memory_mb", "fit_minutes", "maps_memory_mb"]

_NATIVE_NSIDE = {"fermi": 128, "synthetic": 64, "files": 128}
_BASE_MB = 1000  # Python, torch and pyro, and the Snakemake that starts them
_MAX_INDUCING = 500
_WORKING_COPIES = 8  # projections, their factors and gradients that live at the same time
_SECONDS = {"map": 20, "laplace": 20, "grid": 120, "svi": 120, "hmc": 600}  # 5000 pixels, one bin, one core
_RECIPE_SECONDS = 1800
_SAFETY = 4


def count_pixels(analysis: Analysis) -> int:
    """Return about how many pixels the fit region has, those under a mask included.

    Parameters
    ----------
    analysis : the whole configuration
    """
    observation = analysis.observation
    nside = observation.nside or _NATIVE_NSIDE[observation.data]
    share = (1 - math.cos(math.radians(observation.region.radius_deg))) / 2
    return math.ceil(12 * nside**2 * share)


def maps_memory_mb(analysis: Analysis) -> int:
    """Return the memory in MB of a step that reads whole maps and cuts them."""
    observation = analysis.observation
    nside = max(observation.nside or 0, _NATIVE_NSIDE[observation.data])
    bins = len(observation.energy_edges_gev) - 1
    maps = len(observation.known_templates) + 4
    return _BASE_MB + math.ceil(12 * nside**2 * bins * maps * 8 * 2 / 1e6)


def fit_memory_mb(analysis: Analysis, fit: str) -> int:
    """Return the memory in MB of one fit: pixels times inducing points of each field."""
    pixels = count_pixels(analysis)
    values = 0
    for component in analysis.model_of(fit).components.values():
        for field in component.modulate:
            points = pixels if field.inducing.points == "all" else min(pixels, _MAX_INDUCING)
            values += pixels * points
    bins = len(analysis.observation.energy_edges_gev) - 1
    return _BASE_MB + math.ceil((values * _WORKING_COPIES + pixels * bins * 1000) * 8 / 1e6)


def fit_minutes(analysis: Analysis, fit: str) -> int:
    """Return the wall time in minutes that one fit may take on one core, with a margin."""
    chosen = analysis.fits[fit]
    work_s = sum(_SECONDS[step.engine] for step in chosen.sequence) + (_RECIPE_SECONDS if chosen.recipe else 0)
    bins = len(analysis.observation.energy_edges_gev) - 1
    scale = max(1.0, count_pixels(analysis) * bins / 5000)
    return math.ceil(10 + _SAFETY * work_s * scale / 60)
