"""Fixed random structure on the sphere, the same at any resolution: filaments of gas, point sources."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import Vectors, unit_vectors
from skysift.streams import numpy_stream

__all__ = ["brightest_sources", "random_field", "source_shares"]

_SEED = 20
_SOURCES = 400
_PSF_RAD = np.radians(0.25)

Map = NDArray[np.float64]


def random_field(vectors: Vectors, name: str, scale_rad: float, waves: int = 96) -> Map:
    r"""Return a random field of unit variance and correlation length ``scale_rad`` towards directions.

    .. math:: f(x) = \sqrt{2/K} \sum_k \cos(\omega_k \cdot x + \varphi_k), \quad
              \omega_k \sim N(0, \ell^{-2} I)

    Plane waves in space, seen on the sphere: nothing depends on pixels.

    Parameters
    ----------
    vectors : (P, 3)
    name : of the field; the same name is the same field
    scale_rad : correlation length, rad
    waves : number of plane waves

    References
    ----------
    Rahimi, Recht (2007)
    """
    stream = numpy_stream(_SEED, "synthetic", name)
    frequency = stream.standard_normal((waves, 3)) / scale_rad
    phase = stream.uniform(0.0, 2 * np.pi, waves)
    field = np.zeros(len(vectors))
    for row, shift in zip(frequency, phase, strict=True):
        field += np.cos(vectors @ row + shift)
    field *= math.sqrt(2 / waves)
    return field


def source_shares(vectors: Vectors) -> Map:
    """Return the share of all sources' photons that each fine pixel gets, (P,); sums to one.

    Parameters
    ----------
    vectors : (P, 3) centres of equal-area pixels that cover the sky and resolve a quarter of a degree
    """
    import healpy

    nside = round((len(vectors) / 12) ** 0.5)
    shares = np.zeros(len(vectors))
    positions, fluxes = _sources()
    for position, flux in zip(positions, fluxes, strict=True):
        nearby = healpy.query_disc(nside, position, 4 * _PSF_RAD, inclusive=True)
        # The chord is the angle to second order, and finite at zero.
        distance = np.linalg.norm(vectors[nearby] - position, axis=-1)
        weight = np.exp(-0.5 * (distance / _PSF_RAD) ** 2)
        shares[nearby] += flux * weight / weight.sum()
    total: Map = shares / shares.sum()
    return total


def brightest_sources(count: int) -> Vectors:
    """Return directions of the brightest sources, (count, 3)."""
    positions, fluxes = _sources()
    brightest: Vectors = positions[np.argsort(-fluxes)[:count]]
    return brightest


def _sources() -> tuple[Vectors, Map]:
    """Return positions (S, 3) and relative fluxes (S,): half in the plane, half everywhere."""
    stream = numpy_stream(_SEED, "synthetic", "sources")
    half = _SOURCES // 2
    plane = unit_vectors(stream.laplace(0.0, 50.0, half), np.clip(stream.laplace(0.0, 1.5, half), -89.0, 89.0))
    anywhere = stream.standard_normal((_SOURCES - half, 3))
    anywhere /= np.linalg.norm(anywhere, axis=-1, keepdims=True)
    fluxes = np.minimum(stream.pareto(1.2, _SOURCES) + 1.0, 200.0)
    return np.concatenate((plane, anywhere)), fluxes
