"""Point-spread function of the PSF3 event type at 2 GeV: a double King function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["king_containment", "king_containment_radius_rad", "king_psf"]

_SCALE_RAD = 0.00456544262478
_CORE_SHARE = 0.748988248179
_CORE = (0.428653790656, 7.82363229341)
_TAIL = (0.715962650769, 3.61883748683)


def king_psf(radius_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return the density of a point source's photons per solid angle.

    .. math:: P(x) = c K(x; s_c, g_c) + (1 - c) K(x; s_t, g_t), \quad
              K(x; s, g) = \frac{1 - 1/g}{2 \pi s^2} \left(1 + \frac{x^2}{2 g s^2}\right)^{-g}

    with x the angle in units of 0.00456544 rad.

    Parameters
    ----------
    radius_rad : (...), rad

    Returns
    -------
    (...), 1 / sr in the flat-sky measure 2 pi r dr, integral one
    """
    x = np.asarray(radius_rad, dtype=np.float64) / _SCALE_RAD
    return (_CORE_SHARE * _king(x, *_CORE) + (1 - _CORE_SHARE) * _king(x, *_TAIL)) / _SCALE_RAD**2


def king_containment(radius_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of photons within a radius (...), rad, in closed form.

    Examples
    --------
    >>> float(king_containment(np.radians(0.480)).round(3))
    0.95
    """
    x = np.asarray(radius_rad, dtype=np.float64) / _SCALE_RAD
    share: NDArray[np.float64] = _CORE_SHARE * _king_share(x, *_CORE) + (1 - _CORE_SHARE) * _king_share(x, *_TAIL)
    return share


def king_containment_radius_rad(share: float) -> float:
    """Return the radius that contains ``share`` of the photons, rad; ``share`` strictly between 0 and 1."""
    low, high = 0.0, np.pi
    for _ in range(80):
        middle = 0.5 * (low + high)
        if king_containment(np.asarray(middle)) < share:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _king(x: NDArray[np.float64], sigma: float, gamma: float) -> NDArray[np.float64]:
    density: NDArray[np.float64] = (1 + x**2 / (2 * gamma * sigma**2)) ** -gamma
    return density * (1 - 1 / gamma) / (2 * np.pi * sigma**2)


def _king_share(x: NDArray[np.float64], sigma: float, gamma: float) -> NDArray[np.float64]:
    share: NDArray[np.float64] = -np.expm1((1 - gamma) * np.log1p(x**2 / (2 * gamma * sigma**2)))
    return share
