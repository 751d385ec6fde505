"""Tables on rectangular axes, interpolated multilinearly between bin centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Axis", "Place", "contains", "corners", "interpolate"]

Array = NDArray[np.float64]
#: Number of the lower node of a cell, and the weight of the upper one (below 0 or above 1 outside the nodes).
Place = tuple[NDArray[np.int64], Array]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a table: bins, whose centres are its nodes.

    Parameters
    ----------
    name : as in the file, without _LO and _HI
    edges : (n + 1,), rising
    logarithmic : nodes are geometric means of the edges and interpolation is linear in the logarithm
    """

    name: str
    edges: Array
    logarithmic: bool = False

    @classmethod
    def from_nodes(cls, name: str, nodes: Array, logarithmic: bool = False) -> Axis:
        """Return the axis whose bins surround given nodes (n >= 2,): edges half way, half a cell beyond the ends."""
        scaled = np.log(nodes) if logarithmic else nodes
        middle = 0.5 * (scaled[1:] + scaled[:-1])
        edges = np.concatenate(([1.5 * scaled[0] - 0.5 * scaled[1]], middle, [1.5 * scaled[-1] - 0.5 * scaled[-2]]))
        axis = cls(name, np.exp(edges) if logarithmic else edges, logarithmic)
        object.__setattr__(axis, "scaled_nodes", scaled)
        return axis

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    @cached_property
    def scaled_nodes(self) -> Array:
        """Nodes (n,), in the logarithm where the axis is logarithmic."""
        scaled = self._scale(self.edges)
        return 0.5 * (scaled[1:] + scaled[:-1])

    @property
    def nodes(self) -> Array:
        """Nodes (n,) in the unit of the edges."""
        return np.exp(self.scaled_nodes) if self.logarithmic else self.scaled_nodes

    def _scale(self, values: Array) -> Array:
        if not self.logarithmic:
            return values
        scaled: Array = np.log(values)
        return scaled

    def locate(self, values: ArrayLike) -> Place:
        """Return the cell and the weight of its upper node; beyond the outer nodes the last cell goes on.

        Parameters
        ----------
        values : (...), in the unit of the edges; above 0 on a logarithmic axis
        """
        scaled = self._scale(np.asarray(values, dtype=np.float64))
        nodes = self.scaled_nodes
        if self.size == 1:
            return np.zeros(scaled.shape, dtype=np.int64), np.zeros(scaled.shape)
        cell = np.searchsorted(nodes[1:-1], scaled, side="right").astype(np.int64, copy=False)
        return cell, (scaled - nodes[cell]) / (nodes[1:] - nodes[:-1])[cell]

    def contains(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Tell which values lie in [first edge, last edge)."""
        array = np.asarray(values, dtype=np.float64)
        inside: NDArray[np.bool_] = (array >= self.edges[0]) & (array < self.edges[-1])
        return inside


def contains(axes: Sequence[Axis], values: Sequence[ArrayLike]) -> NDArray[np.bool_]:
    """Tell which points lie within the outer edges of all axes; the values of each axis broadcast together."""
    inside = np.asarray(True)
    for axis, value in zip(axes, values, strict=True):
        inside = inside & axis.contains(value)
    return inside


def corners(axes: Sequence[Axis], values: Sequence[ArrayLike]) -> list[tuple[NDArray[np.int64], Array]]:
    """Return the nodes around each point and their weights, for tables whose first dimensions are ``axes``.

    Parameters
    ----------
    axes : of k dimensions, slowest first
    values : k arrays (...) that broadcast together; each is located before it is broadcast

    Returns
    -------
    up to 2**k pairs: node number in the flattened table (...), weight (...); weights sum to one
    """
    found: list[tuple[NDArray[np.int64], Array]] = [(np.zeros((), dtype=np.int64), np.ones(()))]
    for axis, value in zip(axes, values, strict=True):
        cell, upper = axis.locate(value)
        steps = [(cell, 1.0 - upper), (cell + 1, upper)] if axis.size > 1 else [(cell, 1.0 - upper)]
        found = [(node * axis.size + at, weight * share) for node, weight in found for at, share in steps]
    return found


def interpolate(table: Array, places: list[tuple[NDArray[np.int64], Array]], rest: int = 0) -> Array:
    """Return weighted sums of nodes.

    Parameters
    ----------
    table : (n_1, ..., n_k, *others)
    places : from `corners`, over the first k dimensions
    rest : how many other dimensions follow; they come last in the answer
    """
    shape = table.shape[table.ndim - rest :]
    flat = table.reshape(-1, *shape)
    node, weight = places[0]
    total: Array = weight.reshape(weight.shape + (1,) * rest) * flat[node]
    for node, weight in places[1:]:
        total += weight.reshape(weight.shape + (1,) * rest) * flat[node]
    return total
