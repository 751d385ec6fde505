"""Gaussian processes on the grid of true pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.geometry.sphere import unit_vectors
from skysift.sky.gaussian_process import Projection, inducing_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config import Modulation
    from skysift.geometry import LonLatGrid

__all__ = ["make_field"]


def make_field(kernels: Sequence[Modulation], grid: LonLatGrid) -> NDArray[np.float64]:
    r"""Return the map from whitened numbers to log modulation, (J, M): f = F v with v ~ N(0, I).

    Parameters
    ----------
    kernels : with numbers for lengthscale and variance; they add up
    grid : true pixels

    Raises
    ------
    InputError : inducing points too far apart for the lengthscale
    """
    places = unit_vectors(grid.lon_deg, grid.lat_deg)
    parts = []
    for kernel in kernels:
        length, variance = float(kernel.lengthscale.value_rad or 0.0), float(kernel.variance.value or 0.0)
        points = inducing_points(places, length, kernel.inducing.spacing, kernel.inducing.nside)
        projection = Projection(torch.tensor(places), torch.tensor(points), kernel.kernel, length, kernel.distance)
        projection.check()
        parts.append(np.sqrt(variance) * np.concatenate([rows.numpy() for rows in projection.blocks()]))
    return np.concatenate(parts, 1)
