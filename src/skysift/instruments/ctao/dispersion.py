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

    def _running(self, energy_tev: Array, offset_deg: Array) -> tuple[Array, Array]:
        """Return normalised running integrals (n, support) and the columns divided by the same total (n, support)."""
        column = self._columns(energy_tev, offset_deg)
        cells = _area_above_zero(column[:, :-1], column[:, 1:], np.diff(self._support))
        running = np.concatenate((np.zeros((len(cells), 1)), np.cumsum(cells, axis=1)), axis=1)
        inside = contains((self.energy, self.offset), (energy_tev, offset_deg))
        total = np.where(inside, running[:, -1], 0.0)[:, None]
        scale = np.where(total > 0, 1.0, 0.0) / np.where(total > 0, total, 1.0)
        return running * scale, column * scale

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
    def _is_bent(self) -> NDArray[np.bool_]:
        """Which nodes (energy, offset) go below zero before an outer edge of mu."""
        bent: NDArray[np.bool_] = np.any(self._extended < 0, axis=-1)
        return bent


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
