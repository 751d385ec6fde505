"""From configured priors to densities."""

from __future__ import annotations

from typing import Any

from skysift.errors import InputError
from skysift.parameters.priors import LogNormal, LogUniform, Normal, ScalarPrior, Uniform

__all__ = ["make_prior"]


def make_prior(prior: Any) -> ScalarPrior:  # noqa: ANN401 - a configured prior, known here by its attributes
    """Return the density of a configured prior that is not fixed."""
    match prior.kind:
        case "normal":
            return Normal(prior.mean, prior.sd, prior.min, prior.max)
        case "lognormal":
            return LogNormal(prior.median, prior.sd)
        case "uniform":
            return Uniform(prior.low, prior.high)
        case "loguniform":
            return LogUniform(prior.low, prior.high)
    raise InputError("model", "norm", prior.kind, "a prior", "give normal, lognormal, uniform or loguniform")
