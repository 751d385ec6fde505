"""The synthetic sky itself: exposure, templates in counts per pixel, and a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.healpix import change_resolution, pixel_area_sr, pixel_vectors
from skysift.geometry.sphere import Vectors
from skysift.sky.synthetic import profiles
from skysift.sky.synthetic.structure import brightest_sources, random_field, source_shares

__all__ = ["MASKS", "TEMPLATES", "SyntheticSky"]

Map = NDArray[np.float64]

_REFERENCE_GEV = (2.0, 20.0)
_FINE = 4
_CORE_RAD = np.radians(0.2)
_MASKED_SOURCES = 60


@dataclass(frozen=True)
class _Emission:
    """Intensity (2-20 GeV, ph / cm2 s sr, up to ``scale``) towards directions, with its photon index."""

    intensity: Callable[[Vectors], Map]
    scale: float
    photon_index: float
    fineness: int = 1


def _gas(vectors: Vectors, height_kpc: float, extra: Map | float = 0.0) -> Map:
    """Return gas in a disc: a thin and a thick layer with filaments on three scales."""
    filaments = sum(
        amplitude * random_field(vectors, f"filaments-{scale}", scale)
        for amplitude, scale in ((0.25, 0.30), (0.20, 0.10), (0.15, 0.04))
    )
    layers = profiles.exponential_disc(vectors, 5.0, height_kpc) + 0.5 * profiles.exponential_disc(vectors, 8.0, 0.45)
    return layers * np.exp(filaments + extra)


def _diffuse(vectors: Vectors) -> Map:
    return _gas(vectors, 0.12) + 0.13 * profiles.exponential_disc(vectors, 5.0, 2.0)


def _alternative_gas(vectors: Vectors) -> Map:
    mismatch = 0.15 * random_field(vectors, "mismatch-large", 0.25) + 0.15 * random_field(vectors, "mismatch", 0.05)
    return _gas(vectors, 0.13, mismatch)


def _north(vectors: Vectors) -> NDArray[np.bool_]:
    return vectors[:, 2] > 0


_EMISSIONS = {
    "diffuse": _Emission(_diffuse, 1.84e-7, 2.7),
    "diffuse_north": _Emission(lambda vectors: _diffuse(vectors) * _north(vectors), 1.84e-7, 2.7),
    "diffuse_gas": _Emission(_alternative_gas, 2.6e-7, 2.7),
    "diffuse_ics": _Emission(lambda vectors: profiles.exponential_disc(vectors, 4.0, 3.0), 6.4e-8, 2.3),
    "isotropic": _Emission(lambda vectors: np.ones(len(vectors)), 2.25e-7, 2.4),
    "bubbles": _Emission(profiles.bubbles, 3.7e-7, 1.9),
    "disk": _Emission(lambda vectors: profiles.exponential_disc(vectors, 5.0, 0.3), 3.8e-7, 2.4),
    "nfw_squared": _Emission(lambda vectors: profiles.halo_squared(vectors, _CORE_RAD), 3.2e-10, 2.1, _FINE),
    "nfw_squared_north": _Emission(
        lambda vectors: profiles.halo_squared(vectors, _CORE_RAD) * _north(vectors), 3.2e-10, 2.1, _FINE
    ),
    "point_sources": _Emission(lambda vectors: source_shares(vectors) * len(vectors), 1.0e-8, 2.3, _FINE),
}

_SAME = {"p6v11": "diffuse", "model_o_gas": "diffuse_gas", "model_o_ics": "diffuse_ics"}
TEMPLATES = (*_EMISSIONS, "diffuse_alternative", *_SAME)
"""Names of the templates; ``diffuse_alternative`` is 2/3 ``diffuse_gas`` + 1/3 ``diffuse_ics``, and those that end in
``north`` are another one's northern half.

The names of the Fermi data set's diffuse maps are understood as well, so that a configuration runs on either.
"""
MASKS = ("mask_3fgl", "mask_3fgl_0p8deg", "mask_point_sources")
"""Names of the masks: 0.5 deg around the brightest sources for ``mask_3fgl``, 0.8 deg for the others."""


@dataclass(frozen=True)
class SyntheticSky:
    """Exposure and templates of an imagined inner Galaxy, all computed, none random between runs.

    Templates are counts per pixel at unit norm, as those of the Fermi data set are; where names agree so do
    meaning and size. ``diffuse`` and ``diffuse_gas`` + ``diffuse_ics`` describe the same sky differently: about
    a tenth apart, on all scales.

    Parameters
    ----------
    nside : HEALPix resolution, a power of two
    energy_edges_gev : (E + 1,) GeV
    """

    nside: int
    energy_edges_gev: tuple[float, ...] = _REFERENCE_GEV
    _cache: dict[str, Map] = field(default_factory=dict, repr=False, compare=False)

    def exposure_cm2_s(self) -> Map:
        """Return the exposure (E, 12 nside^2), cm2 s: smooth, largest towards one celestial pole."""
        x, y, z = pixel_vectors(self.nside).T
        pattern = 6.6e10 * (1 + 0.08 * x + 0.12 * z + 0.2 * ((0.6 * y - 0.8 * z) ** 2 - 1 / 3))
        centers = np.sqrt(np.multiply(self.energy_edges_gev[:-1], self.energy_edges_gev[1:]))
        # The effective area grows slowly with energy.
        growth = (centers / np.sqrt(np.prod(_REFERENCE_GEV))) ** 0.05
        return np.asarray(growth[:, None] * pattern)

    def template(self, name: str) -> Map:
        """Return a template (E, 12 nside^2), counts per pixel at unit norm; ``name`` is one of `TEMPLATES`."""
        name = _SAME.get(name, name)
        if name == "diffuse_alternative":
            return (2 * self.template("diffuse_gas") + self.template("diffuse_ics")) / 3
        if name not in self._cache:
            self._cache[name] = self._fold(_EMISSIONS[name])
        return self._cache[name]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return a mask (12 nside^2,), True near the brightest point sources; ``name`` is one of `MASKS`."""
        import healpy

        radius_rad = np.radians(0.5 if name == "mask_3fgl" else 0.8)
        masked = np.zeros(12 * self.nside**2, dtype=bool)
        for position in brightest_sources(_MASKED_SOURCES):
            masked[healpy.query_disc(self.nside, position, radius_rad)] = True
        return masked

    def _fold(self, emission: _Emission) -> Map:
        fine = self.nside * emission.fineness
        intensity = change_resolution(emission.intensity(pixel_vectors(fine)), self.nside, "mean")
        shares = _bin_shares(np.asarray(self.energy_edges_gev), emission.photon_index)
        photons = emission.scale * shares[:, None] * intensity * pixel_area_sr(self.nside)
        return np.asarray(photons * self.exposure_cm2_s())


def _bin_shares(edges_gev: Map, photon_index: float) -> Map:
    """Return each bin's photons over those between 2 and 20 GeV for a power law, (E,)."""
    power = 1 - photon_index
    low, high = _REFERENCE_GEV
    return np.asarray(np.diff(edges_gev**power) / (high**power - low**power))
