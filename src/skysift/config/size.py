"""How large an analysis is: what its jobs ask a cluster for, as functions of pixels, bins, fields and engines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skysift.config.engines import GridStep, HmcStep, LaplaceStep, MapStep, NestedStep, NutsStep, OptimiseStep, SviStep

if TYPE_CHECKING:
    from skysift.config.analysis import Analysis
    from skysift.config.engines import EngineStep
    from skysift.config.modulation import Modulation

__all__ = ["count_inducing", "count_pixels", "fit_memory_mb", "fit_minutes", "maps_memory_mb"]

_NATIVE_NSIDE = {"fermi": 128, "synthetic": 64, "files": 128}
_BASE_MB = 1000  # Python, torch and pyro, and the two Snakemakes that start them
_LIGHT_MB = 650  # without torch
_WORKING_COPIES = 8  # projections, their factors and gradients that live at the same time
_DRAWS_AT_ONCE = 1000  # values per pixel beside the fields
_MARGIN = 1.5  # inducing points reach beyond the region
_PIECES_MB = 3000  # longer projections and maps are taken in pieces
# 5000 pixels, one bin, one core: about twice what benchmarks measure
_SECONDS = {"map": 5, "optimise": 5, "laplace": 5, "grid": 20, "svi": 20, "hmc": 120, "nuts": 1000, "nested": 300}
_LEAST_MINUTES = 10  # nobody waits for what was asked and not used; libraries may come from a slow disk
_RECIPE_SECONDS = 1800
_NEWTON_STEPS = 40  # for each point of a grid of hyper-parameters
_FLOPS = 1e10  # of one core
# populations of sources: one value and gradient, for each pixel and exposure at which coefficients are computed
_SOURCE_SECONDS = 5e-7
_EXPOSURE_NODES = 3
_TABLES_MB = 400  # 5000 pixels or more: probabilities of all counts up to the observed one, and their gradients
_SOURCE_NUMBERS = 5  # of one population
_LEAPFROG = 12
_CLIMB = 60  # evaluations from one start of a search
_WEIGHED = 20_000  # draws of a guide
_PLATEAU = 3  # training ends this much before its cap
_BLOCKS = 4  # of draws until chains agree
_PROPOSALS = 1500  # of nested sampling, for each live point
_SAFETY = 4


def count_pixels(analysis: Analysis) -> int:
    """Return about how many pixels the fit region has, those under a mask included.

    Parameters
    ----------
    analysis : the whole configuration
    """
    observation = analysis.observation
    nside = observation.nside or _NATIVE_NSIDE[observation.data]
    return math.ceil(12 * nside**2 * _share(analysis))


def _share(analysis: Analysis) -> float:
    """Return the fit region's share of the sky."""
    return (1 - math.cos(math.radians(analysis.observation.region.radius_deg))) / 2


def count_inducing(analysis: Analysis, field: Modulation) -> int:
    """Return about how many inducing points a field has: those of a grid over the region and its margin."""
    pixels, inducing = count_pixels(analysis), field.inducing
    if field.shared is not None:
        return 0
    if inducing.points == "all":
        return pixels
    share = min(1.0, _MARGIN * _share(analysis))
    if inducing.nside is not None:
        return min(pixels, math.ceil(12 * inducing.nside**2 * share))
    spacing_rad = inducing.spacing * field.lengthscale.median_rad
    return min(pixels, math.ceil(4 * math.pi * share / spacing_rad**2))


def maps_memory_mb(analysis: Analysis, *, needs_torch: bool = False) -> int:
    """Return the memory in MB of a step that reads whole maps and cuts them, or draws a field in them."""
    observation = analysis.observation
    nside = max(observation.nside or 0, _NATIVE_NSIDE[observation.data])
    maps = len(observation.known_templates) + 4
    base_mb = _BASE_MB if needs_torch else _LIGHT_MB
    return base_mb + math.ceil(12 * nside**2 * _bins(analysis) * maps * 8 * 2 / 1e6)


def _bins(analysis: Analysis) -> int:
    return len(analysis.observation.energy_edges_gev) - 1


def _fields(analysis: Analysis, fit: str) -> list[Modulation]:
    return [field for component in analysis.model_of(fit).components.values() for field in component.modulate]


def fit_memory_mb(analysis: Analysis, fit: str) -> int:
    """Return the memory in MB of one fit: its maps, and pixels times inducing points of its fields."""
    pixels = count_pixels(analysis)
    inducing = sum(count_inducing(analysis, field) for field in _fields(analysis, fit))
    values = _WORKING_COPIES * inducing * pixels + _DRAWS_AT_ONCE * pixels * _bins(analysis)
    held_mb = min(values * 8 / 1e6, _PIECES_MB) + _WORKING_COPIES * inducing**2 * 8 / 1e6
    tables_mb = _TABLES_MB * min(1.0, pixels / 5000) if _source_columns(analysis, fit) else 0.0
    return maps_memory_mb(analysis, needs_torch=True) + math.ceil(tables_mb + held_mb)


def fit_minutes(analysis: Analysis, fit: str) -> int:
    """Return the wall time in minutes that one fit may take on one core, with a margin."""
    chosen, fields = analysis.fits[fit], _fields(analysis, fit)
    points = count_pixels(analysis) * _bins(analysis)
    work_s = sum(_SECONDS[step.engine] for step in chosen.sequence) + (_RECIPE_SECONDS if chosen.recipe else 0)
    inducing = sum(count_inducing(analysis, field) for field in fields)
    nodes = math.prod(field.grid ** len(field.free_hypers) for field in fields if field.hyper == "marginalised")
    newton_s = nodes * _NEWTON_STEPS * points * inducing**2 / _FLOPS
    sources_s = _source_seconds(analysis, fit)
    return int(_LEAST_MINUTES + _SAFETY * (work_s * max(1.0, points / 5000) + newton_s + sources_s) / 60) + 1


def _source_columns(analysis: Analysis, fit: str) -> int:
    """Return the populations of a fit times the exposures at which the coefficients of each are computed."""
    model = analysis.model_of(fit)
    exposure = model.exposure
    each = _EXPOSURE_NODES if exposure is None else exposure.nodes or exposure.regions or exposure.nptfit or 1
    return each * sum(component.population is not None for component in model.components.values())


def _source_seconds(analysis: Analysis, fit: str) -> float:
    """Return the CPU seconds that the likelihood of populations adds to a fit."""
    columns = _source_columns(analysis, fit)
    evaluations = sum(_count_evaluations(step) for step in analysis.fits[fit].sequence)
    return _SOURCE_SECONDS * columns * count_pixels(analysis) * evaluations


def _count_evaluations(step: EngineStep) -> float:
    """Return about how many values or gradients of one population's likelihood an engine wants."""
    # second derivatives are differences in both directions
    newton = 2 * _SOURCE_NUMBERS * _NEWTON_STEPS
    count: float
    match step:
        case MapStep(settings=chosen):
            count = (chosen.steps or _CLIMB) * chosen.starts + newton
        case OptimiseStep(settings=chosen):
            count = 2 * _SOURCE_NUMBERS * chosen.steps
        case LaplaceStep(settings=chosen):
            count = chosen.draws + chosen.importance + newton
        case GridStep(settings=chosen):
            count = chosen.values * (chosen.importance + newton) + chosen.draws
        case SviStep(settings=chosen):
            small = chosen.guide == "mvn"
            trained = (chosen.particles or (16 if small else 128)) * (chosen.steps or (500 if small else 1500))
            count = chosen.restarts * trained / _PLATEAU + _WEIGHED
        case HmcStep(settings=chosen):
            draws = min(chosen.max_draws, _BLOCKS * chosen.draws)
            count = chosen.chains * (chosen.warmup + draws) * min(_LEAPFROG, chosen.max_leapfrog)
        case NutsStep(settings=chosen):
            count = chosen.chains * (chosen.warmup + chosen.draws) * _LEAPFROG
        case NestedStep(settings=chosen):
            count = chosen.runs * (chosen.live or 1000) * _PROPOSALS
    return count
