"""Cubes of maps at several energies: what their energies and units mean, and their flux in bins."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid
    from skysift.sky.sky_maps import SkyMap

__all__ = ["band_integral", "energies_tev", "integrate_cube"]

Array = NDArray[np.float64]

_TEV = {"ev": 1e-12, "kev": 1e-9, "mev": 1e-6, "gev": 1e-3, "tev": 1.0}
_INTENSITY = "cm-2 s-1 sr-1"


def energies_tev(energies: Array | None, unit: str, place: str) -> Array:
    """Return the energies of a cube's planes in TeV.

    Raises
    ------
    InputError : none, an unknown unit, energies that do not rise
    """
    factor = _TEV.get(unit.strip().lower())
    if energies is None or factor is None:
        found = "none" if energies is None else f"unit {unit!r}"
        raise InputError(place, "energies", found, f"energies in one of {', '.join(_TEV)}", "mend the file")
    if len(energies) < 2 or not ((np.diff(energies) > 0).all() and energies[0] > 0):
        raise InputError(place, "energies", energies, "two or more rising energies", "mend the file")
    return np.asarray(energies, dtype=np.float64) * factor


def band_integral(cube: Array, energy_tev: Array, low_tev: float, high_tev: float, place: str = "cube") -> Array:
    """Return the integral over a band of values (E, ...) joined by power laws at energies (E,), values times TeV.

    The first and the last power law go on by up to half a step.

    Raises
    ------
    InputError : a band that the energies do not cover
    """
    half = np.sqrt(energy_tev[1:] / energy_tev[:-1])
    reach = energy_tev[0] / half[0], energy_tev[-1] * half[-1]
    if not reach[0] * (1 - 1e-3) <= low_tev < high_tev <= reach[1] * (1 + 1e-3):
        wanted = f"within {reach[0]:.4g} and {reach[1]:.4g} TeV"
        raise InputError(place, "energy band", f"{low_tev:g} .. {high_tev:g} TeV", wanted, "choose another band")
    total = np.zeros(cube.shape[1:])
    bounds = np.concatenate(([0.0], energy_tev[1:-1], [np.inf]))
    for k in range(len(energy_tev) - 1):
        low, high = max(low_tev, bounds[k]), min(high_tev, bounds[k + 1])
        if low < high:
            total += _power_segment(cube[k], cube[k + 1], energy_tev[k : k + 2], low, high)
    return total


def _power_segment(first: Array, second: Array, energies: Array, low: float, high: float) -> Array:
    """Return the integral of a power law through two points, linear where a value is not positive."""
    step = np.log(energies[1] / energies[0])
    good = (first > 0) & (second > 0)
    slope = np.log(np.where(good, second, 1.0) / np.where(good, first, 1.0)) / step + 1
    width = np.log(high / low)
    exponent = slope * width
    near = np.abs(exponent) < 1e-8
    growth = np.where(near, 1.0, np.expm1(exponent) / np.where(near, 1.0, exponent))
    power: Array = first * low * (low / energies[0]) ** (slope - 1) * width * growth
    share = (0.5 * (low + high) - energies[0]) / (energies[1] - energies[0])
    line = (first * (1 - share) + second * share) * (high - low)
    return np.asarray(np.where(good, power, line), dtype=np.float64)


def integrate_cube(
    sky_map: SkyMap, energy_tev: Array, unit: str, edges_tev: Array, grid: LonLatGrid, place: str = "cube"
) -> Array:
    """Return the flux of a cube of intensities in bins of energy and pixels.

    Parameters
    ----------
    sky_map : a stack of maps, one per energy, in ``unit``
    energy_tev : (planes,), TeV
    unit : of the values, photons per area, time, solid angle and energy, such as "cm-2 s-1 sr-1 MeV-1"
    edges_tev : (E + 1,), TeV, within the energies of the cube

    Returns
    -------
    (E, J), cm-2 s-1

    Raises
    ------
    InputError : another kind of unit, energies or pixels that the cube does not cover
    """
    from astropy import units

    try:
        factor = units.Unit(unit).to(f"{_INTENSITY} TeV-1")
    except (ValueError, TypeError) as error:
        wanted = f"a unit of intensity per energy, such as {_INTENSITY} MeV-1"
        raise InputError(place, "unit", repr(unit), wanted, "state the unit in the file") from error
    pixels = sky_map.integrate(grid) * factor * np.radians(1.0) ** 2
    bins = pairwise(edges_tev)
    return np.stack([band_integral(pixels, energy_tev, float(low), float(high), place) for low, high in bins])
