"""Rate of residual cosmic rays over reconstructed energy and place in the field of view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.instruments.ctao.field_of_view import offset_deg
from skysift.instruments.ctao.hdus import ResponseTable
from skysift.instruments.ctao.tables import Array, Axis, contains, corners, interpolate

__all__ = ["BACKGROUND_KINDS", "Alignment", "Background", "Background2D", "Background3D", "read_background"]

BACKGROUND_KINDS = ("BKG_2D", "BKG_3D")
#: What the axes of the field of view follow; "none" where the background does not depend on it.
Alignment = Literal["RADEC", "ALTAZ", "none"]
# Files hold float32: the smallest normal number stands for zero in the logarithm.
_TINY = float(np.finfo(np.float32).tiny)
# One per (MeV sr) in one per (TeV deg2).
_PER_TEV_DEG2 = 1e6 * np.radians(1.0) ** 2


class Background(Protocol):
    """What both kinds of background answer; all arguments broadcast."""

    @property
    def kind(self) -> str:
        """HDUCLAS4 of its table."""
        ...

    @property
    def energy(self) -> Axis:
        """Reconstructed energy, TeV."""
        ...

    @property
    def alignment(self) -> Alignment:
        """What x and y follow."""
        ...

    def evaluate(self, energy_tev: ArrayLike, x_deg: ArrayLike, y_deg: ArrayLike) -> Array:
        """Return the rate, s-1 TeV-1 deg-2."""
        ...

    def radial(self) -> Background2D:
        """Return it as a function of offset."""
        ...


def _evaluate(log_values: Array, axes: tuple[Axis, ...], points: tuple[ArrayLike, ...]) -> Array:
    """Return exp of the interpolated logarithm, 0 where it is next to the smallest number or outside, TeV-1 deg-2."""
    rate = np.exp(interpolate(log_values, corners(axes, points)))
    return np.where(contains(axes, points) & (rate > 2 * _TINY), rate * _PER_TEV_DEG2, 0.0)


@dataclass(frozen=True, eq=False)
class Background3D:
    """Background over energy, x and y: linear in ln B over ln E, x and y, 0 outside the outer edges.

    Parameters
    ----------
    energy, x, y : axes, TeV, deg and deg
    values : (energy, x, y), s-1 MeV-1 sr-1
    alignment : what x and y follow
    """

    energy: Axis
    x: Axis
    y: Axis
    values: Array
    alignment: Alignment = "RADEC"

    kind = "BKG_3D"

    def evaluate(self, energy_tev: ArrayLike, x_deg: ArrayLike, y_deg: ArrayLike) -> Array:
        """Return the rate, s-1 TeV-1 deg-2; the arguments broadcast."""
        return _evaluate(self._log_values, (self.energy, self.x, self.y), (energy_tev, x_deg, y_deg))

    @cached_property
    def _log_values(self) -> Array:
        return np.log(np.maximum(self.values, _TINY))

    def radial(self) -> Background2D:
        """Return the cut x >= 0 at y = 0 as a function of offset."""
        column = int(np.searchsorted(self.x.edges, 0.0, side="right")) - 1
        row = int(np.searchsorted(self.y.edges, 0.0, side="right")) - 1
        offset = Axis("THETA", self.x.edges[column:])
        return Background2D(self.energy, offset, np.ascontiguousarray(self.values[:, column:, row]))


@dataclass(frozen=True, eq=False)
class Background2D:
    """Background over energy and offset: linear in ln B over ln E and offset, 0 outside the outer edges.

    Parameters
    ----------
    energy, offset : axes, TeV and deg
    values : (energy, offset), s-1 MeV-1 sr-1
    """

    energy: Axis
    offset: Axis
    values: Array

    kind = "BKG_2D"
    alignment: Alignment = "none"

    def evaluate(self, energy_tev: ArrayLike, x_deg: ArrayLike, y_deg: ArrayLike) -> Array:
        """Return the rate, s-1 TeV-1 deg-2; the arguments broadcast."""
        return self.at_offset(energy_tev, offset_deg(x_deg, y_deg))

    def at_offset(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the rate, s-1 TeV-1 deg-2; the arguments broadcast."""
        return _evaluate(self._log_values, (self.energy, self.offset), (energy_tev, offset_deg))

    @cached_property
    def _log_values(self) -> Array:
        return np.log(np.maximum(self.values, _TINY))

    def radial(self) -> Background2D:
        """Return itself."""
        return self


def read_background(table: ResponseTable) -> Background:
    """Read a BKG_3D or BKG_2D table, whose order of axes is told by their lengths.

    Raises
    ------
    InputError : columns, units or axes are not those of the format, or the order cannot be told
    """
    column = "BKG" if table.has("BKG") or not table.has("BGD") else "BGD"
    energy, unit = table.axis("ENERG"), "s-1 MeV-1 sr-1"
    if table.kind == "BKG_2D":
        offset = table.axis("THETA")
        values, order = table.ordered(column, ((offset, energy), (energy, offset)), unit)
        return Background2D(energy, offset, np.ascontiguousarray(values.T if order == 0 else values))
    x, y = table.axis("DETX"), table.axis("DETY")
    values, order = table.ordered(column, ((y, x, energy), (energy, y, x)), unit)
    values = np.ascontiguousarray(values.transpose((2, 1, 0) if order == 0 else (0, 2, 1)))
    return Background3D(energy, x, y, values, _read_alignment(table, x, y, values))


def _read_alignment(table: ResponseTable, x: Axis, y: Axis, values: Array) -> Alignment:
    """Return what x and y follow; without the card ALTAZ, as the format has it."""
    stated = table.text("FOVALIGN") or "ALTAZ"
    if stated not in {"RADEC", "ALTAZ"}:
        raise table.refuse("FOVALIGN", stated, "RADEC or ALTAZ", "correct the card")
    if stated == "RADEC":
        return "RADEC"
    return "RADEC" if _is_symmetric(x, y, values) else "ALTAZ"


def _is_symmetric(x: Axis, y: Axis, values: Array) -> bool:
    """Tell whether mirrors and a quarter turn change nothing: then the table is a function of offset."""
    if x.size != y.size or not np.allclose(x.edges, y.edges) or not np.allclose(x.edges, -x.edges[::-1]):
        return False
    images: list[NDArray[np.float64]] = [values[:, ::-1], values[:, :, ::-1], values.transpose(0, 2, 1)]
    return all(np.allclose(image, values, rtol=1e-6, atol=0.0) for image in images)
