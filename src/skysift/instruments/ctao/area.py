"""Effective area over true energy and offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from skysift.instruments.ctao.hdus import ResponseTable
from skysift.instruments.ctao.tables import Array, Axis, contains, corners, interpolate

__all__ = ["LARGEST_CM2", "EffectiveArea", "read_area"]

#: No telescope sees more ground than this, 10 000 km2.
LARGEST_CM2 = 1e14


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
    InputError : columns, units or axes are not those of the format, areas that no telescope has
    """
    energy, offset = table.axis("ENERG"), table.axis("THETA")
    values = table.values("EFFAREA", (offset, energy), "cm2")
    if values.max() > LARGEST_CM2:
        wanted = f"areas up to {LARGEST_CM2:g} cm2"
        raise table.refuse("EFFAREA", f"{values.max():g} cm2", wanted, "look at the unit of the column")
    return EffectiveArea(energy, offset, np.ascontiguousarray(values.T))
