"""Spectra, shapes and expressions of model files as functions of tensors."""

from skysift.sky.components.curves import average_curve
from skysift.sky.components.expressions import evaluate_term
from skysift.sky.components.maps import SkyMap
from skysift.sky.components.shapes import SHAPES, TorchShape, build_shape, shares_of
from skysift.sky.components.spectra import SPECTRA, build_spectrum

__all__ = [
    "SHAPES",
    "SPECTRA",
    "SkyMap",
    "TorchShape",
    "average_curve",
    "build_shape",
    "build_spectrum",
    "evaluate_term",
    "shares_of",
]
