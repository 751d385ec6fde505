"""Priors: each knows its density, its map from the real line and its map from the unit cube."""

from skysift.parameters.priors.base import Derivatives, Prior, ScalarPrior
from skysift.parameters.priors.coupled import Dirichlet, OrderedBreaks
from skysift.parameters.priors.flat import Flat
from skysift.parameters.priors.scalar import Angle, LogNormal, LogUniform, Normal, StandardNormal, Uniform

__all__ = [
    "Angle",
    "Derivatives",
    "Dirichlet",
    "Flat",
    "LogNormal",
    "LogUniform",
    "Normal",
    "OrderedBreaks",
    "Prior",
    "ScalarPrior",
    "StandardNormal",
    "Uniform",
]
