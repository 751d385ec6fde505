"""Effective area over true energy and offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from skysift.instruments.ctao.hdus import ResponseTable
from skysift.instruments.ctao.tables import Array, Axis, contains, corners, interpolate

__all__ = ["EffectiveArea", "read_area"]


@dataclass(frozen=True, eq=False)
class EffectiveArea:
    """Effective area, bilinear in ln E and offset.

    Parameters
    ----------
    energy, offset : axes, TeV and deg
    values_cm2 : (energy, offset), cm2
    """

    energy: Axis
    offset: Axis
    values_cm2: Array

    def evaluate(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the area, cm2; 0 outside the outer edges; the arguments broadcast."""
        axes, values = (self.energy, self.offset), (energy_tev, offset_deg)
        area = np.maximum(interpolate(self.values_cm2, corners(axes, values)), 0.0)
        return np.where(contains(axes, values), area, 0.0)


def read_area(table: ResponseTable) -> EffectiveArea:
    """Read an AEFF_2D table.

    Raises
    ------
    InputError : columns, units or axes are not those of the format
    """
    energy, offset = table.axis("ENERG"), table.axis("THETA")
    values = table.values("EFFAREA", (offset, energy), "cm2")
    return EffectiveArea(energy, offset, np.ascontiguousarray(values.T))
