"""From configured kernels to the terms of a field, with their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skysift.models.fields import Term
from skysift.parameters import Parameter
from skysift.parameters.priors import LogNormal, ScalarPrior, StandardNormal
from skysift.sky.gaussian_process import Projection, inducing_points, learn_points
from skysift.sky.kernels import correlate

__all__ = ["Grain", "MadeField", "make_field"]

TABLE_SIZE = 7
TABLE_REACH = 2.5
SHORTEST_SD = 1.0


@dataclass(frozen=True)
class Grain:
    """Where a field lives: unit vectors (P, 3), expected counts there (P,), centres of the energy bins (E,) in GeV."""

    places: Tensor
    weights: Tensor
    energy_gev: Tensor


@dataclass
class MadeField:
    """Terms of one field and the parameters that they read; hyper-parameters to integrate out and how finely."""

    terms: list[Term] = field(default_factory=list)
    latent: list[Parameter] = field(default_factory=list)
    hyper: list[Parameter] = field(default_factory=list)
    sampled: list[Parameter] = field(default_factory=list)
    nodes: int = 1
    warnings: list[str] = field(default_factory=list)


def make_field(name: str, kernels: Sequence[Any], grain: Grain) -> MadeField:
    """Return the field of component ``name`` as the sum of its configured kernels."""
    made = MadeField()
    for number, kernel in enumerate(kernels, start=1):
        suffix = "" if number == 1 else f"_{number}"
        _add_term(made, name, suffix, kernel, grain)
    return made


def _add_term(made: MadeField, name: str, suffix: str, kernel: Any, grain: Grain) -> None:  # noqa: ANN401 - duck-typed
    length, lengths = _lengths(kernel)
    tables = _tables(kernel, lengths, grain)
    variance: float | str = f"{name}_variance{suffix}"
    bucket = made.sampled if kernel.hyper == "sampled" else made.hyper
    if kernel.variance.is_fixed:
        variance = float(kernel.variance.value)
    else:
        prior = LogNormal(kernel.variance.median, kernel.variance.sd)
        bucket.append(_hyper(str(variance), prior, "", f"{name} variance of f"))
    lengthscale = None
    if length is not None:
        lengthscale = f"{name}_lengthscale{suffix}"
        bucket.append(_hyper(lengthscale, length, "rad", f"{name} correlation length"))
    if kernel.hyper == "marginalised":
        made.nodes = max(made.nodes, kernel.grid)
    mixing = _mixing(kernel, grain.energy_gev)
    vector = f"{name}_field{suffix}"
    shape = (tables[0].size,) if mixing is None else (len(grain.energy_gev), tables[0].size)
    made.latent.append(Parameter(vector, StandardNormal(), shape, "", f"{name} whitened field", "field"))
    log_lengths = torch.as_tensor(np.log(lengths), dtype=torch.float64, device=grain.places.device)
    made.terms.append(Term(vector, tables, log_lengths, variance, lengthscale, mixing))
    made.warnings += [f"{name}: {text}" for text in [tables[0].check()] if text]


def _hyper(name: str, prior: ScalarPrior, unit: str, label: str) -> Parameter:
    return Parameter(name, prior, (), unit, label, "hyper")


def _lengths(kernel: Any) -> tuple[LogNormal | None, list[float]]:  # noqa: ANN401 - duck-typed
    """Return the prior of the lengthscale (None when fixed) and the lengths at which Phi is made."""
    if kernel.lengthscale.is_fixed:
        return None, [float(kernel.lengthscale.value_rad)]
    median, sd = float(kernel.lengthscale.median_rad), float(kernel.lengthscale.sd)
    prior = LogNormal(median, sd)
    if kernel.hyper != "sampled":
        return prior, [median]
    # Chebyshev points in ln l keep the interpolation error even over the table
    angle = math.pi * (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
    reach = TABLE_REACH * sd / math.cos(0.5 * math.pi / TABLE_SIZE)
    return prior, list(median * np.exp(-reach * np.cos(angle)))


def _tables(kernel: Any, lengths: list[float], grain: Grain) -> tuple[Projection, ...]:  # noqa: ANN401 - duck-typed
    shortest = (
        lengths[0]
        if len(lengths) > 1 or kernel.lengthscale.is_fixed
        else lengths[0] * math.exp(-SHORTEST_SD * float(kernel.lengthscale.sd))
    )
    if kernel.inducing.points == "all":
        points = grain.places
    else:
        grid = inducing_points(grain.places.cpu().numpy(), shortest, kernel.inducing.spacing, kernel.inducing.nside)
        points = torch.as_tensor(grid, dtype=torch.float64, device=grain.places.device)
    first = Projection(grain.places, points, kernel.kernel, lengths[0], kernel.distance)
    if kernel.inducing.learn:
        first = learn_points(first, grain.weights)
    rest = [Projection(grain.places, first.points, kernel.kernel, length, kernel.distance) for length in lengths[1:]]
    return (first, *rest)


def _mixing(kernel: Any, energy_gev: Tensor) -> Tensor | None:  # noqa: ANN401 - duck-typed
    """Return the factor of the correlation between energy bins, (E, E), or None when they share one field."""
    bands = len(energy_gev)
    if kernel.energies == "shared" or bands == 1:
        return None
    eye = torch.eye(bands, dtype=torch.float64, device=energy_gev.device)
    if kernel.energies == "independent":
        return eye
    apart = (energy_gev.log()[:, None] - energy_gev.log()[None, :]).abs()
    factor: Tensor = torch.linalg.cholesky(correlate(kernel.kernel, apart, kernel.energy_lengthscale) + 1e-10 * eye)
    return factor
