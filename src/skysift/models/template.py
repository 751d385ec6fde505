"""Counts maps as sums of templates, some of them modulated by the exponential of a Gaussian process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skysift.contract import Curvature, count_rows
from skysift.likelihoods.poisson import (
    poisson_constant,
    poisson_curvature,
    poisson_log_likelihood,
    poisson_residual,
)
from skysift.models.fields import Field
from skysift.parameters import Parameters

__all__ = ["Component", "TemplateModel"]

BLOCK_BYTES = 2**28
LEAST_BLOCK = 1024
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Component:
    r"""One template: :math:`A_e T_{ep}`, or :math:`A_e T_{ep} \exp(a + c f_{ep})` when modulated.

    Parameters
    ----------
    name : name in the configuration
    template : (E, P), counts per pixel at unit norm
    norm : A, a number or the name of a parameter of shape () or (E,)
    field : name of the field f, or None for a rigid template
    coefficient : c, a number or the name of a parameter
    mean : name of the parameter a, or None for zero
    """

    name: str
    template: Tensor
    norm: float | str
    field: str | None = None
    coefficient: float | str = 1.0
    mean: str | None = None

    def amplitude(self, values: Values) -> Tensor:
        """Return A, (B or 1, E or 1, 1)."""
        return _number(self.norm, values, self.template)

    def slope(self, values: Values) -> Tensor:
        """Return c, (B or 1, 1, 1)."""
        return _number(self.coefficient, values, self.template)

    def exponent(self, values: Values, f: Tensor) -> Tensor:
        """Return a + c f for f (B, 1 or E, p): f itself where a = 0 and c = 1, for every pass over pixels costs."""
        moved = f if self.coefficient == 1.0 else self.slope(values) * f
        return moved if self.mean is None else moved + _number(self.mean, values, f)


def _number(source: float | str, values: Values, like: Tensor) -> Tensor:
    if not isinstance(source, str):
        return like.new_full((1, 1, 1), source)
    value = values[source]
    return value[:, None, None] if value.ndim == 1 else value[:, :, None]


class Glow(NamedTuple):
    """A modulated component at some pixels: f (B, 1 or E, p) and T exp(a + c f) (B, E, p)."""

    component: Component
    f: Tensor
    shape: Tensor


@dataclass(frozen=True)
class TemplateModel:
    r"""Poisson counts of templates, :math:`\mu = \sum_i A_i T_i + \sum_j A_j \exp(a_j + c_j f_j) T_j`.

    Parameters
    ----------
    parameters : every free number, by the names that components and fields refer to
    counts : (E, P), counts
    components : in any order
    fields : Gaussian processes by name, with every number known or among the parameters
    open_fields : the same with the hyper-parameters still open, for `at`
    hyper, hyper_nodes : settings that engines integrate out by evidence through `at`, and how many values of each
    groups : (P,), number of the super-pixel of each pixel, for `context`
    scale : factor on the log likelihood, N / B for a minibatch
    norm_starts : where to begin, by parameter name
    warnings : what a reader of the results must know

    Data are flattened to (E P,) wherever the contract speaks of data.

    References
    ----------
    Mishra-Sharma & Cranmer (2020), arXiv:2010.10450, eq. 1
    """

    parameters: Parameters
    counts: Tensor
    components: tuple[Component, ...]
    fields: Mapping[str, Field] = field(default_factory=dict)
    open_fields: Mapping[str, Field] = field(default_factory=dict)
    hyper: Parameters | None = None
    hyper_nodes: int = 1
    groups: Tensor | None = None
    scale: float = 1.0
    norm_starts: Mapping[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def pixel_count(self) -> int:
        """Number of pixels, P."""
        return int(self.counts.shape[1])

    def log_likelihood(self, values: Values) -> Tensor:
        """Return the log likelihood, (B,); differentiable once by a closed-form gradient."""
        packed = self.parameters.pack(values)
        if packed.requires_grad and torch.is_grad_enabled():
            return _LogLikelihood.apply(packed, self)  # type: ignore[no-any-return,no-untyped-call]  # torch's own
        return self._sum(values, want_gradient=False)[0]

    def log_likelihood_and_gradient(self, values: Values) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (B,) and gradients by parameter name, in one pass over the pixels."""
        total, packed = self._sum(values, want_gradient=True)
        return total, self.parameters.unpack(packed)

    def expected(self, values: Values) -> Tensor:
        """Return expected counts, (B, E P)."""
        parts = [self._expected(values, start, stop)[0] for start, stop in self._blocks(count_rows(values))]
        return torch.cat(parts, -1).flatten(1)

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Return Poisson counts, (B, E P)."""
        return torch.poisson(self.expected(values), generator=generator)

    def log_likelihood_map(self, values: Values) -> Tensor:
        """Return the log probability of each datum, (B, E P)."""
        counts, mean = self.counts.flatten(), self.expected(values)
        return torch.xlogy(counts, mean.clamp_min(1e-300)) - mean - torch.lgamma(counts + 1.0)

    def information(self, values: Values) -> Tensor:
        """Return Fisher weights 1 / mu, (B, E P)."""
        return poisson_curvature(self.counts.flatten(), self.expected(values), observed=False)

    def component_counts(self, values: Values) -> dict[str, Tensor]:
        """Return expected counts by component, each (B, E P)."""
        parts: dict[str, list[Tensor]] = {item.name: [] for item in self.components}
        for start, stop in self._blocks(count_rows(values)):
            glows = {glow.component.name: glow.shape for glow in self._glows(values, start, stop)}
            for item in self.components:
                shape = glows.get(item.name, item.template[None, :, start:stop])
                parts[item.name].append((item.amplitude(values) * shape).expand(count_rows(values), -1, -1))
        return {name: torch.cat(blocks, -1).flatten(1) for name, blocks in parts.items()}

    def modulation(self, values: Values) -> dict[str, Tensor]:
        """Return exp(a + c f) by modulated component, each (B, E, P), relative to the template."""
        parts: dict[str, list[Tensor]] = {}
        for start, stop in self._blocks(count_rows(values)):
            for item in self.components:
                if item.field is not None:
                    f = self.fields[item.field].evaluate(values, start, stop)
                    parts.setdefault(item.name, []).append(torch.exp(item.exponent(values, f)))
        return {name: torch.cat(blocks, -1) for name, blocks in parts.items()}

    def at(self, values: Values) -> Self:
        """Return the model with hyper-parameters (unbatched) fixed; nothing is left to integrate out."""
        fixed = {name: item.at(values) for name, item in self.open_fields.items()}
        return replace(self, fields=fixed, hyper=None, open_fields={})

    def starting_points(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return norms of the rigid non-negative fit, jittered by 10 % after the first, and fields at zero."""
        points = {}
        for item in self.parameters:
            start = self.norm_starts.get(item.name)
            if start is None:
                start = item.prior.from_cube(self.counts.new_full(item.shape, 0.5))
            jitter = torch.randn(count, *item.shape, generator=generator, dtype=torch.float64).to(start.device)
            jitter[0] = 0.0
            spread = 0.1 if item.name in self.norm_starts else 0.0
            points[item.name] = start * torch.exp(spread * jitter)
        return points

    def context(self, values: Values) -> Tensor:
        r"""Return a summary of the fields: :math:`\sum_p T_{ip} e^{f_p} / \sum_p T_{ip}`, mean and sd of e^f.

        Sums run over one fixed set of super-pixels of the whole region and over one joint draw of v.

        Returns
        -------
        (B, fields * (components + 2))
        """
        fields, sums = self._summary
        rows = []
        for item in fields.values():
            factor = torch.exp(item.evaluate(values, 0, sums.shape[1])).mean(1)
            rows += [factor @ sums.T, factor.mean(-1, keepdim=True), factor.std(-1, keepdim=True)]
        return torch.cat(rows, -1)

    @cached_property
    def _summary(self) -> tuple[dict[str, Field], Tensor]:
        """Return the fields at one pixel per super-pixel, and each template's share there, (components, groups)."""
        templates = torch.stack([item.template.sum(0) for item in self.components])
        groups = torch.arange(self.pixel_count) if self.groups is None else self.groups
        numbers, inverse = torch.unique(groups.to(templates.device), return_inverse=True)
        sums = templates.new_zeros(len(templates), len(numbers)).index_add_(1, inverse, templates)
        places = torch.zeros_like(numbers)
        places[inverse.flip(0)] = torch.arange(self.pixel_count, device=templates.device).flip(0)
        fields = {name: item.take(places) for name, item in self.fields.items()}
        return fields, sums / sums.sum(1, keepdim=True)

    def _blocks(self, rows: int) -> Iterator[tuple[int, int]]:
        bands, count = self.counts.shape
        block = max(LEAST_BLOCK, BLOCK_BYTES // (8 * bands * max(1, rows) * (4 + 2 * len(self.fields))))
        block = min([block, *(item.block for item in self.fields.values())])
        for start in range(0, count, block):
            yield start, min(start + block, count)

    @cached_property
    def _rigid(self) -> tuple[tuple[Component, ...], Tensor]:
        """Return the components without a field, and their templates as one matrix per energy, (E, n, P)."""
        rigid = tuple(item for item in self.components if item.field is None)
        empty = self.counts.new_zeros(self.counts.shape[0], 0, self.pixel_count)
        return rigid, torch.stack([item.template for item in rigid], 1) if rigid else empty

    @cached_property
    def _constant(self) -> Tensor:
        """Return the part of the log likelihood that knows no expectation, ()."""
        return poisson_constant(self.counts)

    def _glows(self, values: Values, start: int, stop: int) -> list[Glow]:
        fields = {name: item.evaluate(values, start, stop) for name, item in self.fields.items()}
        glows = []
        for item in self.components:
            if item.field is not None:
                f = fields[item.field]
                glows.append(Glow(item, f, item.template[:, start:stop] * torch.exp(item.exponent(values, f))))
        return glows

    def _expected(self, values: Values, start: int, stop: int) -> tuple[Tensor, list[Glow]]:
        rigid, templates = self._rigid
        rows, bands = count_rows(values), self.counts.shape[0]
        if rigid:
            norms = [item.amplitude(values)[..., 0].expand(rows, bands) for item in rigid]
            total = (torch.stack(norms, 2).transpose(0, 1) @ templates[..., start:stop]).transpose(0, 1)
        else:
            total = self.counts.new_zeros(rows, bands, stop - start)
        glows = self._glows(values, start, stop)
        for glow in glows:
            total.addcmul_(glow.component.amplitude(values), glow.shape)
        return total, glows

    def _sum(self, values: Values, *, want_gradient: bool) -> tuple[Tensor, Tensor]:
        rows = count_rows(values)
        total, zero = self.counts.new_zeros(rows), self.counts.new_zeros(())
        grads = {name: torch.zeros_like(values[name]) for name in self.parameters.names} if want_gradient else {}
        for place in self._blocks(rows):
            expected, glows = self._expected(values, *place)
            counts = self.counts[:, slice(*place)]
            total += poisson_log_likelihood(counts.flatten(), expected.flatten(1), zero)
            if want_gradient:
                self._add_gradient(grads, values, poisson_residual(counts, expected), glows, place)
        packed = self.parameters.pack(grads) if want_gradient else self.counts.new_zeros(0)
        return self.scale * (total - self._constant), self.scale * packed

    def _add_gradient(
        self, grads: dict[str, Tensor], values: Values, slope: Tensor, glows: list[Glow], place: tuple[int, int]
    ) -> None:
        rigid, templates = self._rigid
        if rigid:
            sums = slope.transpose(0, 1) @ templates[..., slice(*place)].transpose(1, 2)
            for item, one in zip(rigid, sums.unbind(2), strict=True):
                _add(grads, item.norm, one.T)
        pushes: dict[str, Tensor] = {}
        for glow in glows:
            name, push = str(glow.component.field), _pull_back(glow, grads, values, slope)
            pushes[name] = pushes[name] + push if name in pushes else push
        for name, push in pushes.items():
            for parameter, grad in self.fields[name].pull_back(values, push, *place).items():
                if parameter in grads:
                    grads[parameter] += grad

    def curvature(self, values: Values, observed: bool = True) -> Curvature:
        """Return value, gradient and information at one point (batch of one) in packed physical values."""
        from skysift.models.curvature import curve

        return curve(self, values, observed=observed)

    def minibatch(self, size: int, generator: torch.Generator) -> Self:
        """Return the model of ``size`` random pixels, its log likelihood scaled by N / B."""
        index = torch.randperm(self.pixel_count, generator=generator)[:size].sort().values.to(self.counts.device)
        return self.take(index, self.pixel_count / size)

    def take(self, index: Tensor, scale: float = 1.0) -> Self:
        """Return the model of some pixels only."""
        parts = tuple(replace(item, template=item.template[:, index]) for item in self.components)
        fields = {name: item.take(index) for name, item in self.fields.items()}
        groups = None if self.groups is None else self.groups[index]
        return replace(self, counts=self.counts[:, index], components=parts, fields=fields, groups=groups, scale=scale)


def _pull_back(glow: Glow, grads: dict[str, Tensor], values: Values, slope: Tensor) -> Tensor:
    """Add the gradients of one modulated component's own numbers; return that in its field f, (B, E, p)."""
    item, f, shape = glow
    pull = slope * shape
    if item.norm in grads:
        _add(grads, item.norm, pull.sum(-1))
    push = pull.mul_(item.amplitude(values))
    if item.mean in grads:
        _add(grads, item.mean, push.sum(-1))
    if item.coefficient in grads:
        _add(grads, item.coefficient, (push * f).sum(-1))
    return push if item.coefficient == 1.0 else item.slope(values) * push


def _add(grads: dict[str, Tensor], name: float | str | None, grad: Tensor) -> None:
    """Add (B, E) to a gradient of shape (B,) or (B, E); numbers that are fixed have none."""
    if isinstance(name, str) and name in grads:
        target = grads[name]
        target += grad.sum(-1) if target.ndim == 1 else grad


class _LogLikelihood(torch.autograd.Function):
    """The log likelihood with its closed-form gradient: one pass, no graph over pixels."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, packed: Tensor, model: TemplateModel) -> Tensor:
        with torch.no_grad():
            total, gradient = model._sum(model.parameters.unpack(packed), want_gradient=True)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch leaves it untyped
        return upstream[..., None] * gradient, None
