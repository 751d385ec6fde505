"""Templates moved on the sphere: the signal's profile where no signal is expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.healpix import interpolate, pixel_area_sr, pixel_vectors
from skysift.geometry.sphere import rotation

__all__ = ["SIDEBAND_LONGITUDES_DEG", "moved_template", "sideband_name"]

SIDEBAND_LONGITUDES_DEG = (30.0, -30.0, 45.0, -45.0, 60.0, -60.0, 90.0, -90.0, 130.0, -130.0)
"""Centres of the sidebands in the Galactic plane, deg."""


def moved_template(
    template: NDArray[np.float64],
    exposure_cm2_s: NDArray[np.float64],
    nside: int,
    center_from_deg: tuple[float, float],
    center_to_deg: tuple[float, float],
) -> NDArray[np.float64]:
    r"""Return a template whose intensity has been rotated to another centre and seen with the exposure there.

    .. math:: T'_p = \frac{T}{E}\left(R^{-1} x_p\right) E_p

    Parameters
    ----------
    template : (E, 12 nside^2) counts per pixel at unit norm, RING, Galactic
    exposure_cm2_s : (E, 12 nside^2) cm2 s; pixels without exposure carry no intensity
    nside : resolution of both
    center_from_deg, center_to_deg : Galactic longitude and latitude, deg; north stays up

    Returns
    -------
    (E, 12 nside^2) counts per pixel at unit norm

    Examples
    --------
    >>> flat = np.ones((1, 12))
    >>> moved_template(flat, flat, 1, (0.0, 0.0), (30.0, 0.0)).round(12).tolist() == flat.tolist()
    True
    """
    area = pixel_area_sr(nside)
    seen = exposure_cm2_s > 0
    intensity = np.divide(template, exposure_cm2_s * area, out=np.zeros_like(template), where=seen)
    # A row vector times R is the inverse rotation of its direction.
    origin = pixel_vectors(nside) @ rotation(center_from_deg, center_to_deg)
    moved: NDArray[np.float64] = interpolate(intensity, origin) * exposure_cm2_s * area
    return moved


def sideband_name(longitude_deg: float) -> str:
    """Return the name of the sideband at a longitude.

    Examples
    --------
    >>> sideband_name(30.0), sideband_name(-130.0)
    ('l+30', 'l-130')
    """
    return f"l{longitude_deg:+g}"
