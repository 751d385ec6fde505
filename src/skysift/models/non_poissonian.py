"""Counts maps of templates and of populations of sources too faint to resolve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from skysift.contract import Curvature, count_rows
from skysift.likelihoods.non_poissonian import PixelCounts, non_poissonian_log_likelihood, smooth_derivatives
from skysift.likelihoods.source_counts import SourceCountTable
from skysift.models.curvature import Seen, curve
from skysift.models.population import Population
from skysift.models.template import TemplateModel

__all__ = ["NonPoissonianModel"]

#: Tables of so many bytes are held at a time.
TABLE_BYTES = 2**26
#: Steps of differences, relative to a norm or break and absolute in a slope.
STEP = 1e-5
#: Sources of up to so many photons are drawn by their own numbers, and brighter ones by their slope.
_MOST_DRAWN = 400
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class NonPoissonianModel(TemplateModel):
    """Templates as in `TemplateModel`, one energy bin, and populations whose photons come in bunches.

    Parameters
    ----------
    populations : at least one
    table : kernels of their coefficients, up to the largest count

    References
    ----------
    Malyshev and Hogg (2011), ApJ 738, 181; Mishra-Sharma, Rodd and Safdi (2017), AJ 153, 253
    """

    populations: tuple[Population, ...] = ()
    table: SourceCountTable | None = None

    @cached_property
    def _pixels(self) -> PixelCounts:
        return PixelCounts(self.counts[0], torch.cat([item.weights for item in self.populations], 1))

    @cached_property
    def _own(self) -> tuple[str, ...]:
        """Names of the populations' parameters, each once."""
        return tuple(dict.fromkeys(name for item in self.populations for name in item.free))

    def _coefficients(self, values: Values, table: SourceCountTable | None = None) -> tuple[Tensor, Tensor]:
        """Return coefficients of all populations and exposure nodes, (B, columns, m), and totals (B, columns)."""
        chosen = table or self.table
        assert chosen is not None  # noqa: S101 - made with the model
        pairs = [item.coefficients(values, chosen) for item in self.populations]
        return torch.cat([means for means, _ in pairs], 1), torch.cat([totals for _, totals in pairs], 1)

    def _sum(self, values: Values, *, want_gradient: bool) -> tuple[Tensor, Tensor]:
        rows = count_rows(values)
        size = max(1, TABLE_BYTES // (8 * self._pixels.table_size))
        pieces = [
            self._sum_few({name: part[start : start + size] for name, part in values.items()}, want_gradient)
            for start in range(0, rows, size)
        ]
        total = torch.cat([part for part, _ in pieces])
        packed = torch.cat([part for _, part in pieces]) if want_gradient else total.new_zeros(0)
        return self.scale * total, self.scale * packed

    def _sum_few(self, values: Values, want_gradient: bool) -> tuple[Tensor, Tensor]:
        places = list(self._blocks(count_rows(values)))
        with torch.no_grad():
            parts = [self._expected(values, *place) for place in places]
        smooth = torch.cat([part for part, _ in parts], -1)[:, 0]
        own = {name: values[name].detach().clone().requires_grad_(want_gradient) for name in self._own}
        smooth.requires_grad_(want_gradient)
        with torch.set_grad_enabled(want_gradient):
            means, totals = self._coefficients({**values, **own})
            each = non_poissonian_log_likelihood(self._pixels, smooth, means, totals).sum(-1)
            whole = each.sum()
        if not want_gradient:
            return each, each.new_zeros(0)
        residual, *slopes = torch.autograd.grad(whole, [smooth, *own.values()])
        grads = {name: torch.zeros_like(values[name]) for name in self.parameters.names}
        grads |= dict(zip(own, slopes, strict=True))
        with torch.no_grad():
            for place, (_, glows) in zip(places, parts, strict=True):
                self._add_gradient(grads, values, residual[:, None, slice(*place)], glows, place)
        return each.detach(), self.parameters.pack(grads)

    def expected(self, values: Values) -> Tensor:
        """Return expected counts, (B, P)."""
        return super().expected(values) + sum(item.expected(values) for item in self.populations)

    def log_likelihood_map(self, values: Values) -> Tensor:
        """Return the log probability of each pixel's counts, (B, P)."""
        with torch.no_grad():
            means, totals = self._coefficients(values)
            return non_poissonian_log_likelihood(self._pixels, super().expected(values), means, totals)

    def component_counts(self, values: Values) -> dict[str, Tensor]:
        """Return expected counts by component and population, each (B, P)."""
        return super().component_counts(values) | {item.name: item.expected(values) for item in self.populations}

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Return counts, (B, P): of smooth emission, and in each pixel of sources of 1, 2, ... photons there."""
        drawn = torch.poisson(super().expected(values), generator=generator)
        means, totals = self._coefficients(values, self._wide)
        numbers = torch.arange(1, self._wide.largest + 1, dtype=drawn.dtype, device=drawn.device)
        first = 0
        for item in self.populations:
            last = first + len(item.log_ratios)
            law = item.law(values)
            ceilings = law.log_breaks[:, 0].exp() if law.is_limited else law.log_norm.new_full((len(drawn),), torch.inf)
            for row in range(len(drawn)):
                sources = (item.weights @ means[row, first:last]).clamp_min(0.0)
                drawn[row] += torch.poisson(sources, generator=generator) @ numbers
                rest = (item.weights @ totals[row, first:last] - sources.sum(1)).clamp_min(0.0)
                ends = float(self._wide.largest + 1), float(ceilings[row])
                drawn[row] += _draw_bright(rest, float(law.slopes[row, 0]), ends, generator)
            first = last
        return drawn

    @cached_property
    def _wide(self) -> SourceCountTable:
        """Kernels far beyond the largest count."""
        assert self.table is not None  # noqa: S101 - made with the model
        largest = max(2 * self.table.largest + 100, _MOST_DRAWN)
        return SourceCountTable(self.table.fractions, self.table.pixels, largest, self.table.device)

    def information(self, values: Values) -> Tensor:
        """Return weights one over the variance of counts, (B, P)."""
        means, _ = self._coefficients(values)
        numbers = torch.arange(1, means.shape[2] + 1, dtype=means.dtype, device=means.device)
        weights = torch.cat([item.weights for item in self.populations], 1)
        spread = (means @ numbers**2) @ weights.T
        return 1.0 / (super().expected(values) + spread.clamp_min(0.0))

    def curvature(self, values: Values, observed: bool = True) -> Curvature:
        """Return value, gradient and information at one point (batch of one) in packed physical values.

        Closed forms in everything smooth; differences of the closed-form gradient in the populations' few numbers.
        With ``observed`` False the smooth part is weighted by one over the variance, and what the populations add is
        turned positive.
        """
        with torch.no_grad():
            smooth = super().expected(values)[0]
            means, totals = self._coefficients(values)
            each, slope, bend = smooth_derivatives(self._pixels, smooth, means[0], totals[0])
            weight = -bend if observed else self.information(values)[0]
        whole = curve(self, values, observed=observed, seen=Seen(each.sum(), slope, weight))
        columns, places = self._differentiate(values)
        _, gradient = self._sum(values, want_gradient=True)
        information = whole.information
        information[:, places] = -columns
        information[places] = -columns.T
        square = 0.5 * (columns[places] + columns[places].T)
        information[places[:, None], places] = -square if observed else _make_positive(information, places, -square)
        return Curvature(whole.value, gradient[0], information)

    def _differentiate(self, values: Values) -> tuple[Tensor, Tensor]:
        """Return second derivatives (D, k) in the populations' own numbers, and where those are packed, (k,)."""
        points: dict[str, Tensor] = {name: part.repeat(2 * len(self._own), *[1] * (part.ndim - 1))
                                     for name, part in values.items()}  # fmt: skip
        steps = []
        for number, name in enumerate(self._own):
            step = STEP * (1.0 if "_slope_" in name else abs(float(values[name])))
            points[name][2 * number] += step
            points[name][2 * number + 1] -= step
            steps.append(step)
        _, packed = self._sum(points, want_gradient=True)
        columns = (packed[0::2] - packed[1::2]) / (2 * packed.new_tensor(steps)[:, None])
        starts = [self.parameters.packed_slices[name].start for name in self._own]
        places = torch.tensor(starts, device=packed.device)
        return columns.T, places

    def take(self, index: Tensor, scale: float = 1.0) -> Self:
        """Return the model of some pixels only."""
        fewer = super().take(index, scale)
        return replace(fewer, populations=tuple(item.take(index) for item in self.populations))


def _make_positive(information: Tensor, places: Tensor, own: Tensor) -> Tensor:
    """Return the block of some numbers (k, k), made such that the whole matrix (D, D) is positive.

    What the block adds to all that follows from the others has its eigenvalues turned positive.
    """
    others = torch.ones_like(information[0], dtype=torch.bool).index_fill_(0, places, False)
    corner, cross = information[others][:, others], information[others][:, places]
    scale = corner.diagonal().clamp_min(1e-300).sqrt()
    values, vectors = torch.linalg.eigh(corner / scale / scale[:, None])
    kept = values > 1e-10 * float(values.max()) if len(values) else values > 0
    turned = vectors[:, kept].T @ (cross / scale[:, None])
    follows = turned.T @ (turned / values[kept][:, None])
    length = own.diagonal().abs().clamp_min(1e-300).sqrt()
    added, axes = torch.linalg.eigh((own - follows) / length / length[:, None])
    positive: Tensor = follows + (axes * added.abs()) @ axes.T * length * length[:, None]
    return positive


def _draw_bright(rest: Tensor, slope: float, ends: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Return photons (P,) of the brightest sources, between ``ends``, ``rest`` (P,) of them on average."""
    sources = torch.poisson(rest, generator=generator).long()
    owner = torch.repeat_interleave(torch.arange(len(rest), device=rest.device), sources)
    share = torch.rand(len(owner), generator=generator, dtype=rest.dtype, device=rest.device)
    low, power = ends[0], 1.0 - slope
    high = max(ends[1], low)
    if abs(power) < 1e-9:
        flux = low * (high / low) ** share
    else:
        flux = low * (1 - share * (1 - (high / low) ** power)) ** (1.0 / power)
    return torch.zeros_like(rest).index_add_(0, owner, torch.floor(flux))
