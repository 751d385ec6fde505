"""Maps on a grid of longitudes and latitudes: bilinear between nodes, integrated exactly over pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["PlateMap", "refuse_uncovered"]

Array = NDArray[np.float64]

_NEAR_DEG = 1e-6


@dataclass(frozen=True, eq=False)
class PlateMap:
    """Values at the nodes of a longitude-latitude grid, Galactic; constant in the outer halves of its border pixels.

    Parameters
    ----------
    lon_deg : (N,) evenly spaced, rising, at most a full turn, deg
    lat_deg : (M,) evenly spaced, rising, deg
    values : (..., M, N)
    place : file, for messages
    extend_deg : how far beyond its border the map continues with its border values, deg

    Raises
    ------
    InputError : axes that are not evenly rising, or that do not fit the values
    """

    lon_deg: Array
    lat_deg: Array
    values: Array
    place: str = "map"
    extend_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse axes that make no grid."""
        for name, axis, count in (("lon", self.lon_deg, -1), ("lat", self.lat_deg, -2)):
            steps = np.diff(axis)
            if len(axis) < 2 or len(axis) != self.values.shape[count]:
                found = f"{len(axis)} for values of shape {self.values.shape}"
                raise InputError(self.place, name, found, "one per row or column, two or more", "mend the map")
            if not (steps > 0).all() or np.ptp(steps) > 1e-3 * steps[0]:
                raise InputError(self.place, name, "uneven steps", "evenly rising coordinates, deg", "mend the map")

    def sample(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return values (..., n) at directions (n,), deg; NaN outside."""
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, dtype=np.float64), np.asarray(lat_deg, dtype=np.float64))
        nodes, values = self._around(float(np.mean(self.lon_deg)))
        middle = 0.5 * (nodes[0] + nodes[-1])
        lon = (lon - middle + 180.0) % 360.0 - 180.0 + middle
        column, right = _place(nodes, lon)
        row, up = _place(self.lat_deg, lat)
        lower = values[..., row, column] * (1 - right) + values[..., row, column + 1] * right
        upper = values[..., row + 1, column] * (1 - right) + values[..., row + 1, column + 1] * right
        low, high = self._reach(self.lat_deg)
        west, east = self._reach(nodes)
        inside = (lat >= low) & (lat <= high) & (lon >= west) & (lon <= east)
        return np.where(inside, lower * (1 - up) + upper * up, np.nan)

    def integrate(self, grid: LonLatGrid) -> Array:
        """Return the integral over each pixel of a grid, (..., J), values times deg2.

        Raises
        ------
        InputError : pixels that the map does not cover
        """
        nodes, values = self._around(0.5 * (grid.lon_edges_deg[0] + grid.lon_edges_deg[-1]))
        inside = [
            (edges[:-1] >= low - _NEAR_DEG) & (edges[1:] <= high + _NEAR_DEG)
            for edges, (low, high) in (
                (grid.lat_edges_deg, self._reach(self.lat_deg)), (grid.lon_edges_deg, self._reach(nodes)),
            )
        ]  # fmt: skip
        refuse_uncovered(np.outer(*inside).reshape(-1), grid, self._extent(nodes), self.place)
        across = np.degrees(_hat_integrals(np.radians(self.lat_deg), np.radians(grid.lat_edges_deg), is_latitude=True))
        along = np.degrees(_hat_integrals(np.radians(nodes), np.radians(grid.lon_edges_deg), is_latitude=False))
        pixels: Array = across @ values @ along.T
        return pixels.reshape(*values.shape[:-2], grid.size)

    @property
    def _is_round(self) -> bool:
        """Whether longitudes close a full turn."""
        step = float(np.mean(np.diff(self.lon_deg)))
        return bool(self.lon_deg[-1] - self.lon_deg[0] + 1.01 * step >= 360.0)

    def _around(self, lon_deg: float) -> tuple[Array, Array]:
        """Return nodes and values turned so that the map surrounds a longitude, closed if it is a full turn."""
        if not self._is_round:
            middle = 0.5 * (self.lon_deg[0] + self.lon_deg[-1])
            return self.lon_deg + 360.0 * np.round((lon_deg - middle) / 360.0), self.values
        turned = (self.lon_deg - lon_deg + 180.0) % 360.0 - 180.0 + lon_deg
        # A node that a map holds twice, at both ends of the turn, counts once.
        turned, order = np.unique(turned.round(9), return_index=True)
        order = np.concatenate((order[-1:], order, order[:1]))
        return np.concatenate((turned[-1:] - 360.0, turned, turned[:1] + 360.0)), self.values[..., order]

    def _reach(self, nodes: Array) -> tuple[float, float]:
        half = 0.5 * (nodes[-1] - nodes[0]) / (len(nodes) - 1) + self.extend_deg
        return float(nodes[0] - half), float(nodes[-1] + half)

    def _extent(self, nodes: Array) -> str:
        low, high = self._reach(self.lat_deg)
        west, east = self._reach(nodes)
        return f"l {west:.6g} .. {east:.6g} deg, b {low:.6g} .. {high:.6g} deg"


def refuse_uncovered(covered: NDArray[np.bool_], grid: LonLatGrid, extent: str, place: str) -> None:
    """Refuse a map that leaves pixels (J,) of a grid uncovered.

    Raises
    ------
    InputError : names the pixels
    """
    missing = np.nonzero(~covered)[0]
    if not len(missing):
        return
    shown = ", ".join(f"{j} (l {grid.lon_deg[j]:.6g}, b {grid.lat_deg[j]:.6g})" for j in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise InputError(
        place, "pixels", f"{len(missing)} of {grid.size} pixels outside the map: {shown}{more}",
        f"a map that covers every pixel; this one covers {extent}", "give a larger map, or shrink the field",
    )  # fmt: skip


def _place(nodes: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the node before each value and the way to the next one, within 0 and 1."""
    index = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return index, np.clip((values - nodes[index]) / (nodes[index + 1] - nodes[index]), 0.0, 1.0)


def _hat_integrals(nodes: Array, edges: Array, is_latitude: bool) -> Array:
    r"""Return integrals over bins of the piecewise linear function that is one at a node and zero at all others.

    .. math:: W_{pm} = \int_p \Lambda_m(x)\, w(x)\, dx

    with w = 1, or cos x for latitudes; beyond the last node its function stays one.

    Returns
    -------
    (bins, nodes), rad
    """
    bounds = np.concatenate(([min(nodes[0], edges[0])], nodes, [max(nodes[-1], edges[-1])]))
    low = np.clip(edges[:-1, None], bounds[:-1], bounds[1:])
    high = np.clip(edges[1:, None], bounds[:-1], bounds[1:])
    origin = np.concatenate((nodes[:1], nodes))
    if is_latitude:
        whole = np.sin(high) - np.sin(low)
        first = (high - origin) * np.sin(high) + np.cos(high) - (low - origin) * np.sin(low) - np.cos(low)
    else:
        whole = high - low
        first = 0.5 * ((high - origin) ** 2 - (low - origin) ** 2)
    rising = first[:, 1:-1] / np.diff(nodes)
    weights = np.zeros((len(edges) - 1, len(nodes)))
    weights[:, 1:] += rising
    weights[:, :-1] += whole[:, 1:-1] - rising
    weights[:, 0] += whole[:, 0]
    weights[:, -1] += whole[:, -1]
    return weights
