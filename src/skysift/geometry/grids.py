"""Rectangular pixels in longitude and latitude (plate carrée)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.geometry.axes import check_edges, find_bins
from skysift.geometry.sphere import angular_separation_deg, unit_vectors

__all__ = ["LonLatGrid"]


@dataclass(frozen=True, eq=False)
class LonLatGrid:
    """Pixels between lines of longitude and latitude; pixel ``j = ilat * n_lon + ilon``.

    Parameters
    ----------
    lon_edges_deg : (n_lon + 1,), deg; rising, may leave [0, 360) so that a grid can lie across longitude zero
    lat_edges_deg : (n_lat + 1,), deg; rising, within [-90, 90]

    Raises
    ------
    InputError : edges that do not rise, more than a full turn, or latitudes beyond a pole

    Examples
    --------
    >>> grid = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)
    >>> grid.shape, grid.size
    ((17, 17), 289)
    >>> grid.find([359.9, 0.0, 5.0], [0.0, 3.3, 0.0])
    array([144, 280,  -1])
    """

    lon_edges_deg: NDArray[np.float64]
    lat_edges_deg: NDArray[np.float64]

    def __post_init__(self) -> None:
        lon = check_edges(self.lon_edges_deg, "longitude edges", "at least two rising longitudes, deg")
        lat = check_edges(self.lat_edges_deg, "latitude edges", "at least two rising latitudes, deg")
        if lon[-1] - lon[0] > 360.0 * (1 + 1e-12):
            raise InputError("axis", "longitude edges", lon[-1] - lon[0], "at most 360 deg", "give a smaller range")
        if lat[0] < -90.0 or lat[-1] > 90.0:
            raise InputError("axis", "latitude edges", lat, "-90 .. 90 deg", "stay between the poles")
        object.__setattr__(self, "lon_edges_deg", lon)
        object.__setattr__(self, "lat_edges_deg", lat)

    @classmethod
    def from_step(
        cls, lon_low_deg: float, lon_high_deg: float, lat_low_deg: float, lat_high_deg: float, step_deg: float
    ) -> LonLatGrid:
        """Return square steps whose centres run from low to high, both included.

        Raises
        ------
        InputError : a range that is no whole number of steps, or a step that is not positive
        """
        return cls(_edges(lon_low_deg, lon_high_deg, step_deg), _edges(lat_low_deg, lat_high_deg, step_deg))

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of latitudes and longitudes."""
        return len(self.lat_edges_deg) - 1, len(self.lon_edges_deg) - 1

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def lon_deg(self) -> NDArray[np.float64]:
        """Longitudes of the centres, (pixel,), deg."""
        return np.tile(_middles(self.lon_edges_deg), self.shape[0])

    @property
    def lat_deg(self) -> NDArray[np.float64]:
        """Latitudes of the centres, (pixel,), deg."""
        return np.repeat(_middles(self.lat_edges_deg), self.shape[1])

    @property
    def areas_deg2(self) -> NDArray[np.float64]:
        r"""Solid angles :math:`\Delta l\,\Delta \sin b`, (pixel,), deg2."""
        height = np.degrees(np.diff(np.sin(np.radians(self.lat_edges_deg))))
        return np.outer(height, np.diff(self.lon_edges_deg)).ravel()

    def wrap(self, lon_deg: ArrayLike) -> NDArray[np.float64]:
        """Return longitudes (...) shifted by whole turns to within half a turn of the grid's middle, deg."""
        middle = 0.5 * (self.lon_edges_deg[0] + self.lon_edges_deg[-1])
        given = np.asarray(lon_deg, dtype=np.float64)
        turns = np.round((given - middle) / 360.0)
        return given - 360.0 * np.where(np.isfinite(turns), turns, 0.0)

    def find(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the pixel of each direction (...), deg; -1 outside and for NaN."""
        lon, lat = np.broadcast_arrays(self.wrap(lon_deg), np.asarray(lat_deg, dtype=np.float64))
        column, row = find_bins(self.lon_edges_deg, lon), find_bins(self.lat_edges_deg, lat)
        return np.where((column >= 0) & (row >= 0), row * self.shape[1] + column, -1)

    def separations_deg(self, lon_deg: float, lat_deg: float) -> NDArray[np.float64]:
        """Return the great-circle distance of every pixel's centre from one direction, (pixel,), deg."""
        return angular_separation_deg(unit_vectors(self.lon_deg, self.lat_deg), unit_vectors(lon_deg, lat_deg))


def _middles(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    middles: NDArray[np.float64] = 0.5 * (edges[1:] + edges[:-1])
    return middles


def _edges(low: float, high: float, step: float) -> NDArray[np.float64]:
    """Return edges half a step beyond centres that run from low to high."""
    steps = (high - low) / step if step > 0 else -1.0
    if not np.isfinite(steps) or steps < 0 or abs(steps - round(steps)) > 1e-6:
        raise InputError(
            "axis", "step", f"{low} .. {high} by {step} deg", "a whole number of steps from the lowest to the highest",
            "centres run from one end of the range to the other, both included",
        )  # fmt: skip
    count = round(steps)
    # Each edge from both ends, so that a range about zero has edges about zero.
    position = np.arange(count + 2) - 0.5
    return 0.5 * ((low + step * position) + (high - step * position[::-1]))
