"""Mass and light profiles by name: which parameters each has, and the function that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.sky.lenses.nfw import nfw_deflection, truncated_nfw_deflection
from skysift.sky.lenses.power_law import epl_deflection, shear_deflection, sis_deflection
from skysift.sky.lenses.sersic import core_sersic_brightness, sersic_brightness, sersic_ellipse_brightness
from skysift.sky.lenses.shapelets import shapelet_basis

__all__ = ["LIGHTS", "MASSES", "LightProfile", "MassProfile", "find_light", "find_mass"]

Values = Mapping[str, Tensor]
CENTRE = ("x", "y")
ELLIPSE = ("e1", "e2")


@dataclass(frozen=True)
class MassProfile:
    """A deflector: the ``parameters`` of its ``function``, whose further ``settings`` are numbers of the fit.

    Parameters of shear are about the origin, all others relative to a centre ``x``, ``y`` (arcsec).
    """

    name: str
    parameters: tuple[str, ...]
    function: Callable[..., tuple[Tensor, Tensor]]
    settings: tuple[str, ...] = ("soft",)

    def deflect(self, x: Tensor, y: Tensor, values: Values, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the deflection, arcsec, at positions (arcsec) for values (batch, 1, 1)."""
        x, y, rest = _centre(x, y, values)
        return self.function(x, y, **rest, **{name: settings[name] for name in self.settings if name in settings})


@dataclass(frozen=True)
class LightProfile:
    """Galaxy light, linear in its amplitudes: ``parameters`` of the ``function`` of its shape, besides those.

    ``is_basis``: the function returns several images, (batch, count, rows, columns), and not one.
    """

    name: str
    parameters: tuple[str, ...]
    function: Callable[..., Tensor]
    settings: tuple[str, ...] = ("soft", "half_light")
    is_basis: bool = False

    def basis(self, x: Tensor, y: Tensor, values: Values, settings: Mapping[str, Any]) -> Tensor:
        """Return images of unit amplitude, (batch, count, rows, columns), for values (batch, 1, 1)."""
        x, y, rest = _centre(x, y, values)
        given = {name: settings[name] for name in self.settings if name in settings}
        shape = self.function(x, y, **rest, **given)
        return shape if self.is_basis else shape.unsqueeze(-3)

    def shine(self, x: Tensor, y: Tensor, values: Values, settings: Mapping[str, Any], amplitude: Tensor) -> Tensor:
        """Return surface brightness, (batch, rows, columns), for amplitudes (batch, count)."""
        basis = self.basis(x, y, values, settings)
        if not self.is_basis:
            return basis.squeeze(-3) * amplitude[..., None]
        return torch.einsum("bkyx,bk->byx", basis, amplitude)


def _centre(x: Tensor, y: Tensor, values: Values) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    rest = {name: value for name, value in values.items() if name not in CENTRE}
    return (x - values["x"], y - values["y"], rest) if "x" in values else (x, y, rest)


MASSES = {
    profile.name: profile
    for profile in (
        MassProfile("epl", ("theta_e", "gamma", *ELLIPSE, *CENTRE), epl_deflection, ("soft", "terms")),
        MassProfile(
            "sie",
            ("theta_e", *ELLIPSE, *CENTRE),
            partial(epl_deflection, gamma=torch.full((1, 1, 1), 2.0, dtype=torch.float64)),
            ("soft", "terms"),
        ),
        MassProfile("sis", ("theta_e", *CENTRE), sis_deflection),
        MassProfile("shear", ("g1", "g2"), shear_deflection, ()),
        MassProfile("nfw", ("scale_radius", "alpha_rs", *CENTRE), nfw_deflection),
        MassProfile(
            "truncated_nfw",
            ("scale_radius", "alpha_rs", "truncation_radius", *CENTRE),
            truncated_nfw_deflection,
        ),
    )
}

LIGHTS = {
    profile.name: profile
    for profile in (
        LightProfile("sersic", ("radius", "index", *CENTRE), sersic_brightness),
        LightProfile("sersic_ellipse", ("radius", "index", *ELLIPSE, *CENTRE), sersic_ellipse_brightness),
        LightProfile(
            "core_sersic",
            ("radius", "index", "break_radius", "sharpness", "slope", *ELLIPSE, *CENTRE),
            core_sersic_brightness,
        ),
        LightProfile("shapelets", ("beta", *CENTRE), shapelet_basis, ("order",), is_basis=True),
    )
}


def find_mass(name: str) -> MassProfile:
    """Return the mass profile ``name``."""
    if name not in MASSES:
        raise InputError("lens mass", "profile", name, "the name of a mass profile", nearest(name, MASSES))
    return MASSES[name]


def find_light(name: str) -> LightProfile:
    """Return the light profile ``name``."""
    if name not in LIGHTS:
        raise InputError("lens light", "profile", name, "the name of a light profile", nearest(name, LIGHTS))
    return LIGHTS[name]
