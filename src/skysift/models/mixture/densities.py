"""Tables of event densities: one row per event or occupied bin, one column per component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysift.errors import InputError
from skysift.likelihoods.mixture import scale_densities

__all__ = ["Densities", "DensityTable", "read_densities"]


class DensityTable(NamedTuple):
    """Densities at the events, scaled row by row, and how many events each component expects.

    ``scaled`` (n, S) or (B, n, S), :math:`u = p e^{-m}`; ``offsets`` (n,) or (B, n), m; ``totals`` (S,) or (B, S), N:
    expected events of the component as declared, needed by the extended likelihood alone.
    """

    scaled: Tensor
    offsets: Tensor
    totals: Tensor | None = None

    def sum_offsets(self, counts: Tensor) -> Tensor:
        """Return the part of the log likelihood that knows no shares, () or (B,)."""
        return self.offsets @ counts


Densities = DensityTable | Callable[[Mapping[str, Tensor]], DensityTable]


def read_densities(
    log_densities: NDArray[np.float64] | Tensor,
    names: Sequence[str],
    counts: NDArray[np.float64] | Tensor | None = None,
    totals: Sequence[float] | NDArray[np.float64] | Tensor | None = None,
) -> tuple[DensityTable, Tensor]:
    """Check a table of ln densities and scale it; rows without events are left out.

    Parameters
    ----------
    log_densities : (n, S), ln of 1 / (TeV deg2); -inf where a component is impossible
    names : of the components
    counts : (n,), events in each row; None for one in each
    totals : (S,), expected events of each component as declared

    Returns
    -------
    the table, and the counts of its rows

    Raises
    ------
    InputError : shapes that do not fit, NaN or +inf, an event that no component allows; names the row
    """
    table = torch.as_tensor(log_densities, dtype=torch.float64)
    if table.ndim != 2 or table.shape[1] != len(names):
        wanted = f"(events, {len(names)}): one column for each of {', '.join(names)}"
        raise InputError("mixture", "log densities", tuple(table.shape), wanted, "stack one column per component")
    number = torch.ones(len(table), dtype=torch.float64) if counts is None else torch.as_tensor(counts).double()
    if number.shape != (len(table),) or not bool((torch.isfinite(number) & (number >= 0)).all()):
        wanted = f"{len(table)} numbers >= 0, one per row"
        raise InputError("mixture", "counts", f"{tuple(number.shape)}", wanted, "count events of each row")
    kept = number > 0
    if not bool(kept.any()):
        raise InputError("mixture", "counts", "no events", "one event or more", "look at the region and the axes")
    _check_values(table, kept, names)
    scaled, offsets = scale_densities(table[kept])
    # one component's column after the other: what a product with few shares reads fastest
    scaled = scaled.T.contiguous().T
    expected = None if totals is None else torch.as_tensor(totals, dtype=torch.float64)
    if expected is not None and not (
        expected.shape == (len(names),) and bool((torch.isfinite(expected) & (expected >= 0)).all())
    ):
        raise InputError("mixture", "totals", expected.tolist(), "one number >= 0 per component", "fold them again")
    return DensityTable(scaled, offsets, expected), number[kept]


def _check_values(table: Tensor, kept: Tensor, names: Sequence[str]) -> None:
    wrong = (torch.isnan(table) | (table == torch.inf)) & kept[:, None]
    if bool(wrong.any()):
        row, column = (int(k) for k in wrong.nonzero()[0])
        place = f"row {row}, component {names[column]}"
        raise InputError("mixture", place, float(table[row, column]), "a logarithm, or -inf", "fold the source again")
    impossible = (table == -torch.inf).all(-1) & kept
    if bool(impossible.any()):
        rows = impossible.nonzero()[:, 0].tolist()
        found = f"{len(rows)} rows that no component allows, the first is row {rows[0]}"
        remedy = (
            "add a component {instrument: outlier}, or a source that explains them; look at the axes and the response"
        )
        raise InputError("mixture", "log densities", found, "a density > 0 for each event", remedy)
