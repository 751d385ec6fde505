"""What bins hold of spectra, shapes and maps: integrals over them, or values at their centres times their measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.sky.plate_maps import refuse_uncovered
from skysift.sky.shapes import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.geometry import LonLatGrid
    from skysift.instruments.ctao.pointing import Axes
    from skysift.sky.shapes import Shape
    from skysift.sky.sky_maps import SkyMap
    from skysift.sky.spectra import Spectrum

__all__ = ["measure_map", "measure_shape", "measure_spectrum", "narrow"]

#: Of the difference of two pixels, what flows back: half of the variance, 1/6 of a squared pixel, that light gains
#: where pixels collect it and where they shine evenly.
_RETURNED = 1.0 / 12.0


def measure_spectrum(spectrum: Spectrum, axes: Axes) -> Tensor:
    """Return the flux in bins of energy, cm-2 s-1, (energy,) or (batch, energy).

    Parameters
    ----------
    spectrum : of the source
    axes : bins; discrete ones take the density at their centres
    """
    if axes.is_discrete:
        return spectrum.density(torch.tensor(axes.energy.centres_tev)) * torch.tensor(axes.widths_tev)
    return spectrum.integrals(torch.tensor(axes.energy.edges_tev))


def measure_shape(shape: Shape, axes: Axes) -> NDArray[np.float64]:
    """Return the share of a shape's flux in pixels, (pixel,).

    Parameters
    ----------
    shape : of the source; a point lies in the pixel that holds it
    axes : bins; discrete ones take the density at their centres, whatever the shape does between them
    """
    if axes.is_discrete and not isinstance(shape, Point):
        return shape.density(axes.grid.lon_deg, axes.grid.lat_deg) * axes.areas_deg2
    return shape.integrate(axes.grid)


def measure_map(sky_map: SkyMap, axes: Axes) -> NDArray[np.float64]:
    """Return a map, or a stack of maps, in pixels, values times deg2, (..., pixel).

    Parameters
    ----------
    sky_map : something per solid angle
    axes : bins; discrete ones take the value at their centres

    Raises
    ------
    InputError : pixels that the map does not cover
    """
    if not axes.is_discrete:
        return sky_map.integrate(axes.grid)
    values = sky_map.sample(axes.grid.lon_deg, axes.grid.lat_deg)
    covered = np.asarray(np.isfinite(values.reshape(-1, axes.grid.size)).all(axis=0))
    refuse_uncovered(covered, axes.grid, "another part of the sky", "map")
    measured: NDArray[np.float64] = values * axes.areas_deg2
    return measured


def narrow(share: NDArray[np.float64], grid: LonLatGrid) -> NDArray[np.float64]:
    r"""Return the light of pixels, moved so that its width is right although each pixel shines evenly.

    A shape of variance sigma^2 along an axis, collected in pixels of width h of which each shines evenly, has
    sigma^2 + h^2 / 6. As in transport of sharp fronts (Boris & Book 1973, J. Comput. Phys. 11, 38), light flows back
    against its gradient, by what takes off h^2 / 6, and no pixel gives more than it has.

    .. math:: F'_j = F_j - \frac{1}{12} (F_{j+1} - 2 F_j + F_{j-1})

    Parameters
    ----------
    share : (pixel,)
    grid : of equal steps along each axis

    Returns
    -------
    (pixel,), as much light in all
    """
    image = share.reshape(grid.shape)
    moved = image.copy()
    for axis in (0, 1):
        here, there = (np.take(image, range(start, start + image.shape[axis] - 1), axis) for start in (0, 1))
        flow = np.clip(_RETURNED * (here - there), -here / 4.0, there / 4.0)
        for start, sign in ((0, 1.0), (1, -1.0)):
            cut: list[slice] = [slice(None)] * 2
            cut[axis] = slice(start, start + image.shape[axis] - 1)
            moved[tuple(cut)] += sign * flow
    return moved.reshape(-1)
