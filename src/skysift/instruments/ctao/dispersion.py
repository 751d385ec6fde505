"""Energy dispersion: density and exact cumulative of mu = E_r / E_t."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.instruments.ctao.hdus import ResponseTable
from skysift.instruments.ctao.tables import Array, Axis, contains, corners, interpolate

__all__ = ["EnergyDispersion", "read_dispersion"]

_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class EnergyDispersion:
    r"""Energy dispersion, trilinear in ln E, mu and offset, clipped at 0, normalised after interpolation.

    .. math:: p(\mu | E, o) = M(\mu, E, o) / \int_0^{\mu_{max}} M d\mu

    Parameters
    ----------
    energy, migra, offset : axes, TeV, none and deg
    values : (energy, offset, migra), of any scale; a column of zeros stands for no information
    """

    energy: Axis
    migra: Axis
    offset: Axis
    values: Array

    def raw(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the table interpolated as it stands; 0 outside the outer edges; the arguments broadcast."""
        axes, points = (self.energy, self.offset, self.migra), (energy_tev, offset_deg, migra)
        values = np.maximum(interpolate(self.values, corners(axes, points)), 0.0)
        return np.where(contains(axes, points), values, 0.0)

    def density(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the density per unit mu, integral one over the axis; 0 where the table is empty."""
        total = self.integral(energy_tev, offset_deg)
        is_filled = total > 0
        inverse = np.where(is_filled, 1.0, 0.0) / np.where(is_filled, total, 1.0)
        return self.raw(energy_tev, migra, offset_deg) * inverse

    def integral(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the integral of the interpolated table over mu; the arguments broadcast."""
        energy, offset = np.broadcast_arrays(energy_tev, offset_deg)
        shape, points = energy.shape, (np.ravel(energy), np.ravel(offset))
        places = corners((self.energy, self.offset), points)
        total = interpolate(self._node_integrals, places)
        # Between nodes whose columns need no clipping the integral is as linear as the table.
        is_clipped = np.zeros(total.shape, dtype=bool)
        for node, weight in places:
            is_clipped |= (weight < 0) | (np.ravel(self._is_bent)[node] & (weight > 0))
        for at in np.array_split(np.flatnonzero(is_clipped), 1 + int(is_clipped.sum()) // _BLOCK):
            total[at] = self._cell_integrals(points[0][at], points[1][at]).sum(axis=-1)
        total = np.where(contains((self.energy, self.offset), points), total, 0.0)
        return total.reshape(shape)

    def lines(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return mu (n,), from the first edge through all nodes to the last, and the table there (..., n).

        As `raw`, but continued up to the last edge: between two of these mu the table is linear.
        """
        energy, offset = np.broadcast_arrays(energy_tev, offset_deg)
        points = (np.ravel(energy), np.ravel(offset))
        inside = contains((self.energy, self.offset), points)
        column = np.where(inside[:, None], np.maximum(self._columns(*points), 0.0), 0.0)
        return self._support, column.reshape(*energy.shape, -1)

    def cumulative(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return mu (n,), from the first edge through all nodes to the last, and the share below each (..., n).

        The last share is one, or zero where the table is empty. Between two of these mu use `share_below`.
        """
        energy, offset = np.broadcast_arrays(energy_tev, offset_deg)
        running, _ = self._running(np.ravel(energy), np.ravel(offset))
        return self._support, running.reshape(*energy.shape, -1)

    def share_below(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the share of events reconstructed below mu, exact for the interpolated table.

        Parameters
        ----------
        energy_tev, migra, offset_deg : broadcast together; quick where mu has more dimensions than the other two
        """
        energy, offset = np.broadcast_arrays(energy_tev, offset_deg)
        shape = np.broadcast_shapes(energy.shape, np.shape(migra))
        rows = np.broadcast_to(np.arange(energy.size).reshape(energy.shape), shape).ravel()
        mu = np.broadcast_to(np.clip(migra, self._support[0], self._support[-1]), shape).ravel()
        order = np.argsort(rows, kind="stable")
        share = np.empty(mu.shape)
        bounds = np.searchsorted(rows[order], np.arange(0, energy.size + _BLOCK, _BLOCK))
        energies, offsets = np.ravel(energy), np.ravel(offset)
        for block in range(len(bounds) - 1):
            at, first = order[bounds[block] : bounds[block + 1]], block * _BLOCK
            part = slice(first, first + _BLOCK)
            share[at] = self._share_of_rows(energies[part], offsets[part], rows[at] - first, mu[at])
        return share.reshape(shape)

    def _share_of_rows(self, energy_tev: Array, offset_deg: Array, row: NDArray[np.int64], mu: Array) -> Array:
        running, column = self._running(energy_tev, offset_deg)
        support = self._support
        cell = np.clip(np.searchsorted(support, mu, side="right") - 1, 0, len(support) - 2)
        low, high = column[row, cell], column[row, cell + 1]
        width = support[cell + 1] - support[cell]
        reach = mu - support[cell]
        share: Array = running[row, cell] + _area_above_zero(low, low + (high - low) * reach / width, reach)
        return share

    def draw(self, energy_tev: Array, offset_deg: Array, share: Array) -> Array:
        """Return mu (n,) of events, one from each share, uniform in [0, 1); NaN where the table is empty.

        Between nodes the density is a mixture of those of the nodes: the share first picks a node and then, stretched,
        is inverted there. Where the table is clipped, its own cumulative is inverted.
        """
        places = corners((self.energy, self.offset), (energy_tev, offset_deg))
        nodes = np.stack([np.broadcast_to(node, share.shape) for node, _ in places])
        weights = np.stack([np.broadcast_to(weight, share.shape) for _, weight in places])
        is_clipped = np.any((weights < 0) | (self._is_bent.ravel()[nodes] & (weights > 0)), axis=0)
        bounds = np.cumsum(np.maximum(weights, 0.0) * self._node_integrals.ravel()[nodes], axis=0)
        wanted = share * bounds[-1]
        pick, rows = np.minimum((wanted >= bounds).sum(axis=0), len(nodes) - 1), np.arange(share.size)
        below = np.where(pick > 0, bounds[pick - 1, rows], 0.0)
        width = bounds[pick, rows] - below
        rest = np.clip((wanted - below) / np.where(width > 0, width, 1.0), 0.0, np.nextafter(1.0, 0.0))
        mu = self._invert(*self._node_running, nodes[pick, rows], rest)
        for at in np.array_split(np.flatnonzero(is_clipped), 1 + int(is_clipped.sum()) // _BLOCK):
            running, column = self._running(energy_tev[at], offset_deg[at])
            mu[at] = self._invert(running, column, np.arange(at.size), share[at])
        inside = contains((self.energy, self.offset), (energy_tev, offset_deg))
        return np.where(inside & (is_clipped | (bounds[-1] > 0)), mu, np.nan)

    def _invert(self, running: Array, column: Array, row: NDArray[np.int64], share: Array) -> Array:
        """Return mu where the running integral of a row (row, support) reaches a share, NaN in rows of zeros."""
        support, size = self._support, running.shape[1]
        # Rows laid end to end, each one higher than the last, so that one search finds all cells.
        ends = (running + np.arange(len(running))[:, None]).ravel()
        cell = np.clip(np.searchsorted(ends, row + share, side="right") - 1 - row * size, 0, size - 2)
        low, high, width = column[row, cell], column[row, cell + 1], support[cell + 1] - support[cell]
        area, slope = np.maximum(share - running[row, cell], 0.0), (high - low) / width
        start = np.where((low < 0) & (high > 0), -low / np.where(slope > 0, slope, 1.0), 0.0)
        level = np.maximum(low, 0.0)
        root = level + np.sqrt(np.maximum(level**2 + 2 * slope * area, 0.0))
        reach = np.where(root > 0, 2 * area / np.where(root > 0, root, 1.0), 0.0)
        mu = support[cell] + np.clip(start + reach, 0.0, width)
        return np.where(running[row, -1] > 0, mu, np.nan)

    def _running(self, energy_tev: Array, offset_deg: Array) -> tuple[Array, Array]:
        """Return normalised running integrals (n, support) and the columns divided by the same total (n, support)."""
        inside = contains((self.energy, self.offset), (energy_tev, offset_deg))
        return _accumulate(self._columns(energy_tev, offset_deg), inside, self._support)

    def _cell_integrals(self, energy_tev: Array, offset_deg: Array) -> Array:
        column = self._columns(energy_tev, offset_deg)
        return _area_above_zero(column[:, :-1], column[:, 1:], np.diff(self._support))

    def _columns(self, energy_tev: Array, offset_deg: Array) -> Array:
        """Return the interpolated table at all of the support, not clipped, (n, support)."""
        return interpolate(self._extended, corners((self.energy, self.offset), (energy_tev, offset_deg)), rest=1)

    @cached_property
    def _support(self) -> Array:
        """First edge, nodes and last edge of mu: between two of them the table is linear."""
        return np.concatenate((self.migra.edges[:1], self.migra.nodes, self.migra.edges[-1:]))

    @cached_property
    def _extended(self) -> Array:
        """The table at the support, (energy, offset, support)."""
        ends = corners((self.migra,), (self.migra.edges[[0, -1]],))
        outer = np.moveaxis(interpolate(np.moveaxis(self.values, -1, 0), ends, rest=2), 0, -1)
        return np.concatenate((outer[..., :1], self.values, outer[..., 1:]), axis=-1)

    @cached_property
    def _node_integrals(self) -> Array:
        cells = _area_above_zero(self._extended[..., :-1], self._extended[..., 1:], np.diff(self._support))
        integrals: Array = cells.sum(axis=-1)
        return integrals

    @cached_property
    def _node_running(self) -> tuple[Array, Array]:
        """Running integrals and columns of all nodes, (node, support), both divided by the integral of the node."""
        column = self._extended.reshape(-1, len(self._support))
        return _accumulate(column, np.ones(len(column), dtype=bool), self._support)

    @cached_property
    def _is_bent(self) -> NDArray[np.bool_]:
        """Which nodes (energy, offset) go below zero before an outer edge of mu."""
        bent: NDArray[np.bool_] = np.any(self._extended < 0, axis=-1)
        return bent


def _accumulate(column: Array, is_used: NDArray[np.bool_], support: Array) -> tuple[Array, Array]:
    """Return running integrals of columns (n, support) and the columns, both divided by the whole integral."""
    cells = _area_above_zero(column[:, :-1], column[:, 1:], np.diff(support))
    running = np.concatenate((np.zeros((len(cells), 1)), np.cumsum(cells, axis=1)), axis=1)
    total = np.where(is_used, running[:, -1], 0.0)[:, None]
    scale = np.where(total > 0, 1.0, 0.0) / np.where(total > 0, total, 1.0)
    return running * scale, column * scale


def _area_above_zero(low: Array, high: Array, width: Array) -> Array:
    """Return the integral of max(0, line from ``low`` to ``high``) over ``width``."""
    top, bottom = np.maximum(low, high), np.minimum(low, high)
    is_crossing = (bottom < 0) & (top > 0)
    reach = np.where(is_crossing, top / np.where(is_crossing, top - bottom, 1.0), 1.0)
    height = np.maximum(top, 0.0) + np.where(is_crossing, 0.0, np.maximum(bottom, 0.0))
    area: Array = 0.5 * width * reach * height
    return area


def read_dispersion(table: ResponseTable) -> EnergyDispersion:
    """Read an EDISP_2D table.

    Raises
    ------
    InputError : columns, units or axes are not those of the format
    """
    energy, migra, offset = table.axis("ENERG"), table.axis("MIGRA"), table.axis("THETA")
    values = table.values("MATRIX", (offset, migra, energy), None)
    return EnergyDispersion(energy, migra, offset, np.ascontiguousarray(values.transpose(2, 0, 1)))
