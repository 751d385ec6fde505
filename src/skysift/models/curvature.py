"""Closed-form second derivatives of the Poisson template likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from skysift.contract import Curvature
from skysift.likelihoods.poisson import poisson_curvature, poisson_log_likelihood, poisson_residual

if TYPE_CHECKING:
    from skysift.models.fields import Field
    from skysift.models.template import Glow, TemplateModel

__all__ = ["Seen", "curve"]

Values = Mapping[str, Tensor]


class Design(NamedTuple):
    """Derivatives of one field at its rows: packed places (m,) and df/d(parameter), (E rows, m)."""

    field: Field
    places: Tensor
    columns: Tensor


class Seen(NamedTuple):
    """Log likelihood (), and each datum's first derivative and weight (minus the second) in expected counts, (E P,)."""

    value: Tensor
    slope: Tensor
    weight: Tensor


def curve(model: TemplateModel, values: Values, *, observed: bool, seen: Seen | None = None) -> Curvature:
    r"""Return the log likelihood, its gradient and minus its Hessian (or the Fisher matrix) at one point.

    With J the derivative of mu, :math:`H = J^T \mathrm{diag}(d/\mu^2) J + \sum_p (1 - d_p/\mu_p)\,\nabla^2\mu_p`;
    its expectation keeps the first term with weights 1/mu. Second derivatives of the field in its own
    hyper-parameters are left out, so models that sample those get the Fisher matrix.

    Parameters
    ----------
    values : batch of one
    observed : the data's Hessian instead of its expectation
    seen : what another likelihood than Poisson's says of the expected counts
    """
    names = {name for item in model.fields.values() for term in item.terms for name in term.hyper_names}
    observed = observed and not names & set(model.parameters.names)
    size = model.parameters.packed_size
    value, gradient = model.counts.new_zeros(()), model.counts.new_zeros(size)
    information = model.counts.new_zeros(size, size)
    with torch.no_grad():
        for start, stop in model._blocks(model.parameters.packed_size // 4 + 1):
            expected, glows = model._expected(values, start, stop)
            if seen is None:
                counts = model.counts[:, start:stop].flatten()
                mu = expected.flatten(1)
                value = value + poisson_log_likelihood(counts, mu)[0]
                residual = poisson_residual(counts, mu)[0]
                weight = poisson_curvature(counts, mu, observed=observed)[0]
            else:
                residual, weight = (
                    part.reshape(model.counts.shape)[:, start:stop].flatten() for part in (seen.slope, seen.weight)
                )
            block = _Block(model, values, glows, (start, stop))
            block.add(gradient, information, residual, weight, observed=observed)
    value = value if seen is None else seen.value
    return Curvature(model.scale * value, model.scale * gradient, model.scale * information)


class _Block:
    """First and second derivatives of mu at some pixels, in two kinds of columns: few dense ones, and fields."""

    def __init__(self, model: TemplateModel, values: Values, glows: list[Glow], place: tuple[int, int]) -> None:
        self.model, self.values = model, values
        self.start, self.stop = place
        self.bands = model.counts.shape[0]
        self.glows = glows
        self.places: list[int] = []
        dense: list[Tensor] = []
        self._rigid(dense)
        self.lit = [(item.amplitude(values)[0] * shape[0]).flatten() for item, _, shape in glows]
        self._modulated(dense)
        rows = self.bands * (self.stop - self.start)
        self.dense = torch.stack(dense, 1) if dense else model.counts.new_zeros(rows, 0)
        self.designs = {name: self._design(name) for name in model.fields}

    def _place(self, name: object) -> slice | None:
        known = isinstance(name, str) and name in self.model.parameters
        return self.model.parameters.packed_slices[name] if known else None  # type: ignore[index]  # known is a str

    def _add_dense(self, dense: list[Tensor], name: object, column: Tensor) -> None:
        """Append d(mu)/d(parameter), one column per energy bin where the parameter has them; column is (E, p)."""
        where = self._place(name)
        if where is None:
            return
        if where.stop - where.start == 1:
            dense.append(column.flatten())
        else:
            for band in range(self.bands):
                only = torch.zeros_like(column)
                only[band] = column[band]
                dense.append(only.flatten())
        self.places += range(where.start, where.stop)

    def _rigid(self, dense: list[Tensor]) -> None:
        for item in self.model.components:
            if item.field is None:
                self._add_dense(dense, item.norm, item.template[:, self.start : self.stop])

    def _modulated(self, dense: list[Tensor]) -> None:
        for (item, f, shape), lit in zip(self.glows, self.lit, strict=True):
            self._add_dense(dense, item.norm, shape[0])
            glow = lit.reshape(self.bands, -1)
            self._add_dense(dense, item.mean, glow)
            self._add_dense(dense, item.coefficient, glow * f[0])

    def _design(self, name: str) -> Design:
        places, columns = [], []
        field = self.model.fields[name]
        first, last = field.rows(self.start, self.stop)
        for term in field.terms:
            for parameter, part in term.columns(self.values, first, last):
                where = self._place(parameter)
                if where is not None:
                    places.append(torch.arange(where.start, where.stop))
                    full = self.bands * (last - first)
                    columns.append(part if len(part) == full else part.repeat(self.bands, 1))
        return Design(field, torch.cat(places), torch.cat(columns, 1))

    def _collect(self, field: Field, x: Tensor) -> Tensor:
        """Sum (E p, k) over the pixels of each row of the field, (E rows, k)."""
        if field.groups is None:
            return x
        bands = x.T.reshape(x.shape[1], self.bands, len(x) // self.bands)
        return field.collect(bands, self.start, self.stop).reshape(x.shape[1], self.bands * field.row_count).T

    def _push(self, name: str) -> Tensor:
        """Return d(mu)/df of one field, (E p,)."""
        return sum(
            (
                float(glow.component.slope(self.values)) * lit
                for glow, lit in zip(self.glows, self.lit, strict=True)
                if glow.component.field == name
            ),
            start=self.model.counts.new_zeros(self.bands * (self.stop - self.start)),
        )

    def add(self, gradient: Tensor, information: Tensor, residual: Tensor, weight: Tensor, *, observed: bool) -> None:
        """Add this block's part of gradient (D,) and information (D, D)."""
        few = torch.tensor(self.places, dtype=torch.long)
        gradient[few] += self.dense.T @ residual
        information[few[:, None], few] += self.dense.T @ (weight[:, None] * self.dense)
        pushes = {name: self._push(name) for name in self.designs}
        for name, (field, places, columns) in self.designs.items():
            left = torch.cat([self.dense * weight[:, None], residual[:, None]], 1) * pushes[name][:, None]
            cross = self._collect(field, left).T @ columns
            gradient[places] += cross[-1]
            information[few[:, None], places] += cross[:-1]
            information[places[:, None], few] += cross[:-1].T
            for other, second in self.designs.items():
                bend = weight * pushes[name] * pushes[other]
                if observed and name == other:
                    bend = bend - residual * self._bend(name)
                information[places[:, None], second.places] += self._between(self.designs[name], second, bend)
        if observed:
            self._add_mixed(information, residual)

    def _between(self, first: Design, second: Design, bend: Tensor) -> Tensor:
        """Return D1^T diag(bend) D2 of two fields, with bend (E p,) summed over the pixels of each row."""
        if first.field.groups is second.field.groups:
            return first.columns.T @ (self._collect(first.field, bend[:, None]) * second.columns)
        spread = [self._spread(design) for design in (first, second)]
        return spread[0].T @ (bend[:, None] * spread[1])

    def _spread(self, design: Design) -> Tensor:
        """Return a design with one row per pixel, (E p, m)."""
        groups = design.field.groups
        if groups is None:
            return design.columns
        bands = design.columns.reshape(self.bands, -1, design.columns.shape[1])
        return bands[:, groups[self.start : self.stop]].flatten(0, 1)

    def _bend(self, name: str) -> Tensor:
        """Return d2(mu)/df2 of one field, (E p,)."""
        return sum(
            (
                float(glow.component.slope(self.values)) ** 2 * lit
                for glow, lit in zip(self.glows, self.lit, strict=True)
                if glow.component.field == name
            ),
            start=torch.zeros_like(self.lit[0]),
        )

    def _add_mixed(self, information: Tensor, residual: Tensor) -> None:
        r"""Add the mixed second derivatives of a modulated component's norm A, mean a, coefficient c and field f.

        Of :math:`\mu = A T e^{a + c f}`, whose own second derivative in f is in `_bend`.
        """
        for (item, f, shape), lit in zip(self.glows, self.lit, strict=True):
            assert item.field is not None  # noqa: S101 - glows are modulated components
            field, places, columns = self.designs[item.field]
            slope, bare = float(item.slope(self.values)), shape[0].flatten()
            high = f[0].expand(self.bands, -1).flatten()
            names = (item.norm, item.mean, item.coefficient)
            for name, with_field in zip(names, (slope * bare, slope * lit, (1.0 + slope * high) * lit), strict=True):
                where, part = self._columns_of(name, with_field)
                self._bend_pair(information, where, places, self._collect(field, part * residual[:, None]).T @ columns)
            one = torch.ones_like(lit)
            pairs = (
                (item.norm, item.mean, bare),
                (item.norm, item.coefficient, bare * high),
                (item.mean, item.mean, 0.5 * lit),
                (item.mean, item.coefficient, lit * high),
                (item.coefficient, item.coefficient, 0.5 * lit * high**2),
            )
            for first, second, column in pairs:
                where, part = self._columns_of(first, column)
                other, _ = self._columns_of(second, one)
                if len(other):
                    self._bend_pair(information, where, other, part.T @ residual[:, None])

    @staticmethod
    def _bend_pair(information: Tensor, first: Tensor, second: Tensor, bend: Tensor) -> None:
        """Take second derivatives (m, n) from both halves of the information."""
        information[first[:, None], second] -= bend
        information[second[:, None], first] -= bend.T

    def _columns_of(self, name: object, column: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places (k,) of a parameter and the column (E p,), split where it has a number per energy bin."""
        parts: list[Tensor] = []
        mark = len(self.places)
        self._add_dense(parts, name, column.reshape(self.bands, -1))
        places = torch.tensor(self.places[mark:], dtype=torch.long)
        del self.places[mark:]
        return places, torch.stack(parts, 1) if parts else column.new_zeros(len(column), 0)
