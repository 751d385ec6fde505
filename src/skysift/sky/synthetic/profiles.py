"""Smooth emission along the line of sight: the squared dark matter halo, exponential discs, bubbles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import Vectors, angular_separation_deg, lonlat_deg, unit_vectors

__all__ = ["SUN_KPC", "bubbles", "exponential_disc", "halo_squared", "halo_squared_profile"]

SUN_KPC = 8.5
"""Distance of the Sun from the Galactic centre, kpc."""

Map = NDArray[np.float64]


def halo_squared_profile(angle_rad: Map, slope: float = 1.2, scale_kpc: float = 20.0) -> Map:
    r"""Return the line-of-sight integral of a squared generalised NFW profile.

    .. math:: J(\psi) = \int_0^\infty \rho^2(r)\, ds, \quad
              \rho(r) = (r/r_s)^{-\gamma} (1 + r/r_s)^{\gamma - 3}, \quad
              r^2 = R^2 \sin^2\psi + (s - R \cos\psi)^2

    With the distance from the tangent point written as R sin(psi) sinh(t) the integrand is smooth and short
    in t, so that Gauss-Legendre nodes resolve the cusp and the halo's edge alike.

    Parameters
    ----------
    angle_rad : (...) from the Galactic centre, rad, strictly between 0 and pi
    slope : inner slope gamma
    scale_kpc : r_s, kpc

    Returns
    -------
    (...), kpc times squared density at r_s in units where rho(r) ~ (r / r_s)^-gamma inside

    References
    ----------
    Navarro, Frenk, White (1996), generalised; Abazajian, Kaplinghat (2012), eq. 1
    """
    nodes, weights = np.polynomial.legendre.leggauss(256)
    angle = np.asarray(angle_rad, dtype=np.float64)[..., None]
    impact = SUN_KPC * np.sin(angle)
    start = np.arcsinh(-SUN_KPC * np.cos(angle) / impact)
    # 1e4 kpc lies far outside the halo: rho^2 falls as r^-6.
    end = np.arcsinh(1e4 / impact)
    half = 0.5 * (end - start)
    cosh = np.cosh(start + half * (1 + nodes))
    radius = impact * cosh / scale_kpc
    density_squared = radius ** (-2 * slope) * (1 + radius) ** (2 * slope - 6)
    profile: Map = np.sum(density_squared * impact * cosh * half * weights, axis=-1)
    return profile


def halo_squared(vectors: Vectors, core_rad: float, slope: float = 1.2) -> Map:
    """Return the squared halo seen towards directions, softened within ``core_rad`` like a PSF does.

    Parameters
    ----------
    vectors : (P, 3)
    core_rad : softening added in quadrature to the angle, rad
    slope : inner slope

    Returns
    -------
    (P,), units of `halo_squared_profile`
    """
    separation = np.radians(angular_separation_deg(vectors, unit_vectors(0.0, 0.0)))
    softened = np.minimum(np.hypot(separation, core_rad), 0.999 * np.pi)
    knots = np.geomspace(core_rad, 0.999 * np.pi, 600)
    values = halo_squared_profile(knots, slope)
    return np.exp(np.interp(np.log(softened), np.log(knots), np.log(values)))


def exponential_disc(vectors: Vectors, radius_kpc: float, height_kpc: float) -> Map:
    r"""Return the line-of-sight integral of a disc :math:`\exp(-R/R_0 - |z|/z_0)`.

    Parameters
    ----------
    vectors : (P, 3) from the Sun, in the disc's plane
    radius_kpc, height_kpc : scale length and scale height, kpc

    Returns
    -------
    (P,), kpc
    """
    nodes, weights = np.polynomial.legendre.leggauss(96)
    # Logarithmic distances resolve the thin nearby layer and the far side of the disc alike.
    low, high = np.log(1e-3), np.log(60.0)
    distance = np.exp(low + 0.5 * (high - low) * (1 + nodes))
    weight = 0.5 * (high - low) * weights * distance
    total = np.zeros(len(vectors))
    for step, share in zip(distance, weight, strict=True):
        x, y, z = (vectors * step).T
        total += share * np.exp(-np.hypot(x - SUN_KPC, y) / radius_kpc - np.abs(z) / height_kpc)
    return total


def bubbles(vectors: Vectors) -> Map:
    """Return one inside two lobes above and below the centre and zero outside, (P,)."""
    longitude, latitude = lonlat_deg(vectors)
    inside = (longitude / 18.0) ** 2 + ((np.abs(latitude) - 27.0) / 27.0) ** 2 < 1
    return inside.astype(np.float64)
