"""Energy dispersion as a density at any reconstructed energy, averaged over true bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.migration import Migration

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf

__all__ = ["DispersionColumns", "read_columns"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DispersionColumns:
    r"""Columns of the table at the energies within true bins and at the nodes in offset.

    .. math:: D(E_r | e, o) = \sum_q \frac{w_q}{T_q(o)} \frac{(1 - f) M_{qa}(E_r / E_q) + f M_{qb}(E_r / E_q)}{E_q}

    Parameters
    ----------
    migration : nodes, weights w and totals T
    support : (support,), mu between which the table is linear
    columns : (energy, point, support, offset), M; zero at both ends
    """

    migration: Migration
    support: Array
    columns: Array

    @cached_property
    def reach_tev(self) -> Array:
        """Lowest and highest reconstructed energy that a true bin reaches at any offset, (energy, 2), TeV."""
        is_filled = np.any(self.columns > 0, axis=(1, 3))
        energies = self.migration.nodes.energies_tev
        reach = np.zeros((len(energies), 2))
        for number in np.flatnonzero(is_filled.any(axis=1)):
            at = np.flatnonzero(is_filled[number])
            low, high = self.support[max(at[0] - 1, 0)], self.support[min(at[-1] + 1, len(self.support) - 1)]
            reach[number] = low * energies[number].min(), high * energies[number].max()
        return reach

    def at_nodes(self, energy: int, energy_reco_tev: Array, offsets: slice = slice(None)) -> Array:
        """Return M / E_q of one true bin at reconstructed energies (n,): (point, n, offset), TeV-1."""
        true_tev = self.migration.nodes.energies_tev[energy][:, None]
        mu, size = energy_reco_tev / true_tev, len(self.support)
        cell = np.clip(np.searchsorted(self.support, mu, side="right") - 1, 0, size - 2)
        upper = ((mu - self.support[cell]) / np.diff(self.support)[cell])[..., None]
        inside = np.where((mu >= self.support[0]) & (mu < self.support[-1]), 1.0 / true_tev, 0.0)[..., None]
        lines = np.ascontiguousarray(self.columns[energy, :, :, offsets]).reshape(len(mu) * size, -1)
        at = cell + size * np.arange(len(mu))[:, None]
        found: Array = (lines[at] * (1 - upper) + lines[at + 1] * upper) * inside
        return found

    def between_nodes(self, energy: int, energy_reco_tev: Array, offset_deg: Array) -> Array:
        """Return D of one true bin at many reconstructed energies (n,) and offsets (m,): (n, m), TeV-1.

        D is a sum of lines in the reconstructed energy, which begin and end at nodes of mu: all energies see the same
        running sums of their slopes.
        """
        true_tev, lines = self.migration.nodes.energies_tev[energy][:, None], self.columns[energy]
        at, upper = self.migration.locate(offset_deg)
        scales = self.migration.scales(energy, at, upper)[:, None, :]
        table = (lines[:, :, at] * (1 - upper) + lines[:, :, at + 1] * upper) * (scales / true_tev[..., None])
        begins = self.support * true_tev
        slopes = np.diff(table, axis=1) / np.diff(begins)[..., None]
        turns = np.diff(slopes, axis=1, prepend=0.0, append=0.0)
        jumps = np.zeros_like(turns)
        jumps[:, 0], jumps[:, -1] = table[:, 0], -table[:, -1]
        order = np.argsort(begins, axis=None, kind="stable")
        turn, jump, begin = (x.reshape(order.size, -1)[order] for x in (turns, jumps, begins))
        slope, shift = (np.cumsum(x, axis=0) for x in (turn, turn * begin - jump))
        found = np.searchsorted(begin[:, 0], energy_reco_tev, side="right") - 1
        density = slope[found] * energy_reco_tev[:, None] - shift[found]
        outside = (found < 0) | (found == order.size - 1)
        return np.where(outside[:, None], 0.0, np.maximum(density, 0.0))


def read_columns(irf: Irf, migration: Migration) -> DispersionColumns:
    """Evaluate the columns.

    Parameters
    ----------
    irf : the response
    migration : of the same response
    """
    energies, offsets = migration.nodes.energies_tev, migration.offsets_deg
    support, lines = irf.energy_dispersion.lines(energies[..., None], offsets)
    return DispersionColumns(migration, support, np.ascontiguousarray(lines.swapaxes(-1, -2)))
