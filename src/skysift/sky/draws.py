"""Draws of Gaussian-process fields with known hyper-parameters, for simulated skies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.sky.kernels import correlate

__all__ = ["FieldLaw", "angular_power", "draw_field"]

Map = NDArray[np.float64]
_JITTER = 1e-10


@dataclass(frozen=True)
class FieldLaw:
    """One Gaussian process of zero mean.

    Parameters
    ----------
    lengthscale_rad : correlation length, rad
    variance : of the field
    kernel, distance : see `skysift.sky.kernels`
    energies : one field for all bins, one for each, or correlated in ln E
    energy_lengthscale : correlation length in ln E
    """

    lengthscale_rad: float
    variance: float
    kernel: str = "matern52"
    distance: str = "chord"
    energies: Literal["shared", "independent", "separable"] = "shared"
    energy_lengthscale: float = 1.0


def draw_field(
    laws: Sequence[FieldLaw],
    nside: int,
    pixels: NDArray[np.int64],
    energy_edges_gev: Map,
    stream: np.random.Generator,
) -> Map:
    r"""Draw a sum of independent fields at pixel centres, without inducing points.

    An isotropic field on the sphere is a sum of harmonics with independent coefficients of variance
    :math:`C_\ell`. Those above :math:`3 n_\mathrm{side} - 1` vary within a pixel and are drawn as white noise.

    Parameters
    ----------
    laws : the processes that are added
    nside : HEALPix resolution
    pixels : (P,) RING
    energy_edges_gev : (E + 1,) GeV
    stream : random numbers

    Returns
    -------
    (E, P)

    Raises
    ------
    InputError : a kernel that is not positive definite on the sphere (Matern on great-circle distance)
    """
    energies = len(energy_edges_gev) - 1
    total = np.zeros((energies, len(pixels)))
    for law in laws:
        power = angular_power(law, 3 * nside - 1)
        rows = 1 if law.energies == "shared" else energies
        draws = np.stack([_draw_unit(power, nside, pixels, stream) for _ in range(rows)])
        if law.energies == "separable":
            draws = _energy_factor(law, energy_edges_gev) @ draws
        total += math.sqrt(law.variance) * draws
    return total


def angular_power(law: FieldLaw, largest: int) -> Map:
    r"""Return the angular power of a unit-variance kernel.

    .. math:: C_\ell = 2\pi \int_0^\pi k(\theta) P_\ell(\cos\theta) \sin\theta\, d\theta, \quad
              \sum_\ell \frac{2\ell + 1}{4\pi} C_\ell = 1

    Parameters
    ----------
    law : its kernel, distance and lengthscale
    largest : degree of the last harmonic

    Returns
    -------
    (largest + 1,)

    Raises
    ------
    InputError : the power is negative somewhere

    References
    ----------
    Schoenberg (1942), positive definite functions on spheres
    """
    from scipy.special import roots_legendre

    # The kernel is smooth in the angle; the nodes resolve its width and the fastest harmonic.
    count = largest + 200 + math.ceil(16 / law.lengthscale_rad)
    nodes, weights = roots_legendre(count)
    angle = 0.5 * math.pi * (1 + nodes)
    cosine = np.cos(angle)
    distance = 2 * np.sin(0.5 * angle) if law.distance == "chord" else angle
    kernel = correlate(law.kernel, torch.as_tensor(distance), law.lengthscale_rad).numpy()
    measure = math.pi**2 * weights * kernel * np.sin(angle)
    power = np.empty(largest + 1)
    before, legendre = np.zeros(count), np.ones(count)
    for degree in range(largest + 1):
        power[degree] = measure @ legendre
        following = ((2 * degree + 1) * cosine * legendre - degree * before) / (degree + 1)
        before, legendre = legendre, following
    # Rounding leaves tiny values of either sign where the power has died out.
    if power.min() < -1e-7 * power.max():
        raise InputError(
            "configuration", "simulate.modulate.distance",
            f"{law.distance}: negative power {power.min():.2g} at degree {int(power.argmin())}",
            "a kernel that is positive definite on the sphere", "choose distance: chord",
        )  # fmt: skip
    return np.maximum(power, 0.0)


def _draw_unit(power: Map, nside: int, pixels: NDArray[np.int64], stream: np.random.Generator) -> Map:
    """Draw one field of unit variance, (P,)."""
    import healpy

    largest = len(power) - 1
    degree, order = healpy.Alm.getlm(largest)
    real, imaginary = stream.standard_normal((2, len(degree)))
    # A real field: coefficients of order zero are real, the others share their power between two parts.
    harmonics = np.where(order == 0, real, (real + 1j * imaginary) / math.sqrt(2)) * np.sqrt(power[degree])
    smooth: Map = healpy.alm2map(harmonics, nside, lmax=largest)[pixels]
    left_out = 1.0 - float((2 * np.arange(largest + 1) + 1) @ power) / (4 * math.pi)
    noise: Map = stream.standard_normal(len(pixels))
    return smooth + math.sqrt(max(left_out, 0.0)) * noise


def _energy_factor(law: FieldLaw, energy_edges_gev: Map) -> Map:
    """Return the Cholesky factor of the correlation between bins in ln E, (E, E)."""
    centers = torch.as_tensor(0.5 * np.log(energy_edges_gev[:-1] * energy_edges_gev[1:]))
    apart = (centers[:, None] - centers[None, :]).abs()
    gram = correlate(law.kernel, apart, law.energy_lengthscale).numpy()
    return np.asarray(np.linalg.cholesky(gram + _JITTER * np.eye(len(gram))), dtype=np.float64)
