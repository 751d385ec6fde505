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

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return the point's longitude and latitude, (count,), deg."""
        return np.full(count, self.lon_deg), np.full(count, self.lat_deg)
