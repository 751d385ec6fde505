"""Gaussian processes on the grid of true pixels, their mean over the light that they modulate taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.geometry.sphere import unit_vectors
from skysift.sky.gaussian_process import Projection, inducing_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config import Modulation
    from skysift.config.events import EventComponent
    from skysift.geometry import LonLatGrid
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.sky.light import Light

__all__ = ["make_field", "weigh_fields", "weigh_pixels"]


def weigh_pixels(light: Light, observation: EventObservation) -> NDArray[np.float64]:
    """Return each true pixel's share (J,) of the light within the reconstructed field.

    Parameters
    ----------
    light : of the component that is modulated; all of it counts where it only shines into the field from beyond
    observation : axes
    """
    grid = observation.true.grid
    inside = observation.reconstructed.grid.find(grid.lon_deg, grid.lat_deg) >= 0
    flux = light.cube.sum(0)
    if flux[inside].any():
        flux = np.where(inside, flux, 0.0)
    weights: NDArray[np.float64] = flux / flux.sum()
    return weights


def weigh_fields(
    components: Mapping[str, EventComponent], sources: Mapping[str, str], observation: EventObservation
) -> dict[str, NDArray[np.float64]]:
    """Return the weights of `weigh_pixels` of every component that is modulated.

    Parameters
    ----------
    components : of a fit
    sources : component to the name of its light
    observation : axes and lights
    """
    return {
        name: weigh_pixels(observation.lights[sources[name]], observation)
        for name, component in components.items()
        if component.modulate
    }


def make_field(
    kernels: Sequence[Modulation], grid: LonLatGrid, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    r"""Return the map from whitened numbers to log modulation, (J, M): f = F v with v ~ N(0, I).

    .. math:: F = (1 - 1 w^T) K_{xz} L_{zz}^{-T}

    The mean is taken out, so that a norm, and not the field, says how much light there is.

    Parameters
    ----------
    kernels : with numbers for lengthscale and variance; they add up
    grid : true pixels
    weights : w (J,), sum one, over which the mean is zero; None leaves it

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
    field = np.concatenate(parts, 1)
    return field if weights is None else field - weights @ field
