"""Counts cubes as a Model: sums of sources and backgrounds, Poisson counts, derivatives in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.contract import Curvature, count_rows
from skysift.likelihoods.poisson import poisson_constant, poisson_curvature, poisson_log_likelihood, poisson_residual
from skysift.models.cubes.slopes import differentiate_source, differentiate_twice

if TYPE_CHECKING:
    from skysift.models.cubes.background import CubeBackground
    from skysift.models.cubes.source import CubeSource
    from skysift.models.cubes.tree import ValueTree
    from skysift.parameters import Parameters

__all__ = ["LEAST_COUNTS", "BoundCube", "CubeModel"]

Values = Mapping[str, Tensor]

#: Expected counts below this are taken for it, as in Gammapy.
LEAST_COUNTS = 1e-25


@dataclass(frozen=True, eq=False)
class BoundCube:
    """One cube with its data, and what is expected of it.

    Parameters
    ----------
    name : of the cube
    counts : (energy, rows, columns)
    compared : (energy, rows, columns), bool; None for everything
    base : (energy, rows, columns), what never changes
    sources : those that may change
    background : None where it never changes
    """

    name: str
    counts: Tensor
    compared: Tensor | None
    base: Tensor
    sources: tuple[CubeSource, ...]
    background: CubeBackground | None

    def expected(self, full: Values, rows: int) -> Tensor:
        """Return expected counts, (batch, energy, rows, columns)."""
        total = self.base.expand(rows, *self.base.shape).clone()
        if self.background is not None:
            total = total + self.background.counts(full)
        for source in self.sources:
            total[(..., *source.window.slices)] += source.counts(*split(source, full))
        return total

    @cached_property
    def weights(self) -> Tensor:
        """One where bins are compared, (energy, rows, columns)."""
        return torch.ones_like(self.base) if self.compared is None else self.compared.to(self.base)

    @cached_property
    def constant(self) -> Tensor:
        """The part of the log likelihood that knows no expectation."""
        return poisson_constant(self._seen)

    def log_likelihood(self, expected: Tensor) -> Tensor:
        """Return the log likelihood of expected counts (batch, energy, rows, columns), (batch,)."""
        mean = expected.flatten(1).clamp_min(LEAST_COUNTS)
        if self.compared is None:
            return poisson_log_likelihood(self.counts.flatten(), mean, self.constant)
        # elsewhere one is expected and nothing seen
        mean = torch.where(self.compared.flatten(), mean, 1.0)
        found = poisson_log_likelihood(self._seen, mean, self.constant)
        return found + float(self.compared.numel() - self.compared.sum())

    @cached_property
    def _seen(self) -> Tensor:
        """Counts in the bins that are compared, zero elsewhere."""
        return (self.counts * self.weights).flatten()

    def pull(self, full: Values, rows: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return the log likelihood (batch,), what moves, and the derivative of its sum in each of that."""
        traced = [source.trace(*split(source, full)) for source in self.sources]
        pairs = []
        with torch.no_grad():
            mean = self.base.expand(rows, *self.base.shape).clone()
        factors = None if self.background is None else self.background.factors(full)
        with torch.no_grad():
            if self.background is not None and factors is not None:
                mean += factors[..., None, None] * self.background.cube
            for source, part in zip(self.sources, traced, strict=True):
                mean[(..., *source.window.slices)] += part.counts
            likelihood, residual = self.log_likelihood(mean), self.residual(mean)
            for source, part in zip(self.sources, traced, strict=True):
                pairs += part.pull(residual[(..., *source.window.slices)])
            if self.background is not None and factors is not None:
                pairs.append((factors, (residual * self.background.cube).sum((-2, -1))))
        return likelihood, pairs

    def residual(self, expected: Tensor) -> Tensor:
        """Return the derivative of the log likelihood in expected counts, of their shape."""
        found = poisson_residual(self.counts.flatten(), expected.flatten(1).clamp_min(LEAST_COUNTS))
        found = found.reshape(expected.shape) * (expected > LEAST_COUNTS)
        return found if self.compared is None else found * self.weights


def split(source: CubeSource, full: Values) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the values of a source's spectrum and of its shape by their names in the parts."""
    heads = [f"{source.name}.{role}." for role in ("spectral", "spatial")]
    spectral, spatial = ({k[len(head) :]: v for k, v in full.items() if k.startswith(head)} for head in heads)
    return spectral, spatial


@dataclass(frozen=True, eq=False)
class CubeModel:
    r"""Poisson counts of sources in cubes.

    .. math:: \mu_{E'p} = b_{E'p} + \sum_s \sum_E D^s_{EE'}\, \phi^s_E\, \epsilon_{Ep}\, (K^s_E * S^s)_p

    Data are flattened, cube after cube, wherever the contract speaks of data.

    Parameters
    ----------
    tree : of values
    cubes : with their data
    warnings : what a reader of the results must know
    """

    tree: ValueTree
    cubes: tuple[BoundCube, ...]
    warnings: tuple[str, ...] = ()

    @property
    def parameters(self) -> Parameters:
        """Every free number, in order."""
        return self.tree.parameters

    def log_likelihood(self, values: Values) -> Tensor:
        """Return the log likelihood, (batch,)."""
        return sum(cube.log_likelihood(mean) for cube, mean in self._pairs(values))  # type: ignore[return-value]

    def expected(self, values: Values) -> Tensor:
        """Return expected counts of all bins, compared or not, (batch, data)."""
        return torch.cat([mean.flatten(1) for _, mean in self._pairs(values)], -1)

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Return Poisson counts, (batch, data)."""
        return torch.poisson(self.expected(values).clamp_min(0.0), generator=generator)

    def _pairs(self, values: Values) -> Iterator[tuple[BoundCube, Tensor]]:
        full, rows = self.tree.resolve(values), count_rows(values)
        for cube in self.cubes:
            yield cube, cube.expected(full, rows)

    def starting_points(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the values of the file, and around them draws of the prior for all but the first."""
        start = {name: torch.tensor([value], dtype=torch.float64) for name, value in self.tree.starts.items()}
        if count == 1:
            return start
        drawn = self.parameters.draw(count - 1, generator)
        return {name: torch.cat((start[name], drawn[name])) for name in start}

    def log_likelihood_and_gradient(self, values: Values) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (batch,) and gradients by name: one pass back through the windows of the sources alone."""
        with torch.enable_grad():
            leaves = {name: part.detach().requires_grad_() for name, part in values.items()}
            full, rows = self.tree.resolve(leaves), count_rows(values)
            total, pairs = torch.zeros(rows, dtype=torch.float64), []
            for cube in self.cubes:
                likelihood, pulled = cube.pull(full, rows)
                total = total + likelihood
                pairs += pulled
            outputs, pulls = zip(*pairs, strict=True)
            slopes = torch.autograd.grad(outputs, list(leaves.values()), pulls, allow_unused=True)
        found = {n: torch.zeros_like(v) if g is None else g for (n, v), g in zip(values.items(), slopes, strict=True)}
        return total, found

    def information(self, values: Values) -> Tensor:
        """Return Fisher weights 1 / mu, zero where nothing is compared, (batch, data)."""
        weights = torch.cat([cube.weights.flatten() for cube in self.cubes])
        return weights / self.expected(values).clamp_min(LEAST_COUNTS)

    def curvature(self, values: Values, observed: bool) -> Curvature:
        """Return value, gradient and information at one point, in the packed parameters.

        Raises
        ------
        ValueError : more than one point
        """
        if count_rows(values) != 1:
            raise ValueError("one point at a time")
        moving = self.tree.moving
        places = {name: row for row, name in enumerate(moving)}
        full = {name: part.detach() for name, part in self.tree.resolve(values).items()}
        value = torch.zeros((), dtype=torch.float64)
        gradient = torch.zeros(len(moving), dtype=torch.float64)
        information = torch.zeros(len(moving), len(moving), dtype=torch.float64)
        for cube in self.cubes:
            mean = cube.expected(full, 1)
            value = value + cube.log_likelihood(mean)[0]
            slopes, second = _differentiate(cube, full, cube.residual(mean)[0] if observed else None)
            rows = [places[name] for name in slopes]
            matrix = torch.stack([part.flatten() for part in slopes.values()])
            residual = cube.residual(mean)[0].flatten()
            weights = poisson_curvature(
                cube.counts.flatten(), mean.flatten().clamp_min(LEAST_COUNTS), observed=observed
            )
            weights = weights * cube.weights.flatten() * (mean.flatten() > LEAST_COUNTS)
            gradient[rows] += matrix @ residual
            information[torch.tensor(rows)[:, None], rows] += (matrix * weights) @ matrix.T
            for (first, other), bend in second.items():
                information[places[first], places[other]] -= bend
        chain = self.tree.differentiate(values)
        packed = chain.T @ information @ chain
        if observed:
            packed = packed - self.tree.bend(values, gradient)
        return Curvature(value, chain.T @ gradient, packed)

    def component_counts(self, values: Values) -> dict[str, Tensor]:
        """Return the counts that every component is expected to send into compared bins, by name, (batch,) each."""
        full, rows = self.tree.resolve(values), count_rows(values)
        found: dict[str, Tensor] = {}
        for cube in self.cubes:
            for name, part in _components(cube, full):
                counts = part.sum((-3, -2, -1)).expand(rows)
                found[name] = found[name] + counts if name in found else counts
        return found

    def predict(self, values: Values, number: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """Return expected counts of the compared bins of one cube, (batch, energy, rows, columns), and by component.

        What never changes is the component ``fixed``.
        """
        full, rows, cube = self.tree.resolve(values), count_rows(values), self.cubes[number]
        parts = {}
        for name, part in _components(cube, full):
            window = next((source.window.slices for source in cube.sources if source.name == name), None)
            whole = torch.zeros(rows, *cube.base.shape, dtype=torch.float64)
            whole[(..., *(window or (slice(None), slice(None))))] = part
            parts[name] = whole
        if bool(cube.base.any()):
            parts["fixed"] = (cube.base * cube.weights).expand(rows, *cube.base.shape)
        return torch.stack(list(parts.values())).sum(0), parts


def _components(cube: BoundCube, full: Values) -> Iterator[tuple[str, Tensor]]:
    for source in cube.sources:
        counts = source.counts(*split(source, full))
        yield source.name, counts * cube.weights[(..., *source.window.slices)]
    if cube.background is not None:
        yield cube.background.name, cube.background.counts(full) * cube.weights


def _differentiate(
    cube: BoundCube, full: Values, residual: Tensor | None
) -> tuple[dict[str, Tensor], dict[tuple[str, str], Tensor]]:
    """Return derivatives of expected counts by full name, and second ones pulled by a residual, by pairs of names."""
    slopes: dict[str, Tensor] = {}
    second: dict[tuple[str, str], Tensor] = {}

    def add(name: str, part: Tensor, window: tuple[slice, slice]) -> None:
        slopes.setdefault(name, torch.zeros_like(cube.base))[(..., *window)] += part

    for source in cube.sources:
        own, spectral, spatial = source.window.slices, *split(source, full)
        pull = None if residual is None else residual[(..., *own)]
        found, bends = differentiate_source(source, spectral, spatial, pull)
        for (role, name), part in found.items():
            add(f"{source.name}.{role}.{name}", part, own)
        for ((role, name), (other_role, other)), bend in bends.items():
            pair = f"{source.name}.{role}.{name}", f"{source.name}.{other_role}.{other}"
            second[pair] = second[pair] + bend if pair in second else bend
    if (background := cube.background) is not None:
        for name, part in background.differentiate(full).items():
            add(name, part[:, None, None] * background.cube, (slice(None), slice(None)))
        if residual is not None:
            pulled = (residual * background.cube).sum((-2, -1))
            moved = background.own(full)
            second |= differentiate_twice(lambda some: background.factors({**full, **some}) @ pulled, moved)
    return slopes, second
