"""A counts cube with its response: exposure, point-spread function, energy dispersion, background and masks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.sphere import angular_separation_deg, unit_vectors

if TYPE_CHECKING:
    from skysift.geometry.axes import EnergyAxis
    from skysift.geometry.wcs import Frame, WcsGrid

__all__ = ["CubeDataset", "Dispersion", "RadialPsf"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RadialPsf:
    """Point-spread function on a coarse grid of directions.

    Parameters
    ----------
    grid : directions, (h, w)
    radius_deg : nodes, (R,), deg
    density : (true energy, R, h, w), sr-1, linear between radii
    valid : (h, w), where it was seen
    """

    grid: WcsGrid
    radius_deg: Array
    density: Array
    valid: Mask


@dataclass(frozen=True, eq=False)
class Dispersion:
    """Shares of events by true and reconstructed energy on a coarse grid of directions.

    Parameters
    ----------
    grid : directions, (h, w)
    shares : (true energy, reconstructed energy, h, w)
    valid : (h, w), where it was seen
    """

    grid: WcsGrid
    shares: Array
    valid: Mask


@dataclass(frozen=True, eq=False)
class CubeDataset:
    """What one counts cube needs to be predicted; its counts live in the file of the data.

    Parameters
    ----------
    name : unique among data sets
    grid : pixels
    energy, true : axes of reconstructed and true energy
    exposure_cm2_s : (true energy, rows, columns), at bin centres
    background : (energy, rows, columns), counts; None without
    psf, dispersion : None without
    mask : (energy, rows, columns), what is compared; None for everything
    counts_off, alpha : counts of the off region and exposure of on over off, (energy, rows, columns); None without

    Raises
    ------
    InputError : arrays that do not fit the axes, exposures or backgrounds that are negative or not finite
    """

    name: str
    grid: WcsGrid
    energy: EnergyAxis
    true: EnergyAxis
    exposure_cm2_s: Array
    background: Array | None = None
    psf: RadialPsf | None = None
    dispersion: Dispersion | None = None
    mask: Mask | None = None
    counts_off: Array | None = None
    alpha: Array | None = None

    def __post_init__(self) -> None:
        """Refuse what no telescope has."""
        self._check("exposure", self.exposure_cm2_s, (self.true.size, *self.grid.shape))
        for name in ("background", "mask", "counts_off", "alpha"):
            if (array := getattr(self, name)) is not None:
                self._check(name, array, self.shape)
        if self.dispersion is None and self.true.size != self.energy.size:
            found = f"{self.true.size} true and {self.energy.size} reconstructed energies without energy dispersion"
            raise InputError(self.name, "energy axes", found, "one axis, or an energy dispersion", "add EDISP")

    def _check(self, field: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise InputError(self.name, field, f"shape {array.shape}", f"shape {shape}", "make it on the same axes")
        if array.dtype != np.bool_ and not (np.isfinite(array).all() and float(np.min(array)) >= 0):
            bad = int(np.sum(~(np.isfinite(array) & (array >= 0))))
            raise InputError(self.name, field, f"{bad} values negative or not finite", "values >= 0", "mend the map")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Energies, rows and columns."""
        return self.energy.size, *self.grid.shape

    @cached_property
    def compared(self) -> Mask:
        """What is compared, (energy, rows, columns)."""
        return np.ones(self.shape, dtype=bool) if self.mask is None else self.mask


def nearest_valid(grid: WcsGrid, valid: Mask, lon_deg: float, lat_deg: float, frame: Frame) -> tuple[int, int]:
    """Return row and column of the nearest valid direction of a coarse grid; any where none is valid."""
    here = unit_vectors(lon_deg, lat_deg)
    apart = angular_separation_deg(here, unit_vectors(*grid.lonlat_in(frame)))
    usable = valid if valid.any() else np.ones_like(valid)
    row, column = np.unravel_index(np.argmin(np.where(usable & np.isfinite(apart), apart, np.inf)), grid.shape)
    return int(row), int(column)
