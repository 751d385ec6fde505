"""Point-spread functions: Gaussians, King profiles and tables over true energy and offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.instruments.ctao.tables import Array, Axis, corners, interpolate

__all__ = ["GaussianPsf", "KingPsf", "PointSpread", "containment_radius_deg"]

# Nodes of the Gaussian mixture that a King profile is: 1e-4 of the containment for gamma >= 1.5, 1e-5 from 2 on.
_KING_NODES = np.linspace(0.0, 1.0, 36)


class PointSpread(Protocol):
    """What every kind of point-spread function answers; all arguments broadcast."""

    @property
    def kind(self) -> str:
        """HDUCLAS4 of its table."""
        ...

    def components(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return weights (..., k) and widths in deg (..., k) of the Gaussians that it is a sum of."""
        ...

    def density(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the density per deg2, integral one over 2 pi r dr."""
        ...

    def containment(self, energy_tev: ArrayLike, offset_deg: ArrayLike, radius_deg: ArrayLike) -> Array:
        """Return the share within a radius."""
        ...


@dataclass(frozen=True, eq=False)
class GaussianPsf:
    r"""Sum of up to three Gaussians.

    .. math:: P(\rho) = \sum_k w_k \frac{e^{-\rho^2 / 2 \sigma_k^2}}{2 \pi \sigma_k^2}, \quad
              w_k \propto A_k \sigma_k^2, \quad A_1 = 1

    Each column is linear in ln E and offset by itself and clipped at 0; it goes on beyond the outer edges, where the
    area is 0.

    Parameters
    ----------
    energy, offset : axes, TeV and deg
    amplitudes, sigmas_deg : (term, energy, offset)
    is_filled : (energy, offset), 1 or 0 where it may be met at nodes without information; where it interpolates to 0
        all weights are 0
    """

    energy: Axis
    offset: Axis
    amplitudes: Array
    sigmas_deg: Array
    is_filled: Array

    kind = "PSF_3GAUSS"

    def components(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return weights (..., k), sum one, and widths in deg (..., k); terms that the table never uses are left out.

        The weights are 0 where the table holds nothing.
        """
        places = corners((self.energy, self.offset), (energy_tev, offset_deg))
        used = [term for term in range(len(self.amplitudes)) if term == 0 or np.any(self.amplitudes[term] > 0)]
        amplitudes = [np.maximum(interpolate(self.amplitudes[term], places), 0.0) for term in used]
        sigmas = np.stack([np.maximum(interpolate(self.sigmas_deg[term], places), 0.0) for term in used], axis=-1)
        weights = np.stack(amplitudes, axis=-1) * sigmas**2
        total = weights.sum(axis=-1, keepdims=True)
        is_known = (total > 0) & (interpolate(self.is_filled, places) > 0)[..., None]
        weights = np.where(is_known, weights / np.where(total > 0, total, 1.0), 0.0)
        return weights, np.where(sigmas > 0, sigmas, 1.0)

    def density(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the density per deg2; the arguments broadcast."""
        return _sum_density(*self.components(energy_tev, offset_deg), separation_deg)

    def containment(self, energy_tev: ArrayLike, offset_deg: ArrayLike, radius_deg: ArrayLike) -> Array:
        """Return the share within a radius; the arguments broadcast."""
        weights, sigmas = self.components(energy_tev, offset_deg)
        radius = np.asarray(radius_deg, dtype=np.float64)[..., None]
        share: Array = (weights * -np.expm1(-0.5 * (radius / sigmas) ** 2)).sum(axis=-1)
        return share


def _sum_density(weights: Array, sigmas_deg: Array, separation_deg: ArrayLike) -> Array:
    separation = np.asarray(separation_deg, dtype=np.float64)[..., None]
    terms = weights / (2 * np.pi * sigmas_deg**2) * np.exp(-0.5 * (separation / sigmas_deg) ** 2)
    density: Array = terms.sum(axis=-1)
    return density


@dataclass(frozen=True, eq=False)
class KingPsf:
    r"""King profile; sigma and gamma are linear in ln E and offset, each by itself.

    .. math:: P(\rho) = \frac{1 - 1 / \gamma}{2 \pi \sigma^2}
              \left(1 + \frac{\rho^2}{2 \gamma \sigma^2}\right)^{-\gamma}

    It is a mixture of Gaussians of width :math:`\sigma \sqrt{\gamma / t}`, t from a Gamma distribution of shape
    gamma - 1.

    Parameters
    ----------
    energy, offset : axes, TeV and deg
    sigma_deg, gamma : (energy, offset); gamma above one where the table holds information
    """

    energy: Axis
    offset: Axis
    sigma_deg: Array
    gamma: Array

    kind = "PSF_KING"

    def _shape(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return sigma, gamma and whether both are valid; where not, harmless numbers stand."""
        places = corners((self.energy, self.offset), (energy_tev, offset_deg))
        sigma, gamma = interpolate(self.sigma_deg, places), interpolate(self.gamma, places)
        is_known = (sigma > 0) & (gamma > 1)
        return np.where(is_known, sigma, 1.0), np.where(is_known, gamma, 2.0), is_known

    def components(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return weights (..., k), sum one, and widths in deg (..., k) by quadrature in ln t; weights 0 where empty."""
        sigma, gamma, is_known = self._shape(energy_tev, offset_deg)
        sigma, gamma, is_known = sigma[..., None], gamma[..., None], is_known[..., None]
        shape = gamma - 1
        # ln t peaks at ln shape, falls as shape * ln t on the left and much faster on the right.
        width = np.sqrt(24.0 / shape)
        low, high = -12.0 / shape - width, np.minimum(width, 3.3)
        log_t = np.log(shape) + low + (high - low) * _KING_NODES
        log_weights = shape * log_t - np.exp(log_t)
        weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
        weights = np.where(is_known, weights / weights.sum(axis=-1, keepdims=True), 0.0)
        return weights, sigma * np.sqrt(gamma * np.exp(-log_t))

    def density(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the density per deg2 in closed form; the arguments broadcast."""
        sigma, gamma, is_known = self._shape(energy_tev, offset_deg)
        reach = np.log1p(np.asarray(separation_deg, dtype=np.float64) ** 2 / (2 * gamma * sigma**2))
        return np.where(is_known, (1 - 1 / gamma) / (2 * np.pi * sigma**2) * np.exp(-gamma * reach), 0.0)

    def containment(self, energy_tev: ArrayLike, offset_deg: ArrayLike, radius_deg: ArrayLike) -> Array:
        """Return the share within a radius in closed form; the arguments broadcast."""
        sigma, gamma, is_known = self._shape(energy_tev, offset_deg)
        reach = np.log1p(np.asarray(radius_deg, dtype=np.float64) ** 2 / (2 * gamma * sigma**2))
        return np.where(is_known, -np.expm1((1 - gamma) * reach), 0.0)


def containment_radius_deg(psf: PointSpread, energy_tev: ArrayLike, offset_deg: ArrayLike, share: ArrayLike) -> Array:
    """Return the radius that holds a share of the events, by bisection in ln r to 1e-12; NaN where there is no PSF.

    Parameters
    ----------
    energy_tev, offset_deg, share : broadcast together; share in (0, 1)

    Returns
    -------
    (...), deg
    """
    energy, offset, wanted = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (energy_tev, offset_deg, share))
    )
    low, high = np.full(energy.shape, np.log(1e-6)), np.full(energy.shape, np.log(180.0))
    for _ in range(45):
        middle = 0.5 * (low + high)
        is_short = psf.containment(energy, offset, np.exp(middle)) < wanted
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    return np.where(psf.containment(energy, offset, 180.0) > 0, np.exp(0.5 * (low + high)), np.nan)
