"""An image of a gravitational lens: mass, light of the lens, light of the source behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from skysift.contract import count_rows
from skysift.errors import InputError, nearest
from skysift.instruments.camera import Camera, Noise, NoiseMap
from skysift.likelihoods.gaussian import LinearFit, marginalise_linear
from skysift.parameters import Parameters
from skysift.sky.lenses import Distortion, distort, find_light, find_mass
from skysift.sky.lenses.shapelets import count_shapelets

__all__ = ["LensModel", "Light", "Linear", "Mass"]

CACHE_BYTES = 2**20
Values = Mapping[str, Tensor]
Sources = Mapping[str, float | str]


@dataclass(frozen=True)
class Linear:
    """Amplitudes that are integrated out, with independent normal priors of ``mean`` and ``sd``."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Mass:
    """One deflector: its profile, and for each of the profile's parameters a number or the name of a parameter.

    ``settings``: numbers of the profile that are none of its parameters, such as ``terms``.

    Raises
    ------
    InputError : the profile is unknown, or a parameter is missing or unknown
    """

    profile: str
    sources: Sources
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names both ways."""
        profile = find_mass(self.profile)
        _check(f"lens mass {self.profile}", self.sources, profile.parameters)
        _check(f"lens mass {self.profile}", self.settings, profile.settings, needed=())


@dataclass(frozen=True)
class Light:
    """One galaxy's light: its profile, where its parameters come from, and its amplitude.

    ``amplitude``: a number, the name of a parameter of shape () or, for profiles of several images, (count,), or
    `Linear`. ``settings``: numbers of the profile that are none of its parameters, such as ``order``.

    Raises
    ------
    InputError : the profile is unknown, or a parameter is missing or unknown
    """

    profile: str
    sources: Sources
    amplitude: float | str | Linear
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names both ways."""
        profile = find_light(self.profile)
        _check(f"light {self.profile}", self.sources, profile.parameters)
        _check(f"light {self.profile}", self.settings, profile.settings, needed=("order",) if profile.is_basis else ())

    @property
    def count(self) -> int:
        """Number of amplitudes."""
        return count_shapelets(int(self.settings["order"])) if find_light(self.profile).is_basis else 1


def _check(place: str, given: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...] | None = None) -> None:
    for name in given:
        if name not in known:
            raise InputError(place, name, name, "a name that the profile knows", nearest(name, known))
    for name in known if needed is None else needed:
        if name not in given:
            raise InputError(place, name, "nothing", "a number or a prior", f"give {name}")


@dataclass(frozen=True, eq=False)
class LensModel:
    r"""The image of a lens: :math:`I(\theta) = L(\theta) + S(\theta - \sum \alpha(\theta))`, seen by a camera.

    Parameters
    ----------
    parameters : every free number, by the names that masses and lights refer to
    data : (rows, columns), image, or counts where photons are counted
    camera : grid, point spread function, edges
    noise : of the pixels in use
    masses, lens_lights, source_lights : by name
    mask : (rows, columns), true where a pixel is in use; by default all are

    Positions and radii are in arcsec; data are the pixels in use, in the order of the image. The centres of profiles
    are smoothed within 1e-4 of a pixel. With amplitudes that are integrated out noise must be a map: `expected` and
    `simulate` then take them at their conditional mean, and `amplitudes` has their posterior.

    Raises
    ------
    InputError : shapes differ, data are not finite, or linear amplitudes without a map of the noise
    """

    parameters: Parameters
    data: Tensor
    camera: Camera
    noise: Noise
    masses: Mapping[str, Mass] = field(default_factory=dict)
    lens_lights: Mapping[str, Light] = field(default_factory=dict)
    source_lights: Mapping[str, Light] = field(default_factory=dict)
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        grid = self.camera.grid
        for name, part in (("image", self.data), ("mask", self.mask)):
            if part is not None and tuple(part.shape) != (grid.rows, grid.columns):
                wanted = f"{grid.rows} x {grid.columns} pixels"
                raise InputError("lens", name, tuple(part.shape), wanted, "cut the image, or change the grid")
        bad = int((~torch.isfinite(self.observed)).sum())
        if bad:
            raise InputError("lens", "image", f"{bad} pixels that are not finite", "numbers", "mask these pixels")
        if self._is_linear and not isinstance(self.noise, NoiseMap):
            remedy = "give a noise map, or make the amplitudes parameters"
            raise InputError("lens", "noise", type(self.noise).__name__, "a fixed map of the noise", remedy)
        self._check_names()

    def _check_names(self) -> None:
        """Check that parameters and profiles refer to each other."""
        shapes: dict[str, tuple[int, ...]] = {}
        for item in self._parts:
            shapes |= {one: () for one in item.sources.values() if isinstance(one, str)}
        for light in self._lights:
            if isinstance(light.amplitude, str):
                shapes[light.amplitude] = (light.count,) if light.count > 1 else ()
        for name, shape in shapes.items():
            if self.parameters[name].shape != shape:
                raise InputError("lens", name, self.parameters[name].shape, f"the shape {shape}", "change the shape")
        for name in self.parameters.names:
            if name not in shapes:
                raise InputError("lens", name, "no profile that has it", "a parameter in use", "remove or refer to it")

    @property
    def _lights(self) -> list[Light]:
        return [*self.lens_lights.values(), *self.source_lights.values()]

    @property
    def _parts(self) -> list[Mass | Light]:
        return [*self.masses.values(), *self._lights]

    @property
    def _is_linear(self) -> bool:
        return any(isinstance(light.amplitude, Linear) for light in self._lights)

    @cached_property
    def _index(self) -> Tensor | None:
        """Flat places of the pixels in use, or None for all."""
        return None if self.mask is None else self.mask.flatten().nonzero()[:, 0]

    @cached_property
    def observed(self) -> Tensor:
        """Data of the pixels in use, (data,)."""
        return self._select(self.data.to(torch.float64)[None])[0]

    def _select(self, images: Tensor) -> Tensor:
        """Return the pixels in use, (..., rows, columns) to (..., data)."""
        flat = images.flatten(-2)
        return flat if self._index is None else flat[..., self._index]

    def log_likelihood(self, values: Values) -> Tensor:
        """Return the log likelihood, (batch,), without the amplitudes that are integrated out."""
        if self._is_linear:
            return self.amplitudes(values).log_likelihood
        likelihood = self.noise.log_likelihood(self.observed, self._select(self.image(values)))
        return torch.where(torch.isnan(likelihood), -torch.inf, likelihood)

    def log_likelihood_and_gradient(self, values: Values) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (batch,) and gradients by name; rows in pieces whose points fit the processor's cache."""
        x, y = self.camera.points
        points = (x + y).numel()
        parts, slopes = [], []
        size = max(1, CACHE_BYTES // (8 * points))
        for first in range(0, count_rows(values), size):
            piece = {name: value[first : first + size].detach().requires_grad_() for name, value in values.items()}
            with torch.enable_grad():
                likelihood = self.log_likelihood(piece)
            slopes.append(torch.autograd.grad(likelihood.sum(), list(piece.values())))
            parts.append(likelihood.detach())
        columns = [torch.cat(column) for column in zip(*slopes, strict=True)]
        return torch.cat(parts), dict(zip(values, columns, strict=True))

    def expected(self, values: Values) -> Tensor:
        """Return expected pixel values, (batch, data)."""
        if not self._is_linear:
            return self._select(self.image(values))
        fixed, design = self._design(values)
        mean = self._fit(fixed, design).mean
        return fixed + (mean[:, None] @ design).squeeze(1)

    def simulate(self, values: Values, generator: torch.Generator) -> Tensor:
        """Draw data, (batch, data)."""
        return self.noise.simulate(self.expected(values), generator)

    def information(self, values: Values) -> Tensor:
        """Return Fisher weights of the data, (batch, data)."""
        return self.noise.information(self.expected(values))

    def amplitudes(self, values: Values) -> LinearFit:
        """Return marginal likelihood and posterior of the amplitudes that are integrated out, by order of lights."""
        return self._fit(*self._design(values))

    def image(self, values: Values) -> Tensor:
        """Return expected images, (batch, rows, columns), of all light but that of linear amplitudes."""
        return self.camera.expose(self._shine(values))

    def ray_trace(self, values: Values, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return where rays come from in the source plane, arcsec, for positions in the image."""
        found_x, found_y = x, y
        for mass in self.masses.values():
            along, across = find_mass(mass.profile).deflect(x, y, _lift(mass.sources, values), self._settings(mass))
            found_x, found_y = found_x - along, found_y - across
        return found_x, found_y

    def distort(self, values: Values, x: Tensor, y: Tensor) -> Distortion:
        """Return convergence, shear and magnification at positions in the image, arcsec."""

        def deflect(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            source_x, source_y = self.ray_trace(values, x, y)
            return x - source_x, y - source_y

        rows = count_rows(values)
        return distort(deflect, *(part.expand(rows, *part.shape[-2:]) for part in (x, y)))

    def source_image(self, values: Values, x: Tensor, y: Tensor) -> Tensor:
        """Return the source's surface brightness at positions in its own plane, (batch, rows, columns)."""
        total = torch.zeros(count_rows(values), 1, 1, dtype=torch.float64) + 0.0 * (x + y)
        for light in self.source_lights.values():
            total = total + self._light(light, values, x, y)
        return total

    def _settings(self, part: Mass | Light) -> dict[str, Any]:
        return {"soft": 1e-4 * self.camera.grid.pixel_arcsec} | dict(part.settings)

    def _places(self, values: Values) -> list[tuple[Light, tuple[Tensor, Tensor]]]:
        """Return every light with the positions at which its own plane is seen."""
        points = self.camera.points
        behind = self.ray_trace(values, *points) if self.source_lights else points
        lights = [(light, points) for light in self.lens_lights.values()]
        return lights + [(light, behind) for light in self.source_lights.values()]

    def _light(self, light: Light, values: Values, x: Tensor, y: Tensor) -> Tensor:
        return find_light(light.profile).shine(
            x, y, _lift(light.sources, values), self._settings(light), _amplitude(light.amplitude, values)
        )

    def _shine(self, values: Values) -> Tensor:
        total = torch.zeros(count_rows(values), 1, 1, dtype=torch.float64)
        for light, place in self._places(values):
            if not isinstance(light.amplitude, Linear):
                total = total + self._light(light, values, *place)
        return total

    def _design(self, values: Values) -> tuple[Tensor, Tensor]:
        """Return expected data without linear amplitudes, (batch, data), and images of unit amplitude of those."""
        total, bases = torch.zeros(count_rows(values), 1, 1, dtype=torch.float64), []
        for light, place in self._places(values):
            if isinstance(light.amplitude, Linear):
                profile, lifted = find_light(light.profile), _lift(light.sources, values)
                bases.append(profile.basis(*place, lifted, self._settings(light)))
            else:
                total = total + self._light(light, values, *place)
        rows = count_rows(values)
        bases = [basis.expand(rows, *basis.shape[1:]) for basis in bases]
        return self._select(self.camera.expose(total)), self._select(self.camera.expose(torch.cat(bases, 1)))

    def _fit(self, fixed: Tensor, design: Tensor) -> LinearFit:
        priors = []
        for light in self._lights:
            if isinstance(light.amplitude, Linear):
                priors += [(light.amplitude.mean, light.amplitude.sd)] * light.count
        mean, sd = torch.tensor(priors, dtype=torch.float64).T
        return marginalise_linear(self.observed - fixed, design, self.noise.variance(fixed), mean, sd)


def _lift(sources: Sources, values: Values) -> dict[str, Tensor]:
    """Return each parameter as (batch or 1, 1, 1)."""
    found = {}
    for name, source in sources.items():
        value = values[source] if isinstance(source, str) else torch.tensor([source], dtype=torch.float64)
        found[name] = value[:, None, None]
    return found


def _amplitude(source: float | str | Linear, values: Values) -> Tensor:
    """Return amplitudes, (batch or 1, count)."""
    if isinstance(source, Linear):
        raise TypeError("this amplitude is integrated out")
    if not isinstance(source, str):
        return torch.tensor([[source]], dtype=torch.float64)
    value = values[source]
    return value[:, None] if value.ndim == 1 else value
