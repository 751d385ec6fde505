"""Energy dispersion between a true and a reconstructed axis, averaged over true bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.axes import EnergyAxis

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.tables import Axis

__all__ = ["Band", "EnergyNodes", "Migration", "make_energy_nodes", "make_offset_nodes", "read_migration"]

Array = NDArray[np.float64]
Band = tuple[int, Array]
#: Points per true bin, and the slope of the spectrum that weighs them.
_POINTS, _SLOPE = 8, -2.5
#: Between the first node of a table and the axis the table goes on linearly and is clipped: nodes this close follow it.
_STEP_DEG = 0.1
#: Reconstructed bins that receive less than this share of a true bin at all offsets are left out.
_LEAST_SHARE = 1e-15


@dataclass(frozen=True, eq=False)
class EnergyNodes:
    """Quadrature over each true bin: energies (bin, point), TeV, and weights (bin, point) of sum one."""

    energies_tev: Array
    weights: Array

    def average(self, values: Array) -> Array:
        """Return the mean over each bin of values (bin, point, ...)."""
        means: Array = np.einsum("eq,eq...->e...", self.weights, values)
        return means


@dataclass(frozen=True, eq=False)
class Migration:
    r"""How true bins of energy migrate to reconstructed ones, at any offset.

    .. math:: D(k | e, o) = \sum_q w_q \frac{(1 - f) N_{qak} + f N_{qbk}}{(1 - f) T_{qa} + f T_{qb}}

    N is the integral of the table over bin k and T over all of it at the nodes a, b around offset o: tables are linear
    between nodes, and normalised after interpolation.

    Parameters
    ----------
    nodes : energies within the true bins
    offsets_deg : (offset,), rising
    filled : (energy, point, offset, bin)
    totals : (energy, point, offset); zero where the table is empty
    """

    nodes: EnergyNodes
    offsets_deg: Array
    filled: Array
    totals: Array

    def locate(self, offset_deg: Array) -> tuple[NDArray[np.int64], Array]:
        """Return the node below each offset (...) and the weight of the one above."""
        nodes = self.offsets_deg
        at = np.clip(np.searchsorted(nodes, offset_deg, side="right") - 1, 0, len(nodes) - 2)
        upper = np.clip((offset_deg - nodes[at]) / (nodes[at + 1] - nodes[at]), 0.0, 1.0)
        return at, upper

    def scales(self, energy: int, at: NDArray[np.int64], upper: Array) -> Array:
        """Return the weight of each point over the total of its table, (point, offset); zero where that is empty."""
        totals = self.totals[energy]
        total = (1 - upper) * totals[:, at] + upper * totals[:, at + 1]
        scales: Array = np.zeros_like(total)
        np.divide(self.nodes.weights[energy][:, None], total, out=scales, where=total > 0)
        return scales

    def filled_share(self, offset_deg: Array) -> Array:
        """Return the share of each true bin of energy in which the table is not empty, (energy, offset)."""
        at, upper = self.locate(offset_deg)
        share = np.zeros((len(self.totals), len(upper)))
        for point in range(self.totals.shape[1]):
            total = (1 - upper) * self.totals[:, point, at] + upper * self.totals[:, point, at + 1]
            share += np.where(total > 0, self.nodes.weights[:, point, None], 0.0)
        return np.minimum(share, 1.0)

    def shares(self, offset_deg: Array) -> tuple[Band, ...]:
        """Return for each true energy the first reconstructed bin that it reaches, and the shares from there on.

        Parameters
        ----------
        offset_deg : (pixel,), deg

        Returns
        -------
        for each true energy: number of a bin, shares (pixel, bin)
        """
        at, upper = self.locate(offset_deg)
        groups = [(node, np.flatnonzero(at == node)) for node in np.unique(at)]
        return tuple(self._shares_of(energy, at, upper, groups) for energy in range(len(self.totals)))

    def _shares_of(
        self, energy: int, at: NDArray[np.int64], upper: Array, groups: list[tuple[np.int64, NDArray[np.int64]]]
    ) -> Band:
        """Return the band of one true energy; pixels between the same two offset nodes are one matrix product."""
        least = _LEAST_SHARE * self.totals[energy][..., None]
        is_reached = np.flatnonzero(np.any(self.filled[energy] > least, axis=(0, 1)))
        if not is_reached.size:
            return 0, np.zeros((len(at), 0))
        first, end = int(is_reached[0]), int(is_reached[-1]) + 1
        scales = self.scales(energy, at, upper)
        parts = np.concatenate((scales * (1 - upper), scales * upper))
        shares = np.empty((len(at), end - first))
        for node, here in groups:
            tables = self.filled[energy, :, node : node + 2, first:end]
            shares[here] = parts[:, here].T @ np.concatenate((tables[:, 0], tables[:, 1]))
        return first, shares


def make_energy_nodes(axis: EnergyAxis, points: int = _POINTS) -> EnergyNodes:
    """Return Gauss-Legendre points in ln E within each bin, weighted by a spectrum of slope -2.5."""
    places, weights = np.polynomial.legendre.leggauss(points)
    edges = np.log(axis.edges_tev)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    log_energies = middle[:, None] + half[:, None] * places
    weighted = weights * np.exp((_SLOPE + 1) * (log_energies - middle[:, None]))
    return EnergyNodes(np.exp(log_energies), weighted / weighted.sum(axis=1, keepdims=True))


def read_migration(irf: Irf, nodes: EnergyNodes, reconstructed: EnergyAxis, offset_max_deg: float) -> Migration:
    """Return the tables that `Migration` needs, from zero offset to the largest one.

    Parameters
    ----------
    irf : the response
    nodes : energies within the true bins
    reconstructed : the other axis
    offset_max_deg : largest offset that will be asked for
    """
    table = irf.energy_dispersion
    offsets = make_offset_nodes(table.offset, offset_max_deg)
    energies = nodes.energies_tev
    totals = table.integral(energies[..., None], offsets)
    mu = reconstructed.edges_tev / energies[..., None, None]
    below = table.share_below(energies[..., None, None], mu, offsets[:, None])
    return Migration(nodes, offsets, np.diff(below, axis=-1) * totals[..., None], totals)


def make_offset_nodes(axis: Axis, largest_deg: float) -> Array:
    """Return offsets between which a table is linear: its nodes, and close ones where it goes on beyond them.

    Parameters
    ----------
    axis : offsets of the table
    largest_deg : the last node lies above it, or just inside the outer edge of the table

    Returns
    -------
    (offset,), deg, at least two
    """
    edge, table = np.nextafter(axis.edges[-1], 0.0), axis.nodes
    inner = np.arange(axis.edges[0], table[0], _STEP_DEG)
    outer = np.arange(table[-1], edge, _STEP_DEG)
    nodes = np.unique(np.concatenate((inner, table, outer, [edge])))
    return nodes[: max(2, int(np.searchsorted(nodes, largest_deg)) + 1)]
