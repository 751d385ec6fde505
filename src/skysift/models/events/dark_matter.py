"""Dark matter of a configuration: its J-factors on a grid, and photons per J-factor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from skysift.errors import InputError
from skysift.geometry import LonLatGrid
from skysift.sky.dark_matter import profiles
from skysift.sky.dark_matter.channels import Bergstrom, Channel, Line, interpret_channels
from skysift.sky.dark_matter.flux import LONG_LIFETIME_S, THERMAL_CM3_S, AnnihilationSpectrum, DecaySpectrum
from skysift.sky.dark_matter.j_map import HaloGeometry
from skysift.storage.guard import check_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from skysift.config.events import EventComponent
    from skysift.config.events.spectra import Profile as ProfileSettings
    from skysift.config.events.spectra import Spectrum as SpectrumSettings
    from skysift.instruments.ctao.pointing import Axes
    from skysift.sky.dark_matter.line_of_sight import Kind
    from skysift.sky.spectra import Spectrum

__all__ = ["Strength", "make_dark_spectrum", "make_map", "measure_strength"]

Values = Mapping[str, "Tensor | float"]
FAMILIES: dict[str, type[Any]] = {
    "gnfw": profiles.GeneralisedNfw,
    "nfw": profiles.Nfw,
    "einasto": profiles.Einasto,
    "burkert": profiles.Burkert,
    "moore": profiles.Moore,
}
#: Spectra that need no table.
ANALYTIC: Mapping[str, Channel] = {"bergstrom": Bergstrom(), "line": Line()}
#: Below this norm a lifetime is no longer told from an infinite one.
FAINTEST = 1e-30
SHAPE = {
    "gamma": "gamma", "alpha": "alpha", "beta": "beta", "r_s": "scale_kpc", "local_density": "local_density_gev_cm3",
}  # fmt: skip


class Strength(NamedTuple):
    """What the norm of dark matter means: ending of its name, words, unit, and values."""

    ending: str
    words: str
    unit: str
    values: NDArray[np.float64]


def measure_strength(component: EventComponent, norm: ArrayLike) -> Strength | None:
    r"""Return the cross-section or lifetime behind norms, None for a component that is no dark matter.

    .. math:: \langle\sigma v\rangle = A \cdot 3 \times 10^{-26}\,{\rm cm^3 s^{-1}}, \qquad
        \tau = 10^{27}\,{\rm s} / A

    Parameters
    ----------
    component : its settings
    norm : A (...): expected events over those of the component as declared
    """
    if component.sky != "dark_matter" or component.spectrum is None:
        return None
    relative = np.asarray(norm, dtype=np.float64)
    if component.spectrum.kind == "decay":
        return Strength("lifetime", "lifetime", "s", LONG_LIFETIME_S / np.maximum(relative, FAINTEST))
    return Strength("sigma_v", "⟨σv⟩", "cm3 s-1", THERMAL_CM3_S * relative)


def make_map(component: EventComponent, axes: Axes, values: Values) -> Tensor:
    """Return J-factors (GeV2 cm-5) or D-factors (GeV cm-2) of pixels, (J,) or (batch, J).

    Parameters
    ----------
    component : settings, with a profile and a spectrum of annihilation or decay
    axes : of true coordinates; discrete pixels keep the mean over their solid angle, as cusps have no central value
    values : of free parameters of the profile, by short name; numbers or (batch,)
    """
    kind: Kind = "decay" if component.spectrum is not None and component.spectrum.kind == "decay" else "annihilation"
    grid = axes.grid
    geometry = _geometry(grid.lon_edges_deg.tobytes(), grid.lat_edges_deg.tobytes())
    integral = geometry.integrate(_profile(component.profile, values), kind)
    return integral * torch.tensor(axes.areas_deg2 / grid.areas_deg2) if axes.is_discrete else integral


@lru_cache(maxsize=4)
def _geometry(lon: bytes, lat: bytes) -> HaloGeometry:
    return HaloGeometry.build(LonLatGrid(np.frombuffer(lon), np.frombuffer(lat)))


def _profile(settings: ProfileSettings | None, values: Values) -> profiles.Profile:
    if settings is None:
        return profiles.Einasto()
    shape = {}
    for name, keyword in SHAPE.items():
        prior = getattr(settings, name)
        if name in values:
            shape[keyword] = values[name]
        elif prior is not None:
            shape[keyword] = prior.value
    made: profiles.Profile = FAMILIES[settings.kind](
        **shape, distance_kpc=settings.distance_kpc, core_kpc=settings.core_kpc
    )
    return made


def make_dark_spectrum(settings: SpectrumSettings, values: Values, find: Callable[[str | None, str], Path]) -> Spectrum:
    """Return the flux per J- or D-factor, at values of the mass."""
    mass = values["mass"] if "mass" in values else settings.mass.numbers[0]  # type: ignore[union-attr]  # validated
    channels = {name: _channel(settings, name, find) for name in settings.channels}
    shares: dict[str, Tensor | float] = dict(settings.branching.shares or {}) if settings.branching is not None else {}
    if "branching" in values:
        drawn = torch.as_tensor(values["branching"], dtype=torch.float64)
        shares = dict(zip(channels, drawn.unbind(-1), strict=True))
    if settings.kind == "decay":
        return DecaySpectrum(channels, mass, branching=shares)
    return AnnihilationSpectrum(channels, mass, branching=shares, is_self_conjugate=settings.self_conjugate)


def _channel(settings: SpectrumSettings, name: str, find: Callable[[str | None, str], Path]) -> Channel:
    if name in ANALYTIC:
        return ANALYTIC[name]
    return _read_channel(find(settings.file, "channel spectra"), name)


@lru_cache(maxsize=4)
def _read_channel(path: Path, name: str) -> Channel:
    """Return one channel of a text table: a header of names, then rows of mass, log10 x and dN/dlog10 x."""
    wanted = "a line of names, then rows of numbers: mass, log10 x, one column per channel"
    try:
        lines = check_file(path, "channel spectra").read_text(encoding="utf-8").splitlines()
        body = [line for line in lines[1:] if line.partition("#")[0].strip()]
        rows = np.loadtxt(body, ndmin=2) if body else np.zeros((0, 0))
    except ValueError as error:
        raise InputError(path, "table", str(error), wanted, "mend the table") from None
    if not body:
        raise InputError(path, "table", f"{len(lines)} lines, no numbers", wanted, "complete the table")
    return interpret_channels(lines[0].lstrip("#").split(), rows, [name], str(path))[name]
