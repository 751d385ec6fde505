"""What a source sends: its flux in the bins of a grid of true coordinates, and from single points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skysift.geometry import LonLatGrid
    from skysift.sky.shapes import Shape

__all__ = ["Light"]

Array = NDArray[np.float64]


def _no_points() -> Array:
    return np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class Light:
    """Flux of one source.

    With one row in place of E it is the share of the flux alone, and a spectrum multiplies it.

    Parameters
    ----------
    cube : (E, J), flux within each bin of true energy and pixel, cm-2 s-1
    points_deg : (P, 2), Galactic longitude and latitude of point sources, deg
    point_flux : (P, E), their flux in the energy bins, cm-2 s-1
    shapes : what cube and points are made of where it is known, each with its flux in the energy bins (E,), cm-2 s-1:
        events are then drawn from the shapes alone
    """

    cube: Array
    points_deg: Array = field(default_factory=_no_points)
    point_flux: Array = field(default_factory=lambda: np.zeros((0, 0)))
    shapes: tuple[tuple[Shape, Array], ...] = ()

    def __post_init__(self) -> None:
        if not len(self.points_deg):
            object.__setattr__(self, "point_flux", np.zeros((0, len(self.cube))))

    @property
    def total(self) -> Array:
        """Flux in each energy bin, (E,), cm-2 s-1."""
        return np.asarray(self.cube.sum(1) + self.point_flux.sum(0))

    def shines_on(self, grid: LonLatGrid) -> bool:
        """Whether any of it lies within the grid that its cube is on."""
        inside = grid.find(self.points_deg[:, 0], self.points_deg[:, 1]) >= 0
        return bool((self.cube > 0).any() or (self.point_flux[inside] > 0).any())

    def __add__(self, other: Light) -> Light:
        """Return the light of both."""
        return Light(
            self.cube + other.cube,
            np.concatenate([self.points_deg, other.points_deg]),
            np.concatenate([self.point_flux, other.point_flux]),
        )

    def with_spectrum(self, integrals: Array) -> Light:
        """Return shares (one row) times the flux in each energy bin (E,), cm-2 s-1."""
        return Light(integrals[:, None] * self.cube, self.points_deg, self.point_flux * integrals)
