"""Energy dispersion as a density on close nodes, for quick look-ups at many events."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from skysift.instruments.ctao.columns import DispersionColumns

__all__ = ["DispersionTables", "Places", "make_dispersion_tables"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
#: Step in ln E_r, and parts into which the distance between two far offsets of the response is cut.
_STEP_LOG_ENERGY, _PARTS, _FAR_DEG = 0.0005, 4, 0.2
#: Deviations below this are none, deg.
_LEAST_DEG = 1e-6


class Places(NamedTuple):
    """Where events lie in the tables: all that does not depend on the true energy, (event,) each.

    ``row`` and ``above``: step in ln E_r and the way to the next one; ``segment`` of offsets; ``beyond`` its lower end,
    deg; ``side`` +1 below and -1 above the nearest kink; ``past`` it, deg, negative where it is not reached.
    """

    row: Tensor
    above: Tensor
    segment: Tensor
    beyond: Tensor
    side: Tensor
    past: Tensor

    def take(self, part: slice) -> Places:
        """Return those of some events."""
        return Places(*(column[part] for column in self))


@dataclass(frozen=True, eq=False)
class DispersionTables:
    r"""D of all true bins over ln E_r and offset, per share of the bin in which the response is not empty.

    Between two nodes in offset D is a line, and beyond the nearest offset o_k at which the response itself has a node
    another one:

    .. math:: D(o) = v + s\,(o - o_0) + c\,\max(0, \pm(o - o_k))

    Parameters
    ----------
    log_low : ln E_r of the first step
    offsets_deg : (node,), rising from zero
    kinks_deg : (segment,), the nearest kink of each segment
    firsts : (true energy,), first step of each table
    values : for each true energy (segment, step, 4): v, TeV-1, s and c, TeV-1 deg-1, and how much larger than the mean
        of two v that between them is, TeV-1; beyond the last offset with information the last column is repeated
    """

    log_low: float
    offsets_deg: Array
    kinks_deg: Array
    firsts: tuple[int, ...]
    values: tuple[Tensor, ...]

    @property
    def log_reach(self) -> Array:
        """Lowest and highest ln E_r of each true energy, (true energy, 2)."""
        steps = [(first, first + values.shape[1] - 1) for first, values in zip(self.firsts, self.values, strict=True)]
        reach: Array = self.log_low + _STEP_LOG_ENERGY * np.array(steps, dtype=np.float64)
        return reach

    def locate(self, log_energy: Array, offset_deg: Array) -> Places:
        """Return the places of events, (event,) each."""
        place = (log_energy - self.log_low) / _STEP_LOG_ENERGY
        row = place.astype(np.int64)
        found = np.searchsorted(self.offsets_deg, offset_deg, side="right") - 1
        segment = np.clip(found, 0, len(self.kinks_deg) - 1)
        side = np.where(self.offsets_deg[segment] < self.kinks_deg[segment], 1.0, -1.0)
        numbers = (
            place - row,
            offset_deg - self.offsets_deg[segment],
            side,
            side * (offset_deg - self.kinks_deg[segment]),
        )
        above, beyond, side_, past = (torch.from_numpy(part.astype(np.float32)) for part in numbers)
        return Places(torch.from_numpy(row), above, torch.from_numpy(segment), beyond, side_, past)

    def evaluate(self, number: int, places: Places, shift_deg: Tensor, deviation_deg: Tensor) -> Tensor:
        """Return the mean of D over a Gaussian in offset.

        Parameters
        ----------
        number : of the true energy
        places : of events
        shift_deg, deviation_deg : (event, source), how much farther from the pointing light comes from on average
            than the event lies, and the standard deviation of that

        Returns
        -------
        (event, source), TeV-1
        """
        table = self.values[number]
        steps = table.shape[1]
        row = places.row - self.firsts[number]
        is_inside = (row >= 0) & (row < steps - 1)
        at = places.segment * steps + row.clamp(0, steps - 2)
        weights = torch.stack((1.0 - places.above, places.above), 1) * is_inside[:, None]
        found = embedding_bag(torch.stack((at, at + 1), 1), table.view(-1, 4), per_sample_weights=weights, mode="sum")
        value, slope, bend = (found[:, k, None] for k in range(3))
        bulge = table.view(-1)[4 * at + 3] * (1.0 - (2.0 * places.above - 1.0).abs()) * is_inside
        deviation = deviation_deg.clamp_min(_LEAST_DEG)
        past = (places.past[:, None] + places.side[:, None] * shift_deg) / deviation
        # mean of max(x, 0) over a unit Gaussian about z: pdf(z) + z cdf(z)
        beyond = torch.exp(-0.5 * past * past) * (2.0 * np.pi) ** -0.5 + past * torch.special.ndtr(past)
        density = value + bulge[:, None] + slope * (places.beyond[:, None] + shift_deg) + bend * deviation * beyond
        return torch.clamp_min(density, 0.0)

    def largest(self, number: int, log_edges: Array) -> Array:
        """Return the largest D of a true energy within each interval between edges (n + 1,): (n, segment)."""
        values = self.values[number][..., 0].numpy()
        steps = (log_edges - self.log_low) / _STEP_LOG_ENERGY - self.firsts[number]
        first, end = np.floor(steps[:-1]).astype(np.int64), np.ceil(steps[1:]).astype(np.int64)
        found = np.zeros((len(first), len(values)))
        for interval in np.flatnonzero((end >= 0) & (first < values.shape[1])):
            found[interval] = values[:, max(first[interval], 0) : end[interval] + 1].max(axis=1)
        return found


def make_dispersion_tables(
    columns: DispersionColumns, table_offsets_deg: Array, log_range: tuple[float, float]
) -> DispersionTables:
    """Return the tables of all true bins, as far as they lie within a range of ln E_r.

    Parameters
    ----------
    columns : the response at the energies within true bins
    table_offsets_deg : nodes of the response, where slopes change
    log_range : lowest and highest ln E_r
    """
    migration = columns.migration
    offsets = _make_offsets(migration.offsets_deg)
    inside = (table_offsets_deg > offsets[0]) & (table_offsets_deg < offsets[-1])
    kinks = np.searchsorted(offsets, table_offsets_deg[inside]) if inside.any() else np.ones(1, dtype=np.int64)
    middles = 0.5 * (offsets[1:] + offsets[:-1])
    nearest = kinks[np.abs(middles[:, None] - offsets[kinks]).argmin(axis=1)]
    filled = migration.filled_share(offsets)
    firsts, values = [], []
    for number, reach_tev in enumerate(columns.reach_tev):
        ends = np.clip(np.log(np.maximum(reach_tev, 1e-300)), *log_range)
        first, last = np.floor((ends - log_range[0]) / _STEP_LOG_ENERGY).astype(np.int64)
        half_steps = np.arange(2 * first, 2 * max(last, first) + 3)
        density = columns.between_nodes(number, np.exp(log_range[0] + 0.5 * _STEP_LOG_ENERGY * half_steps), offsets)
        values.append(_make_lines(density, filled[number], offsets, nearest))
        firsts.append(int(first))
    return DispersionTables(log_range[0], offsets, offsets[nearest], tuple(firsts), tuple(values))


def _make_lines(density: Array, filled: Array, offsets_deg: Array, kinks: Numbers) -> Tensor:
    """Return the lines between offsets (segment, step, 4) of densities (half step, offset)."""
    known = np.flatnonzero(filled > 0)
    if known.size:
        column = np.minimum(np.arange(len(filled)), known[-1])
        density = density[:, column] / np.where(filled > 0, filled, 1.0)[column]
    whole = density[::2]
    bulge = np.zeros_like(whole)
    bulge[:-1] = density[1::2] - 0.5 * (whole[1:] + whole[:-1])
    slopes = np.diff(whole, axis=1) / np.diff(offsets_deg)
    bends = slopes[:, kinks] - slopes[:, kinks - 1]
    parts = np.stack((whole[:, :-1], slopes, bends, bulge[:, :-1]), axis=-1, dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(parts.transpose(1, 0, 2)))


def _make_offsets(migration_deg: Array) -> Array:
    """Cut wide steps."""
    parts = np.where(np.diff(migration_deg) > _FAR_DEG, _PARTS, 1)
    pairs = zip(pairwise(migration_deg), parts, strict=True)
    pieces = [np.linspace(low, high, part + 1)[:-1] for (low, high), part in pairs]
    return np.append(np.concatenate(pieces), migration_deg[-1])
