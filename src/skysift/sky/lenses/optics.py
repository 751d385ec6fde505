"""What a deflection does to images: distortion, magnification, convergence, shear."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Distortion", "distort"]

Deflection = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Distortion(NamedTuple):
    """Derivatives of a deflection: ``convergence``, ``shear1``, ``shear2`` and ``rotation`` (zero in one plane)."""

    convergence: Tensor
    shear1: Tensor
    shear2: Tensor
    rotation: Tensor

    @property
    def inverse_magnification(self) -> Tensor:
        """Determinant of the map from image to source, whose zeros are the critical curves."""
        shear_square = self.shear1**2 + self.shear2**2
        return (1.0 - self.convergence) ** 2 - shear_square + self.rotation**2


def distort(deflection: Deflection, x: Tensor, y: Tensor) -> Distortion:
    """Return the derivatives of a deflection at positions (arcsec), exact, by one pass back per component.

    Examples
    --------
    >>> from skysift.sky.lenses.power_law import shear_deflection
    >>> point, shear = torch.ones(1, 1, 1), {"g1": torch.tensor(0.03), "g2": torch.tensor(0.01)}
    >>> found = distort(lambda x, y: shear_deflection(x, y, **shear), point, point)
    >>> [round(part.item(), 3) for part in found]
    [0.0, 0.03, 0.01, 0.0]
    """
    with torch.enable_grad():
        x, y = ((part.detach() + 0.0 * other.detach()).requires_grad_() for part, other in ((x, y), (y, x)))
        along, across = deflection(x, y)
        xx, xy = torch.autograd.grad(along.sum(), (x, y), retain_graph=True)
        yx, yy = torch.autograd.grad(across.sum(), (x, y))
    return Distortion(0.5 * (xx + yy), 0.5 * (xx - yy), 0.5 * (xy + yx), 0.5 * (xy - yx))
