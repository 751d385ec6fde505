"""A source without size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.geometry.sphere import angular_separation_deg, unit_vectors

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["Point"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """All in one place, Galactic, deg."""

    lon_deg: float
    lat_deg: float

    @property
    def reach_deg(self) -> float:
        """Distance from the centre beyond which nothing is left, deg."""
        return 0.0

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return infinity at the point and zero elsewhere, (...)."""
        apart = angular_separation_deg(unit_vectors(lon_deg, lat_deg), unit_vectors(self.lon_deg, self.lat_deg))
        return np.where(apart == 0, np.inf, 0.0)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the share (J,) of the flux in each pixel of a grid: one where the point lies."""
        shares = np.zeros(grid.size)
        pixel = int(np.ravel(grid.find(np.array([self.lon_deg]), np.array([self.lat_deg])))[0])
        if pixel >= 0:
            shares[pixel] = 1.0
        return shares

    @property
    def share_on_sphere(self) -> float:
        """Share of places on the plane that the sphere keeps: all."""
        return 1.0

    def share_beyond(self, distance_deg: float) -> float:
        """Return the share of the flux that lies so far from the centre, deg."""
        return float(distance_deg <= 0)

    def place(self, shares: Array, beyond_deg: float = 0.0) -> tuple[Array, Array]:
        """Return distances and position angles (n,) from uniform numbers (3, n): all zero."""
        return np.zeros(shares.shape[1]), np.zeros(shares.shape[1])
