"""How many events flux and live time may give, from the configuration alone: rather too many than too few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skysift.config.events.components import EventComponent
    from skysift.config.events.observation import EventObservation
    from skysift.config.events.simulate import EventSet

__all__ = ["estimate_events"]

_STEPS_PER_DECADE = 20
_BELOW = 0.8  # of the lowest energy: steep spectra spill over it
_WIDEST_DEG2 = 80.0  # of a field of view, within which nearly all background lies
_DEG2_PER_SR = (180.0 / math.pi) ** 2
_DIFFUSE = 1.36e-8, 2.41, 1.0  # TeV-1 cm-2 s-1 sr-1 at 1 TeV
_BRIGHT = 1e-10, 2.4, 1.0  # TeV-1 cm-2 s-1: all of the H.E.S.S. Galactic plane survey; for what files alone know
_USUAL_INDEX, _USUAL_NORM = 2.5, 1e-12


def estimate_events(observation: EventObservation, components: dict[str, EventComponent], drawn: EventSet) -> int:
    """Return about how many events a set with physical numbers has.

    Areas and rates are envelopes of those of the southern and the northern site of CTAO.

    Parameters
    ----------
    observation : axes and pointings
    components : of the model
    drawn : true norms and parameters
    """
    axes = observation.reconstructed
    sides = [high - low + axis.step_deg for axis in (axes.lon, axes.lat) for low, high in [axis.range_deg]]
    field_deg2 = min(sides[0] * sides[1], _WIDEST_DEG2 * len(observation.pointings))
    low, high = axes.energy.range_tev
    seconds, norms = sum(pointing.time_s for pointing in observation.pointings), drawn.norms_of(components)
    rate = 0.0
    for name, component in components.items():
        if component.instrument == "background":
            rate += norms[name] * _background(low) * min(field_deg2, _WIDEST_DEG2)
        elif component.sky is not None:
            stated = drawn.parameters.get(f"{name}_index")
            index = stated if isinstance(stated, float) else None
            rate += norms[name] * _photons(*_spectrum(component, index, field_deg2), _BELOW * low, high)
    return max(1, math.ceil(rate * seconds))


def _background(low_tev: float) -> float:
    """Return the rate of background above an energy, s-1 deg-2."""
    return 2.5 * math.pow(low_tev / 0.1, -1.5)


def _area_cm2(energy_tev: float) -> float:
    return min(1e10 * math.pow(energy_tev, 0.7), 4e10)


def _photons(norm: float, index: float, pivot_tev: float, low_tev: float, high_tev: float) -> float:
    """Return the rate of photons of a power law, s-1."""
    steps = max(2, math.ceil(_STEPS_PER_DECADE * math.log10(high_tev / low_tev)))
    width = math.log(high_tev / low_tev) / steps
    energies = [low_tev * math.exp((number + 0.5) * width) for number in range(steps)]
    return sum(norm * math.pow(energy / pivot_tev, -index) * _area_cm2(energy) * energy * width for energy in energies)


def _spectrum(component: EventComponent, index: float | None, field_deg2: float) -> tuple[float, float, float]:
    """Return norm, index and pivot of the power law that a source has, or does not exceed by far."""
    settings, solid_angle = component.spectrum, field_deg2 / _DEG2_PER_SR
    if settings is None:
        is_diffuse = component.sky in ("fermi_diffuse", "synthetic_diffuse")
        return (_DIFFUSE[0] * solid_angle, *_DIFFUSE[1:]) if is_diffuse else _BRIGHT
    if settings.index is None:
        return _BRIGHT  # a table, or dark matter
    if index is None:
        index = float(settings.index.value or _USUAL_INDEX) if settings.index.is_fixed else _USUAL_INDEX
    is_per_sr = component.sky in ("isotropic", "fermi_diffuse", "synthetic_diffuse")
    norm: float | None = settings.norm
    if norm is None:
        own = component.sky in ("fermi_diffuse", "synthetic_diffuse")
        norm = _DIFFUSE[0] * math.pow(settings.pivot_tev / _DIFFUSE[2], -_DIFFUSE[1]) if own else _USUAL_NORM
    return norm * (solid_angle if is_per_sr else 1.0), index, settings.pivot_tev
