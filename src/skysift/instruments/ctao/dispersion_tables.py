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
#: Steps without anything before and behind each table: events beyond are looked up there.
_PADDING = 2
_PAIR = torch.arange(2)
#: Square of a distance in deviations at which a Gaussian has nothing left.
_FAR = 60.0


class Places(NamedTuple):
    """Where events lie in the tables: all that does not depend on the true energy.

    ``row`` (event,): step in ln E_r; ``weights`` (event, 2) of it and the next one; ``tent`` (event,): 1 in the middle
    between both, 0 at either; ``segment`` (event,) of offsets; ``beyond`` (event,) its lower end, deg; ``side``
    (event,): +1 below and -1 above the nearest kink; ``past`` it (event,), deg, negative where it is not reached.
    """

    row: Tensor
    weights: Tensor
    tent: Tensor
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
        of two v that between them is, TeV-1; all are zero in the first and last two steps, and beyond the last offset
        with information its column is repeated
    """

    log_low: float
    offsets_deg: Array
    kinks_deg: Array
    firsts: tuple[int, ...]
    values: tuple[Tensor, ...]

    @property
    def log_reach(self) -> Array:
        """Lowest and highest ln E_r of each true energy, (true energy, 2)."""
        pairs = zip(self.firsts, self.values, strict=True)
        steps = [(first + _PADDING, first + values.shape[1] - 1 - _PADDING) for first, values in pairs]
        reach: Array = self.log_low + _STEP_LOG_ENERGY * np.array(steps, dtype=np.float64)
        return reach

    def locate(self, log_energy: Array, offset_deg: Array) -> Places:
        """Return the places of events, (event,) each."""
        place = (log_energy - self.log_low) / _STEP_LOG_ENERGY
        row = place.astype(np.int64)
        above = place - row
        found = np.searchsorted(self.offsets_deg, offset_deg, side="right") - 1
        segment = np.clip(found, 0, len(self.kinks_deg) - 1)
        low, kink = self.offsets_deg[segment], self.kinks_deg[segment]
        side = np.where(low < kink, 1.0, -1.0)
        singles = (
            np.stack((1.0 - above, above), axis=1),
            1.0 - np.abs(2.0 * above - 1.0),
            offset_deg - low,
            side,
            side * (offset_deg - kink),
        )
        weights, tent, *rest = (torch.from_numpy(part.astype(np.float32)) for part in singles)
        return Places(torch.from_numpy(row), weights, tent, torch.from_numpy(segment), *rest)

    def evaluate(self, number: int, places: Places, shift_deg: Tensor, deviation_deg: Tensor) -> Tensor:
        """Return the mean of D over a Gaussian in offset.

        Parameters
        ----------
        number : of the true energy
        places : of events
        shift_deg, deviation_deg : (source, event), how much farther from the pointing light comes from on average
            than the event lies, and the standard deviation of that

        Returns
        -------
        (source, event), TeV-1
        """
        table = self.values[number]
        steps = table.shape[1]
        at = (places.row - self.firsts[number]).clamp_(0, steps - 2).add_(places.segment, alpha=steps)
        pairs = at[:, None] + _PAIR
        found = embedding_bag(pairs, table.view(-1, 4), per_sample_weights=places.weights, mode="sum")
        value, slope, bend, _ = torch.from_numpy(np.ascontiguousarray(found.numpy().T))
        value = value + torch.index_select(table.view(-1), 0, 4 * at + 3) * places.tent
        deviation = deviation_deg.clamp_min(_LEAST_DEG)
        past = (places.past + places.side * shift_deg).div_(deviation)
        # Mean of max(x, 0) over a unit Gaussian about z: pdf(z) + z cdf(z). Numbers next to zero are slow, and nothing.
        beyond = (past * past).clamp_max_(_FAR).mul_(-0.5).exp_().mul_((2.0 * np.pi) ** -0.5)
        beyond.addcmul_(past, torch.special.ndtr(past))
        density: Tensor = value + slope * (places.beyond + shift_deg)
        return density.addcmul_(bend * deviation, beyond).clamp_min_(0.0)

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
    firsts, lines = [], []
    for number, reach_tev in enumerate(columns.reach_tev):
        ends = np.clip(np.log(np.maximum(reach_tev, 1e-300)), *log_range)
        first, last = np.floor((ends - log_range[0]) / _STEP_LOG_ENERGY).astype(np.int64)
        half_steps = np.arange(2 * first, 2 * max(last, first) + 3)
        density = columns.between_nodes(number, np.exp(log_range[0] + 0.5 * _STEP_LOG_ENERGY * half_steps), offsets)
        lines.append(_make_lines(density, filled[number], offsets, nearest))
        firsts.append(int(first) - _PADDING)
    return DispersionTables(log_range[0], offsets, offsets[nearest], tuple(firsts), tuple(lines))


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
    padded = np.pad(parts.transpose(1, 0, 2), ((0, 0), (_PADDING, _PADDING), (0, 0)))
    return torch.from_numpy(np.ascontiguousarray(padded))


def _make_offsets(migration_deg: Array) -> Array:
    """Cut wide steps."""
    parts = np.where(np.diff(migration_deg) > _FAR_DEG, _PARTS, 1)
    pairs = zip(pairwise(migration_deg), parts, strict=True)
    pieces = [np.linspace(low, high, part + 1)[:-1] for (low, high), part in pairs]
    return np.append(np.concatenate(pieces), migration_deg[-1])
