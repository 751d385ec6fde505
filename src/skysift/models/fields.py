"""Gaussian-process fields of a model: sums of terms sqrt(variance) Phi(lengthscale) v, with closed-form derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from skysift.sky.gaussian_process import Projection

__all__ = ["Field", "Term"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    r"""One Gaussian process on (energy, pixel): :math:`f_{ep} = \sigma \sum_{e'} C_{ee'} \sum_q \Phi_{pq} v_{e'q}`.

    Parameters
    ----------
    vector : name of the parameter v, shape (M,) when all energies share it, else (E, M)
    tables : projections Phi at ``log_lengths``; one table when the lengthscale does not move
    log_lengths : (K,), ln radian, nodes of the tables
    variance : a number, or the name of the parameter
    lengthscale : the name of the parameter in radian, or None when it does not move
    mixing : (E, E) factor C of the energy correlation, or None when all energies share one field
    """

    vector: str
    tables: tuple[Projection, ...]
    log_lengths: Tensor
    variance: float | str
    lengthscale: str | None = None
    mixing: Tensor | None = None

    @property
    def hyper_names(self) -> tuple[str, ...]:
        """Names of the parameters that this term reads beside its vector."""
        names = (self.variance if isinstance(self.variance, str) else None, self.lengthscale)
        return tuple(name for name in names if name is not None)

    def scale(self, values: Values) -> Tensor:
        """Return the standard deviation of f, (B, 1, 1)."""
        if isinstance(self.variance, str):
            return values[self.variance].sqrt()[:, None, None]
        return torch.full((1, 1, 1), self.variance**0.5, dtype=torch.float64, device=self.log_lengths.device)

    def weights(self, values: Values) -> tuple[Tensor, Tensor]:
        """Return interpolation weights over the tables and their derivatives in lengthscale, (B, K) each."""
        if self.lengthscale is None:
            one = self.log_lengths.new_ones(1, 1)
            return one, torch.zeros_like(one)
        length = values[self.lengthscale]
        return _lagrange(self.log_lengths, length.log(), length)

    def _mixed(self, values: Values) -> Tensor:
        # a slice of z is strided, and matmul falls back to one product per row: four times slower
        vector = values[self.vector].contiguous()
        return vector[:, None, :] if self.mixing is None else torch.einsum("ef,bfm->bem", self.mixing, vector)

    def evaluate(self, values: Values, start: int, stop: int) -> Tensor:
        """Return f at pixels start to stop, (B, 1 or E, p)."""
        weights, _ = self.weights(values)
        return self._combine(self.scale(values) * self._mixed(values), weights, start, stop)

    def _combine(self, vector: Tensor, weights: Tensor, start: int, stop: int) -> Tensor:
        # factors go on the few numbers of the vector, not on the many of the pixels
        parts = [vector] if len(self.tables) == 1 else [w[:, None, None] * vector for w in weights.unbind(1)]
        products = [table.push(part, start, stop) for part, table in zip(parts, self.tables, strict=True)]
        total = products[0]
        for product in products[1:]:
            total += product
        return total

    def pull_back(self, values: Values, slope: Tensor, start: int, stop: int) -> dict[str, Tensor]:
        """Return gradients of a sum whose derivative in f is ``slope``, (B, E, p), by parameter name."""
        if self.mixing is None and slope.shape[1] > 1:
            slope = slope.sum(1, keepdim=True)
        weights, bend = self.weights(values)
        scale, mixed = self.scale(values), self._mixed(values)
        parts = [table.pull(slope, start, stop) for table in self.tables]
        back = parts[0] if len(parts) == 1 else (weights[..., None, None] * torch.stack(parts, 1)).sum(1)
        grads = {}
        if isinstance(self.variance, str):
            grads[self.variance] = 0.5 * (back * mixed).sum((1, 2)) / scale[:, 0, 0]
        if self.lengthscale is not None:
            grads[self.lengthscale] = scale[:, 0, 0] * torch.einsum("bk,kbfm,bfm->b", bend, torch.stack(parts), mixed)
        back = scale * back
        grads[self.vector] = back[:, 0] if self.mixing is None else torch.einsum("ef,bem->bfm", self.mixing, back)
        return grads

    def columns(self, values: Values, start: int, stop: int) -> list[tuple[str, Tensor]]:
        """Return df/d(parameter) at one point: (name, (p or E p, numbers)); p rows when energies share the field."""
        weights, bend = self.weights(values)
        scale = float(self.scale(values).reshape(-1)[0])
        parts = [table.rows(start, stop)[None, None] for table in self.tables]
        rows = parts[0][0, 0] if len(parts) == 1 else _weigh(parts, weights)[0, 0]
        design = rows if self.mixing is None else _outer(self.mixing, rows)
        result = [(self.vector, scale * design)]
        field = self.evaluate(values, start, stop).reshape(-1, 1)
        if isinstance(self.variance, str):
            result.append((self.variance, 0.5 * field / scale**2))
        if self.lengthscale is not None:
            moved = scale * self._combine(self._mixed(values), bend, start, stop)
            result.append((self.lengthscale, moved.reshape(-1, 1)))
        return result

    def at(self, values: Values) -> Term:
        """Return the term with the hyper-parameters in ``values`` (unbatched) fixed."""
        changes: dict[str, object] = {}
        if isinstance(self.variance, str) and self.variance in values:
            changes["variance"] = float(values[self.variance])
        if self.lengthscale is not None and self.lengthscale in values:
            length = float(values[self.lengthscale])
            changes["tables"] = (replace(self.tables[0], lengthscale_rad=length),)
            changes["log_lengths"] = self.log_lengths.new_tensor([length]).log()
            changes["lengthscale"] = None
        return replace(self, **changes)  # type: ignore[arg-type]  # names and types are this class's own


def _weigh(parts: list[Tensor], weights: Tensor) -> Tensor:
    """Return the sum of parts (B or 1, e, n) over tables with weights (B, K)."""
    total = weights[:, 0, None, None] * parts[0]
    for k, part in enumerate(parts[1:], start=1):
        total = total + weights[:, k, None, None] * part
    return total


def _outer(mixing: Tensor, rows: Tensor) -> Tensor:
    """Return the design of a field with energy axis, (E p, E M)."""
    return torch.einsum("ef,pm->epfm", mixing, rows).reshape(len(mixing) * len(rows), -1)


def _lagrange(nodes: Tensor, at: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Return Lagrange weights at ``at`` (B,) and their derivatives in the lengthscale, (B, K) each."""
    inside = (at > nodes[0]) & (at < nodes[-1])
    x = at.clamp(float(nodes[0]), float(nodes[-1]))
    gaps = nodes[:, None] - nodes[None, :]
    gaps.fill_diagonal_(1.0)
    count = len(nodes)
    weights, slopes = [], []
    for k in range(count):
        others = [j for j in range(count) if j != k]
        factors = torch.stack([(x - nodes[j]) / gaps[k, j] for j in others], -1)
        weights.append(factors.prod(-1))
        parts = [
            factors[:, [m for m in range(count - 1) if m != i]].prod(-1) / gaps[k, others[i]] for i in range(count - 1)
        ]
        slopes.append(torch.stack(parts).sum(0))
    return torch.stack(weights, -1), torch.stack(slopes, -1) * (inside / length)[:, None]


@dataclass(frozen=True)
class Field:
    """A sum of independent terms; several components may share one field through their coefficients.

    Parameters
    ----------
    terms : on the same pixels
    groups : (P,), the row of Phi of each pixel, when the field is evaluated on coarser pixels than the counts;
        None when each pixel has its own row
    """

    terms: tuple[Term, ...]
    groups: Tensor | None = None

    @property
    def row_count(self) -> int:
        """Number of places where the field is evaluated."""
        return len(self.terms[0].tables[0].pixels)

    @property
    def block(self) -> int:
        """Most pixels to ask for at a time."""
        if self.groups is not None:
            return len(self.groups)
        return min(table.block for term in self.terms for table in term.tables)

    def rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range of rows that pixels start to stop need."""
        return (start, stop) if self.groups is None else (0, self.row_count)

    def evaluate(self, values: Values, start: int, stop: int) -> Tensor:
        """Return f at pixels start to stop, (B, 1 or E, p)."""
        place = self.rows(start, stop)
        total = self.terms[0].evaluate(values, *place)
        for term in self.terms[1:]:
            total = total + term.evaluate(values, *place)
        return total if self.groups is None else total[..., self.groups[start:stop]]

    def pull_back(self, values: Values, slope: Tensor, start: int, stop: int) -> dict[str, Tensor]:
        """Return gradients by parameter name; see `Term.pull_back`."""
        slope, place = self.collect(slope, start, stop), self.rows(start, stop)
        return {name: grad for term in self.terms for name, grad in term.pull_back(values, slope, *place).items()}

    def collect(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Sum the last axis of x, (..., p) over pixels start to stop, into the rows of Phi."""
        if self.groups is None:
            return x
        return x.new_zeros(*x.shape[:-1], self.row_count).index_add_(-1, self.groups[start:stop], x)

    def take(self, index: Tensor) -> Field:
        """Return the field at some of its pixels."""
        if self.groups is not None:
            return Field(self.terms, self.groups[index])
        return Field(
            tuple(replace(term, tables=tuple(table.take(index) for table in term.tables)) for term in self.terms)
        )

    def at(self, values: Values) -> Field:
        """Return the field with the hyper-parameters in ``values`` fixed."""
        return Field(tuple(term.at(values) for term in self.terms), self.groups)
