"""Strong lenses: mass that deflects and light that is deflected, as pure functions of tensors, batch axis first."""

from skysift.sky.lenses.optics import Distortion, distort
from skysift.sky.lenses.power_law import count_terms
from skysift.sky.lenses.profiles import LIGHTS, MASSES, LightProfile, MassProfile, find_light, find_mass

__all__ = [
    "LIGHTS",
    "MASSES",
    "Distortion",
    "LightProfile",
    "MassProfile",
    "count_terms",
    "distort",
    "find_light",
    "find_mass",
]
