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

    def at_nodes(self, energy: int, energy_reco_tev: Array) -> Array:
        """Return M / E_q of one true bin at reconstructed energies (n,): (point, n, offset), TeV-1."""
        found = np.empty((self.columns.shape[1], len(energy_reco_tev), self.columns.shape[3]))
        for point, true_tev in enumerate(self.migration.nodes.energies_tev[energy]):
            mu = energy_reco_tev / true_tev
            cell = np.clip(np.searchsorted(self.support, mu, side="right") - 1, 0, len(self.support) - 2)
            upper = (mu - self.support[cell]) / (self.support[cell + 1] - self.support[cell])
            upper = np.where((mu < self.support[0]) | (mu >= self.support[-1]), np.nan, upper)[:, None]
            column = self.columns[energy, point]
            found[point] = np.nan_to_num(column[cell] * (1 - upper) + column[cell + 1] * upper, nan=0.0) / true_tev
        return found


def read_columns(irf: Irf, migration: Migration) -> DispersionColumns:
    """Evaluate the columns.

    Parameters
    ----------
    irf : the response
    migration : of the same response
    """
    axis = irf.energy_dispersion.migra
    ends = axis.edges[0], np.nextafter(axis.edges[-1], 0.0)
    support = np.concatenate((ends[:1], axis.nodes, ends[1:]))
    energies, offsets = migration.nodes.energies_tev, migration.offsets_deg
    columns = irf.dispersion_raw(energies[..., None, None], support[:, None], offsets)
    return DispersionColumns(migration, support, columns)
