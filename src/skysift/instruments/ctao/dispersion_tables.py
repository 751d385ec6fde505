"""Energy dispersion as a density on close nodes, for quick look-ups at many events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.columns import DispersionColumns

__all__ = ["DispersionTable", "OffsetNodes", "make_dispersion_tables"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Step in ln E_r, and parts into which the distance between two offsets of the response is cut.
_STEP_LOG_ENERGY, _PARTS = 0.001, 4
#: Steps in offset (deg) and in deviations within which a look-up does not tell two places apart.
_STEP_DEG, _STEP_DEVIATION = 0.01, 0.01


@dataclass(frozen=True, eq=False)
class OffsetNodes:
    """Offsets of a table, and at which of them its slope may change.

    Parameters
    ----------
    offsets_deg : (node,), rising from zero
    kinks : (kink,), numbers of nodes
    """

    offsets_deg: Array
    kinks: Numbers

    @cached_property
    def _steps(self) -> Array:
        return np.arange(0.0, self.offsets_deg[-1] + _STEP_DEG, _STEP_DEG)

    @cached_property
    def _below(self) -> Numbers:
        """Node below each small step."""
        found = np.searchsorted(self.offsets_deg, self._steps + 0.5 * _STEP_DEG, side="right") - 1
        below: Numbers = np.clip(found, 0, len(self.offsets_deg) - 2)
        return below

    @cached_property
    def _nearest(self) -> Numbers:
        """Nearest kink of each small step."""
        nearest: Numbers = np.abs(self._steps[:, None] - self.offsets_deg[self.kinks]).argmin(axis=1)
        return nearest

    @cached_property
    def _bulge(self) -> Array:
        """Mean of max(x, 0) minus max(z, 0) over a Gaussian about z, by distance: pdf(z) - z cdf(-z)."""
        from scipy.special import ndtr

        z = np.arange(0.0, 8.0, _STEP_DEVIATION)
        bulge: Array = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) - z * ndtr(-z)
        bulge[-1] = 0.0
        return bulge

    def between(self, offset_deg: Array) -> slice:
        """Return the nodes around all of some offsets."""
        low, high = np.searchsorted(self.offsets_deg, (offset_deg.min(), offset_deg.max()))
        return slice(max(int(low) - 1, 0), int(high) + 1)

    def locate(self, offset_deg: Array) -> tuple[Numbers, Array, Numbers]:
        """Return the node below (...), the weight of the one above, and the nearest kink."""
        step = np.minimum((offset_deg * (1 / _STEP_DEG)).astype(np.int64), len(self._steps) - 1)
        below = self._below[step]
        widths = 1 / np.diff(self.offsets_deg)
        return below, (offset_deg - self.offsets_deg[below]) * widths[below], self._nearest[step]

    def bulge(self, offset_deg: Array, deviation_deg: Array, kink: Numbers) -> Array:
        """Return how much a unit change of slope at a kink adds to the mean over a Gaussian in offset, deg."""
        distance = np.abs(offset_deg - self.offsets_deg[self.kinks][kink])
        scaled = distance * ((1 / _STEP_DEVIATION) / np.maximum(deviation_deg, 1e-6))
        return deviation_deg * self._bulge[np.minimum(scaled, len(self._bulge) - 1).astype(np.int64)]


@dataclass(frozen=True, eq=False)
class DispersionTable:
    """D of one true bin over ln E_r and offset, per share of the bin in which the response is not empty.

    Parameters
    ----------
    log_low : first ln E_r
    nodes : offsets
    values : (energy, node), TeV-1; beyond the last offset with information its column is repeated
    bends : (energy, kink), change of slope, TeV-1 deg-1
    """

    log_low: float
    nodes: OffsetNodes
    values: Array
    bends: Array

    @property
    def log_high(self) -> float:
        """Last ln E_r."""
        return self.log_low + _STEP_LOG_ENERGY * (len(self.values) - 1)

    def evaluate(self, log_energy: Array, offset_deg: Array, deviation_deg: Array) -> Array:
        """Return the mean of D over a Gaussian in offset.

        Parameters
        ----------
        log_energy : (event,), ln E_r
        offset_deg, deviation_deg : (event, source), mean and standard deviation of the offset where light comes from

        Returns
        -------
        (event, source), TeV-1
        """
        place = (log_energy - self.log_low) * (1 / _STEP_LOG_ENERGY)
        row = np.clip(place.astype(np.int64), 0, len(self.values) - 2)[:, None]
        above = place[:, None] - row
        below, right, kink = self.nodes.locate(offset_deg)
        width, flat = self.values.shape[1], self.values.ravel()
        at = row * width + below
        density = (flat[at] * (1 - right) + flat[at + 1] * right) * (1 - above)
        at += width
        density += (flat[at] * (1 - right) + flat[at + 1] * right) * above
        bend = self.bends.ravel()[row * self.bends.shape[1] + kink]
        density += bend * self.nodes.bulge(offset_deg, deviation_deg, kink)
        return np.asarray(np.maximum(density, 0.0))

    def largest(self, log_edges: Array) -> Array:
        """Return the largest D within each interval between edges (n + 1,): (n, node), 0 beyond the table."""
        last = len(self.values) - 1
        rows = (log_edges - self.log_low) / _STEP_LOG_ENERGY
        first, end = np.floor(rows[:-1]).astype(np.int64), np.ceil(rows[1:]).astype(np.int64)
        found = np.zeros((len(first), self.values.shape[1]))
        for interval in np.flatnonzero((end >= 0) & (first <= last)):
            found[interval] = self.values[max(first[interval], 0) : end[interval] + 1].max(axis=0)
        return found


def make_dispersion_tables(
    columns: DispersionColumns, table_offsets_deg: Array, log_range: tuple[float, float]
) -> list[DispersionTable]:
    """Return the table of each true bin, as far as it lies within a range of ln E_r.

    Parameters
    ----------
    columns : the response at the energies within true bins
    table_offsets_deg : nodes of the response, where slopes change
    log_range : lowest and highest ln E_r
    """
    migration = columns.migration
    nodes = _make_nodes(migration.offsets_deg, table_offsets_deg)
    at, upper = migration.locate(nodes.offsets_deg)
    filled = migration.filled_share(nodes.offsets_deg)
    tables = []
    for number, reach_tev in enumerate(columns.reach_tev):
        low, high = np.clip(np.log(np.maximum(reach_tev, 1e-300)), *log_range)
        count = max(2, int(np.ceil((high - low) / _STEP_LOG_ENERGY)) + 1)
        found = columns.at_nodes(number, np.exp(low + _STEP_LOG_ENERGY * np.arange(count)))
        scales = migration.scales(number, at, upper)
        values = np.zeros((count, len(at)))
        for point, node in enumerate(found):
            values += scales[:, point] * (node[:, at] * (1 - upper) + node[:, at + 1] * upper)
        known = np.flatnonzero(filled[number] > 0)
        if known.size:
            values[:, known] /= filled[number, known]
            values = values[:, np.minimum(np.arange(len(at)), known[-1])]
        slopes = np.diff(values, axis=1) / np.diff(nodes.offsets_deg)
        bends = slopes[:, nodes.kinks] - slopes[:, nodes.kinks - 1]
        tables.append(DispersionTable(float(low), nodes, values, np.ascontiguousarray(bends)))
    return tables


def _make_nodes(migration_deg: Array, table_deg: Array) -> OffsetNodes:
    """Cut wide steps, and mark the nodes of the response that lie between the outermost ones."""
    pieces = [np.linspace(low, high, _PARTS + 1)[:-1] for low, high in pairwise(migration_deg)]
    wide = np.diff(migration_deg) > 0.2
    pieces = [piece if is_wide else piece[:1] for piece, is_wide in zip(pieces, wide, strict=True)]
    offsets = np.append(np.concatenate(pieces), migration_deg[-1])
    inside = table_deg[(table_deg > offsets[0]) & (table_deg < offsets[-1])]
    kinks = np.searchsorted(offsets, inside)
    return OffsetNodes(offsets, kinks if kinks.size else np.ones(1, dtype=np.int64))
