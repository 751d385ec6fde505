"""Events as a mixture of components: fractions of a given number, or expected events of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysift.contract import Curvature, count_rows
from skysift.errors import InputError
from skysift.likelihoods.mixture import (
    differentiate_mixture,
    extended_log_likelihood,
    maximise_shares,
    mixture_information,
    mixture_log_likelihood,
)
from skysift.models.mixture.densities import Densities, DensityTable, read_densities
from skysift.models.mixture.norms import Norms
from skysift.models.mixture.tree import Fractions, Tree
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors.base import ScalarPrior

__all__ = ["MEASURE", "MixtureModel"]

MEASURE = "log Z counts densities per TeV deg2 and no multinomial coefficient: compare fits of the same events only"
PIECE_NUMBERS = 2**22
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class MixtureModel:
    r"""Events drawn from components, :math:`\ln L = \sum_i w_i \ln \sum_s f_s p_{is}`, or its extended form.

    Data are the events; `expected` and `simulate` speak of how many come from each component.

    Parameters
    ----------
    shares : `Fractions` of a given number of events, or `Norms` for the extended likelihood
    densities : table, or a function from the values (B, ...) of further parameters to tables (B, n, S)
    counts : (n,), events in each row
    further : parameters of the densities, by name
    warnings : what a reader of the results must know
    labels : of the numbers of further parameters that are vectors
    """

    shares: Fractions | Norms
    densities: Densities
    counts: Tensor
    further: tuple[Parameter, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        log_densities: NDArray[np.float64] | Tensor,
        counts: NDArray[np.float64] | Tensor | None = None,
        tree: Tree | None = None,
        concentration: float | Mapping[str, float] | None = None,
    ) -> MixtureModel:
        """Return a mixture of components with known densities.

        Parameters
        ----------
        names : of the components
        log_densities : (n, S), ln of 1 / (TeV deg2)
        counts : (n,), events in each row; None for one in each
        tree, concentration : of the prior, see `Fractions.of`

        Raises
        ------
        InputError : densities or names that do not fit
        """
        table, number = read_densities(log_densities, names, counts)
        return cls(Fractions.of(names, tree, concentration), table, number)

    @classmethod
    def extended(
        cls,
        names: Sequence[str],
        log_densities: NDArray[np.float64] | Tensor,
        totals: Sequence[float] | NDArray[np.float64] | Tensor,
        norms: Mapping[str, ScalarPrior | float | str],
        counts: NDArray[np.float64] | Tensor | None = None,
    ) -> MixtureModel:
        """Return an extended mixture of components with known densities.

        Parameters
        ----------
        names, log_densities, counts : as in `of`
        totals : (S,), expected events of each component at norm one
        norms : prior, fixed number, or component whose norm is shared, by component

        Raises
        ------
        InputError : densities, totals or names that do not fit
        """
        table, number = read_densities(log_densities, names, counts, totals)
        return cls(Norms.of(names, norms), table, number)

    def __post_init__(self) -> None:
        """Check that something is free, and that totals are there where they are needed."""
        if not self.shares.parameters and not self.further:
            raise InputError("mixture", "parameters", "none", "a free fraction, norm or source", "free one of them")
        if self.is_extended and isinstance(self.densities, DensityTable) and self.densities.totals is None:
            raise InputError("mixture", "totals", "none", "expected events of each component", "give the totals")

    @property
    def names(self) -> tuple[str, ...]:
        """Components, in the order of the densities."""
        return self.shares.names

    @property
    def is_extended(self) -> bool:
        """Whether the number of events is data."""
        return isinstance(self.shares, Norms)

    @cached_property
    def parameters(self) -> Parameters:
        """Fractions or norms, then those of the densities."""
        return Parameters([*self.shares.parameters, *self.further])

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the axes of the parameters that have axes with names."""
        return self.shares.dims | {name: (f"{name}_channel",) for name in self.labels}

    @property
    def coordinates(self) -> dict[str, tuple[str, ...]]:
        """Labels along those axes, and ``component``."""
        return self.shares.coordinates | {f"{name}_channel": labels for name, labels in self.labels.items()}

    @property
    def has_one_mode(self) -> bool:
        """Whether the posterior has one optimum for certain.

        The likelihood is concave in fractions. With the Jacobian of log-ratios the prior is a sum of logarithms of
        fractions, so concave too: for one Dirichlet of any concentration, and for trees whose leaves are flat.
        """
        if not isinstance(self.densities, DensityTable) or not isinstance(self.shares, Fractions) or self.further:
            return False
        return self.shares.is_flat or self.shares.has_flat_leaves

    @cached_property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())

    @cached_property
    def _constant(self) -> Tensor:
        assert isinstance(self.densities, DensityTable)  # noqa: S101 - narrows the type
        return self.densities.sum_offsets(self.counts)

    def log_likelihood(self, values: Values) -> Tensor:
        """Return the log likelihood, (B,); differentiable by autograd."""
        if isinstance(self.densities, DensityTable):
            return self._compare(self.densities, values, self._constant)
        rows = max(1, PIECE_NUMBERS // (len(self.counts) * len(self.names)))
        parts = []
        for start in range(0, count_rows(values), rows):
            piece = {name: value[start : start + rows] for name, value in values.items()}
            table = self.densities(piece)
            parts.append(self._compare(table, piece, table.sum_offsets(self.counts)))
        return torch.cat(parts) if parts else self.counts.new_zeros(0)

    def _compare(self, table: DensityTable, values: Values, constant: Tensor) -> Tensor:
        compare = extended_log_likelihood if self.is_extended else mixture_log_likelihood
        return compare(self.shares.shares(values, table.totals), table.scaled, self.counts, constant)

    def table(self, values: Values) -> DensityTable:
        """Return the densities at values (B, ...)."""
        return self.densities if isinstance(self.densities, DensityTable) else self.densities(values)

    def expected(self, values: Values) -> Tensor:
        """Return how many events each component is expected to contribute, (B, S)."""
        if not self.is_extended:
            return self.total * self.shares.shares(values)
        return self.shares.shares(values, self.table(values).totals)

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Draw how many events come from each component, (B, S): multinomial, or Poisson when extended."""
        expected = self.expected(values)
        if self.is_extended:
            return torch.poisson(expected, generator=generator)
        return _draw_multinomial(expected / self.total, int(self.total), generator)

    def component_fractions(self, values: Values) -> Tensor:
        """Return each component's share of the events, (B, S)."""
        expected = self.expected(values)
        return expected / expected.sum(-1, keepdim=True)

    def memberships(self, values: Values) -> Tensor:
        """Return the probability that each row belongs to each component, (B, n, S)."""
        table = self.table(values)
        parts = table.scaled * self.shares.shares(values, table.totals)[:, None]
        return parts / parts.sum(-1, keepdim=True)

    @property
    def log_likelihood_and_gradient(self) -> Callable[[Values], tuple[Tensor, dict[str, Tensor]]] | None:
        """Both in one pass, where the densities are known; None where autograd has to go through them."""
        return self._differentiate if isinstance(self.densities, DensityTable) else None

    @property
    def curvature(self) -> Callable[[Values, bool], Curvature] | None:
        """Closed-form curvature at one point, where the densities are known; None where they move."""
        return self._curve if isinstance(self.densities, DensityTable) else None

    def _differentiate(self, values: Values) -> tuple[Tensor, dict[str, Tensor]]:
        table = self.table({})
        with torch.no_grad():
            likelihood = self._compare(table, values, self._constant)
        with torch.enable_grad():
            leaves = {name: values[name].detach().requires_grad_() for name in self.parameters.names}
            shares = self.shares.shares(leaves, table.totals)
            pull = self._pull(shares.detach(), table)
            slopes = torch.autograd.grad((shares * pull).sum(), list(leaves.values()))
        return likelihood, dict(zip(leaves, slopes, strict=True))

    def _pull(self, shares: Tensor, table: DensityTable) -> Tensor:
        return differentiate_mixture(shares, table.scaled, self.counts) - float(self.is_extended)

    def _curve(self, values: Values, observed: bool = True) -> Curvature:
        """Return value, gradient and information at one point in packed physical values.

        Where fractions are products (trees), the observed information holds their second derivatives too; without
        ``observed`` it is the sum of outer products of the events' own gradients, which is never negative.
        """
        table, point = self.table({}), self.parameters.pack(values)[0].detach()

        def shares_at(packed: Tensor) -> Tensor:
            return self.shares.shares(self.parameters.unpack(packed[None]), table.totals)[0]

        with torch.no_grad():
            shares = shares_at(point)
            pull = self._pull(shares[None], table)[0]
        jacobian = torch.autograd.functional.jacobian(shares_at, point)  # type: ignore[no-untyped-call]  # torch's own
        information = jacobian.T @ mixture_information(shares, table.scaled, self.counts) @ jacobian
        if observed and isinstance(self.shares, Fractions) and not self.shares.is_flat:
            bend = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]  # torch's own
                lambda one: shares_at(one) @ pull, point
            )
            information = information - bend
        with torch.no_grad():
            likelihood = self._compare(table, values, self._constant)[0]
        return Curvature(likelihood, pull @ jacobian, information)

    def starting_points(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return shares from expectation maximisation, given the densities' own parameters.

        Those are at the middle of their prior in the first row, and drawn from it in the others.
        """
        rows = [self._start(generator if k else None) for k in range(count)]
        return {name: torch.stack([row[name] for row in rows]) for name in self.parameters.names}

    def _start(self, generator: torch.Generator | None) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for item in self.further:
            u = torch.full(item.cube_shape(), 0.5, dtype=torch.float64)
            if generator is not None:
                u = torch.rand(u.shape, generator=generator, dtype=torch.float64, device=generator.device).cpu()
            values[item.name] = item.prior.from_cube(u).to(self.counts.device)
        table = self.table({name: value[None] for name, value in values.items()})
        scaled = table.scaled if table.scaled.ndim == 2 else table.scaled[0]
        totals = table.totals if table.totals is None or table.totals.ndim == 1 else table.totals[0]
        prior = torch.tensor(self.shares.prior_counts, dtype=torch.float64, device=self.counts.device)
        best = maximise_shares(scaled.detach(), self.counts, prior)
        if self.is_extended:
            best = best * self.total
        return values | self.shares.split(best, None if totals is None else totals.detach())


def _draw_multinomial(shares: Tensor, total: int, generator: torch.Generator) -> Tensor:
    """Draw counts that sum to ``total``: binomials one after the other, (B, S)."""
    left = shares.new_full((len(shares),), float(total))
    rest, columns = torch.ones_like(left), []
    for column in shares.unbind(-1)[:-1]:
        odds = (column / rest.clamp_min(1e-300)).clamp(0.0, 1.0)
        drawn = torch.binomial(left, odds, generator=generator)
        columns.append(drawn)
        left, rest = left - drawn, rest - column
    return torch.stack([*columns, left], -1)
