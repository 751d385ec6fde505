"""Background events per reconstructed bin: the rate integrated over energy and solid angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing

__all__ = ["integrate_background"]

Array = NDArray[np.float64]
#: One more Gauss-Legendre point for each of these lengths in ln E and deg.
_STEP_LOG_ENERGY, _STEP_DEG = 0.1, 0.2


def integrate_background(irf: Irf, axes: Axes, pointing: Pointing) -> Array:
    r"""Return the rate :math:`\int B\, dE\, d\Omega` of each bin.

    Parameters
    ----------
    irf : gives B, in field-of-view coordinates
    axes : reconstructed bins
    pointing : direction

    Returns
    -------
    (energy, pixel), events per second
    """
    log_energy, energy_weights = _points(np.log(axes.energy.edges_tev), _STEP_LOG_ENERGY)
    energy = np.exp(log_energy)
    lon, lon_weights = _points(axes.grid.lon_edges_deg, _STEP_DEG)
    lat, lat_weights = _points(axes.grid.lat_edges_deg, _STEP_DEG)
    lon_all, lat_all = np.meshgrid(lon.ravel(), lat.ravel())
    solid = np.outer(lat_weights * np.cos(np.radians(lat)), lon_weights).ravel()
    (rows, across), (columns, along) = lat.shape, lon.shape
    counts = np.empty(axes.shape)
    for number in range(axes.energy.size):
        at, weights = energy[number], energy_weights[number] * energy[number]
        rate = irf.background_at(at[:, None], lon_all.ravel(), lat_all.ravel(), pointing)
        total = (weights @ rate) * solid
        counts[number] = total.reshape(rows, across, columns, along).sum(axis=(1, 3)).ravel()
    return counts


def _points(edges: Array, step: float) -> tuple[Array, Array]:
    """Return Gauss-Legendre points and weights of each bin, (bin, point)."""
    widths = np.diff(edges)
    places, weights = np.polynomial.legendre.leggauss(1 + int(np.ceil(widths.max() / step - 1e-9)))
    middles = 0.5 * (edges[1:] + edges[:-1])
    return middles[:, None] + 0.5 * widths[:, None] * places, 0.5 * widths[:, None] * weights
