"""Point-spread functions given as tables over true energy, offset and radius."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from skysift.instruments.ctao.tables import Array, Axis, corners, interpolate

__all__ = ["TablePsf"]

_BLOCK = 8192
# Gaussians of the mixture that stands for a table, and how firmly their weights sum to one in its fit.
_WIDTHS, _SUM_WEIGHT = 24, 100.0


@dataclass(frozen=True, eq=False)
class TablePsf:
    r"""Density table, trilinear in ln E, offset and radius, clipped at 0, normalised after interpolation.

    .. math:: P(\rho | E, o) = T(\rho, E, o) / \int_0^{R} 2 \pi \rho\, T d\rho

    It is 0 beyond the outermost radius R and where all of the table around is empty.

    Parameters
    ----------
    energy, offset, radius : axes, TeV, deg and deg
    values : (energy, offset, radius), of any scale
    """

    energy: Axis
    offset: Axis
    radius: Axis
    values: Array

    kind = "PSF_TABLE"

    def raw(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the table interpolated as it stands, 0 beyond the outermost radius; the arguments broadcast."""
        points = (energy_tev, offset_deg, separation_deg)
        values = np.maximum(interpolate(self.values, corners((self.energy, self.offset, self.radius), points)), 0.0)
        return np.where(np.asarray(separation_deg) < self.radius.edges[-1], values, 0.0)

    def density(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the density per deg2; the arguments broadcast."""
        energy, offset = np.broadcast_arrays(energy_tev, offset_deg)
        totals = np.empty(energy.size)
        for at in range(0, energy.size, _BLOCK):
            part = slice(at, at + _BLOCK)
            totals[part] = self._cells(np.ravel(energy)[part], np.ravel(offset)[part])[1].sum(axis=1)
        total = totals.reshape(energy.shape)
        inverse = np.where(total > 0, 1.0, 0.0) / np.where(total > 0, total, 1.0)
        return self.raw(energy_tev, offset_deg, separation_deg) * inverse

    def containment(self, energy_tev: ArrayLike, offset_deg: ArrayLike, radius_deg: ArrayLike) -> Array:
        """Return the share within a radius, exact for the interpolated table; the arguments broadcast."""
        arrays = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (energy_tev, offset_deg, radius_deg)))
        energy, offset, radius = (array.ravel() for array in arrays)
        share = np.empty(energy.size)
        for at in range(0, energy.size, _BLOCK):
            part = slice(at, at + _BLOCK)
            share[part] = self._share(energy[part], offset[part], radius[part])
        return share.reshape(arrays[0].shape)

    def components(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return weights (..., k) and widths in deg (..., k) of Gaussians fitted to the table; see `mixture_error`.

        The widths are the same everywhere; the weights are as linear as the table, so that some are below 0 where it
        goes on beyond its outer nodes, and all are 0 where it is empty.
        """
        places = corners((self.energy, self.offset), (energy_tev, offset_deg))
        weights = interpolate(self._mixture, places, rest=1)
        total = weights.sum(axis=-1, keepdims=True)
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1.0), 0.0)
        return weights, np.broadcast_to(self._widths_deg, weights.shape)

    @cached_property
    def mixture_error(self) -> float:
        """Largest difference in containment between the table and its Gaussians over all nodes and radii."""
        running, total = self._node_running
        is_filled = total > 0
        shares = running[is_filled] / total[is_filled][:, None]
        weights = self._mixture.reshape(-1, len(self._widths_deg))[is_filled] / total[is_filled][:, None]
        return float(np.max(np.abs(weights @ self._basis - shares), initial=0.0))

    @cached_property
    def _widths_deg(self) -> Array:
        support = self._support
        return np.geomspace(0.4 * support[1], 0.5 * support[-1], _WIDTHS)

    @cached_property
    def _basis(self) -> Array:
        """Containment of each width at each radius, (width, support)."""
        basis: Array = -np.expm1(-0.5 * (self._support / self._widths_deg[:, None]) ** 2)
        return basis

    @cached_property
    def _mixture(self) -> Array:
        """Weights of the widths (energy, offset, width), least squares in containment, none negative."""
        from scipy.optimize import nnls

        running, total = self._node_running
        equations = np.concatenate((self._basis.T, np.full((1, _WIDTHS), _SUM_WEIGHT)))
        fitted = np.zeros((len(total), _WIDTHS))
        for node in np.flatnonzero(total > 0):
            shares, _ = nnls(equations, np.append(running[node] / total[node], _SUM_WEIGHT))
            fitted[node] = shares / shares.sum() * total[node]
        return fitted.reshape(*self.values.shape[:2], _WIDTHS)

    @cached_property
    def _node_running(self) -> tuple[Array, Array]:
        """Integral within each radius at each node (node, support), and all of it (node,)."""
        column = self._extended.reshape(-1, len(self._support))
        cells = _ring_integral(self._support[:-1], self._support[1:], column[:, :-1], column[:, 1:])
        running = np.concatenate((np.zeros((len(cells), 1)), np.cumsum(cells, axis=1)), axis=1)
        return running, running[:, -1]

    def _share(self, energy_tev: Array, offset_deg: Array, radius_deg: Array) -> Array:
        """Return the share within one radius per row."""
        column, cells = self._cells(energy_tev, offset_deg)
        support, row = self._support, np.arange(len(column))
        running = np.concatenate((np.zeros((len(cells), 1)), np.cumsum(cells, axis=1)), axis=1)
        reach = np.clip(radius_deg, support[0], support[-1])
        cell = np.clip(np.searchsorted(support, reach, side="right") - 1, 0, len(support) - 2)
        start, low, high = support[cell], column[row, cell], column[row, cell + 1]
        value = low + (high - low) * (reach - start) / (support[cell + 1] - start)
        total = running[:, -1]
        share = running[row, cell] + _ring_integral(start, reach, low, value)
        return np.where(total > 0, share / np.where(total > 0, total, 1.0), 0.0)

    def _cells(self, energy_tev: Array, offset_deg: Array) -> tuple[Array, Array]:
        """Return the interpolated table (n, support), not clipped, and the integrals between radii."""
        column = interpolate(self._extended, corners((self.energy, self.offset), (energy_tev, offset_deg)), rest=1)
        return column, _ring_integral(self._support[:-1], self._support[1:], column[:, :-1], column[:, 1:])

    @cached_property
    def _support(self) -> Array:
        """Zero, the nodes and the last edge of the radius: between two of them the table is linear."""
        nodes = self.radius.nodes
        return np.concatenate(([0.0], nodes[nodes > 0], self.radius.edges[-1:]))

    @cached_property
    def _extended(self) -> Array:
        """The table at the support, (energy, offset, support)."""
        places = corners((self.radius,), (self._support,))
        return np.moveaxis(interpolate(np.moveaxis(self.values, -1, 0), places, rest=2), 0, -1)


def _ring_integral(inner: Array, outer: Array, low: Array, high: Array) -> Array:
    """Return the integral of 2 pi r max(0, f) between two radii, f linear from ``low`` to ``high``."""
    is_crossing = np.minimum(low, high) * np.maximum(low, high) < 0
    root = inner + (outer - inner) * np.where(is_crossing, low / np.where(is_crossing, low - high, 1.0), 0.0)
    start, end = np.where(is_crossing & (low < 0), root, inner), np.where(is_crossing & (high < 0), root, outer)
    first, last = np.maximum(low, 0.0), np.maximum(high, 0.0)
    moment: Array = (end - start) * (first * (2 * start + end) + last * (start + 2 * end)) * np.pi / 3
    return moment
