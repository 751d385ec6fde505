"""What the response makes of each component: expected events in all reconstructed bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.models.events.background import outlier_density, smeared_counts
from skysift.models.events.columns import fold_all, fold_light, kind_of
from skysift.models.events.dark_matter import make_map
from skysift.models.events.fields import make_field
from skysift.models.events.lights import Finder, make_spectrum
from skysift.models.events.measure import measure_spectrum
from skysift.models.events.parameters import short_values
from skysift.sky.light import Light

if TYPE_CHECKING:
    from skysift.config.events import EventComponent
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["light_at", "predict_cube"]

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
        modulation = np.exp(make_field(component.modulate, true.grid) @ values[f"{name}_field"])
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
