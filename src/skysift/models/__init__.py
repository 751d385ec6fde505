"""Models: each binds a sky, an instrument and a likelihood to data."""

from skysift.models.build import build
from skysift.models.non_poissonian import NonPoissonianModel
from skysift.models.template import Component, TemplateModel

__all__ = ["Component", "NonPoissonianModel", "TemplateModel", "build"]
