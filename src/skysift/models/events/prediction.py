"""What the response makes of each component: expected events in all reconstructed bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.instruments.ctao.response import Response
from skysift.models.events.background import outlier_density, smeared_counts
from skysift.models.events.columns import fold_all, fold_light, kind_of
from skysift.models.events.dark_matter import make_map
from skysift.models.events.fields import make_field, weigh_pixels
from skysift.models.events.lights import Finder, make_spectrum
from skysift.models.events.measure import measure_spectrum
from skysift.models.events.parameters import short_values
from skysift.sky.light import Light

if TYPE_CHECKING:
    from skysift.config.events import EventComponent
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["find_efficiency", "light_at", "predict_cube"]

Array = NDArray[np.float64]


def light_at(
    name: str,
    component: EventComponent,
    light: Light | None,
    values: Mapping[str, Array],
    observation: EventObservation,
    find: Finder,
) -> Light:
    """Return the light of a component in the sky at values of its parameters.

    Parameters
    ----------
    name, component : and its settings
    light : as prepared: flux, or shares where the spectrum is free; None where the source moves
    values : of all parameters by full name; a field is (M,)
    observation : axes
    find : where files are
    """
    true, kind = observation.true, kind_of(component)
    if kind == "fixed" and light is not None:
        return light
    if kind == "field" and light is not None:
        field = make_field(component.modulate, true.grid, weigh_pixels(light, observation))
        modulation = np.exp(field @ values[f"{name}_field"])
        return Light(light.cube * modulation, light.points_deg, light.point_flux)
    own = {key: torch.as_tensor(np.asarray(value)) for key, value in short_values(component, name, values).items()}
    if light is None:
        light = Light(make_map(component, true, own).numpy().reshape(1, -1))
    integrals = measure_spectrum(make_spectrum(component, own, find), true)
    return light.with_spectrum(integrals.numpy().reshape(-1))


def predict_cube(
    component: EventComponent, light: Light | None, observation: EventObservation, responses: Sequence[AnyResponse]
) -> Array:
    """Return expected events of one component in reconstructed bins (K, J_r), all pointings together.

    Parameters
    ----------
    component : its settings
    light : of a source in the sky; None for the background of the instrument and for outliers
    observation : axes and pointings
    responses : of each pointing
    """
    if component.instrument == "outlier":
        return outlier_density(observation)[:, None] * observation.reconstructed.volumes_tev_deg2
    total = np.zeros(observation.reconstructed.shape)
    for response, pointing in zip(responses, observation.pointings, strict=True):
        time = pointing.live_time_s
        if light is not None:
            total += fold_light(light, response, time)
        elif observation.is_smeared:
            total += fold_all(smeared_counts(response) * time, [], response)
        else:
            total += response.background_counts() * time
    return total


def find_efficiency(
    light: Light, observation: EventObservation, responses: Sequence[AnyResponse]
) -> tuple[Array, Array]:
    """Return what arrives of a light, and how much of it is reconstructed within the axes.

    Parameters
    ----------
    light : of a source in the sky
    observation : axes and pointings
    responses : of each pointing

    Returns
    -------
    events in true energies (E,), all pointings together, and the share of them within the axes (E,); NaN where
    nothing arrives
    """
    arriving, within = np.zeros((2, observation.true.energy.size))
    for response, pointing in zip(responses, observation.pointings, strict=True):
        expected = light.cube * response.area_cm2 * pointing.live_time_s
        arriving += expected.sum(1)
        pairs = zip(response.operator.spreads, response.operator.bands, strict=True)
        kept = np.stack([spread.sum(axis=0) * shares.sum(axis=1) for spread, (_, shares) in pairs])
        within += (expected * kept).sum(1)
        if isinstance(response, Response):
            for (lon, lat), flux in zip(light.points_deg, light.point_flux, strict=True):
                counts = flux * response.area_at(lon, lat) * pointing.live_time_s
                arriving += counts
                within += response.fold_point(float(lon), float(lat), np.diag(counts)).sum((0, 1))
    return arriving, np.where(arriving > 0, within / np.where(arriving > 0, arriving, 1.0), np.nan)
