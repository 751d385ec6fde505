"""Events as mixtures of marginalised densities: fractions, trees of fractions, absolute fluxes."""

from skysift.models.mixture.densities import DensityTable, read_densities
from skysift.models.mixture.model import MEASURE, MixtureModel
from skysift.models.mixture.norms import Norms
from skysift.models.mixture.tree import Fractions, LeafPrior

__all__ = [
    "MEASURE",
    "DensityTable",
    "Fractions",
    "LeafPrior",
    "MixtureModel",
    "Norms",
    "read_densities",
]
