"""Counts of populations: sources drawn from dN/dS and a template, their photons spread by the PSF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError, nearest
from skysift.geometry.pixels import find_pixels, nest_vectors, ring_to_nest
from skysift.instruments.fermi.observation import TrueSources
from skysift.instruments.fermi.source_units import measure_sources
from skysift.sky.source_counts import SourceCounts

if TYPE_CHECKING:
    from skysift.geometry.sphere import Vectors
    from skysift.instruments.fermi.observation import Observation
    from skysift.instruments.fermi.psf_choice import Containment

__all__ = ["SourcePopulation", "draw_sources", "make_population"]

Map = NDArray[np.float64]
#: Sources below this many photons are smooth light, or below more where there were more of them than the next number.
_FAINTEST = 0.01
_MOST_SOURCES = 3e6
#: Places in a pixel are centres of its parts.
_PARTS = 1024
_RADII = 20_000


@dataclass(frozen=True)
class SourcePopulation:
    """A population to draw: sources per unit of dN/dS (P,), exposure over its mean (P,), dN/dS in counts, the truth."""

    density: Map
    exposure_ratio: Map
    law: SourceCounts
    true: TrueSources


def make_population(
    observation: Observation, template: str, numbers: Mapping[str, Any], meaning: Mapping[str, str]
) -> SourcePopulation:
    """Return a population whose numbers are known.

    Parameters
    ----------
    observation : with one energy bin
    template : name of where its sources are
    numbers : ``norm``, ``slopes``, ``breaks``, and ``limits`` where there are no breaks
    meaning : ``units``, ``norm_of``, ``template_is``

    Raises
    ------
    InputError : the observation lacks the template
    """
    if template not in observation.templates:
        wanted = f"a template of the observation; {nearest(template, observation.templates)}"
        raise InputError("configuration", "simulate.populations", f"template '{template}'", wanted, "correct the name")
    inside = observation.region
    units = measure_sources(
        observation,
        observation.templates[template],
        inside,
        units=meaning["units"],
        template_is=meaning["template_is"],
    )
    scale = float(np.exp(units.log_break_unit))
    breaks = tuple(scale * float(place) for place in numbers["breaks"])
    given = numbers.get("limits")
    limits = None if given is None else (scale * float(given[0]), scale * float(given[1]))
    slopes = tuple(float(slope) for slope in numbers["slopes"])
    seen = units.density * units.exposure_ratio
    norm = float(numbers["norm"])
    if meaning["norm_of"] == "break":
        norm *= float(np.exp(units.log_norm_unit))
    else:
        unit = units.log_total_unit(meaning["norm_of"], seen, inside, observation.pixel_area_sr)
        norm *= float(np.exp(unit)) / SourceCounts(1.0, slopes, breaks, limits).photons()
    law = SourceCounts(norm, slopes, breaks, limits)
    parameters = {"norm": float(numbers["norm"])}
    parameters |= {f"slope_{k}": slope for k, slope in enumerate(slopes, start=1)}
    parameters |= {f"break_{k}": float(place) for k, place in enumerate(numbers["breaks"], start=1)}
    parameters |= {f"limit_{k}": float(place) for k, place in enumerate(given or (), start=1)}
    true = TrueSources(template, parameters, dict(meaning), law.photons() * seen[None])
    return SourcePopulation(units.density, units.exposure_ratio, law, true)


def draw_sources(
    population: SourcePopulation, observation: Observation, containment: Containment | None, random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the photons of a population of sources.

    The number of sources in a pixel is Poisson; each lies anywhere in it, sends photons as its flux and the exposure
    there say, and each of them goes its own way. Sources too faint for photons to come in bunches are smooth light.

    Parameters
    ----------
    population : what is drawn
    observation : its stored pixels; photons that leave them are lost
    containment : share of photons within radii; None for no spread
    random : numbers

    Returns
    -------
    (P,), photons
    """
    pixels, nside, law, density = observation.pixels, observation.nside, population.law, population.density
    faintest = _FAINTEST
    while density.sum() * law.number_above(faintest) > _MOST_SOURCES:
        faintest *= 2
    counts = random.poisson(density * population.exposure_ratio * law.photons(faintest))
    owner = np.repeat(np.arange(len(pixels)), random.poisson(density * law.number_above(faintest)))
    flux = law.draw(len(owner), faintest, random)
    photons = random.poisson(flux * population.exposure_ratio[owner])
    if containment is None:
        return np.asarray(counts + np.bincount(owner, photons, len(pixels)).astype(np.int64))
    seen = photons > 0
    places = _place(pixels[owner[seen]], nside, random)
    found = find_pixels(nside, _spread(np.repeat(places, photons[seen], axis=0), containment, random))
    index = np.searchsorted(pixels, found).clip(max=len(pixels) - 1)
    return np.asarray(counts + np.bincount(index[pixels[index] == found], minlength=len(pixels)))


def _place(pixels: NDArray[np.int64], nside: int, random: np.random.Generator) -> Vectors:
    """Return directions (n, 3), each uniform in one of the pixels (n,), which are divided into parts of equal area."""
    parts = ring_to_nest(nside, pixels) * _PARTS**2 + random.integers(0, _PARTS**2, len(pixels))
    return nest_vectors(nside * _PARTS, parts)


def _spread(directions: Vectors, containment: Containment, random: np.random.Generator) -> Vectors:
    """Return directions (n, 3), each moved by its own draw from the PSF."""
    grid = np.append(0.0, np.geomspace(1e-6, np.pi, _RADII))
    shares = np.append(0.0, containment(grid[1:]))
    radius = np.interp(random.random(len(directions)) * shares[-1], shares, grid)
    angle = random.uniform(0, 2 * np.pi, len(directions))
    axis = np.eye(3)[np.argmin(np.abs(directions), axis=1)]
    east = np.cross(axis, directions)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(directions, east)
    sideways = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    moved: Vectors = np.cos(radius)[:, None] * directions + np.sin(radius)[:, None] * sideways
    return moved
