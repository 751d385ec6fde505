"""Shapes of model files as densities on the sphere, differentiable in place, size and elongation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.sky.components.profiles import PROFILES, Profile
from skysift.sky.components.sphere import look_from

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skysift.sky.components.maps import SkyMap
    from skysift.sky.components.spectra import Part, Values

__all__ = ["SHAPES", "TorchShape", "build_shape", "shares_of"]


class TorchShape(Protocol):
    """What every shape offers; the batch of its parameters comes first."""

    @property
    def reach_deg(self) -> float:
        """Radius in which it is evaluated, deg; the largest of the batch."""

    @property
    def size_deg(self) -> float:
        """Size of its finest detail, deg; the smallest of the batch, infinite where it has none."""

    @property
    def is_point(self) -> bool:
        """Whether all is in one place."""

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Return the density (batch, n) in sr-1 at directions (n,) in deg, in the frame of the shape."""


@dataclass(frozen=True, eq=False)
class PointShape:
    """All in one place.

    Parameters
    ----------
    values : ``lon_0``, ``lat_0``, () or (batch,), deg
    """

    values: Mapping[str, Tensor]
    reach_deg: float = 0.0
    size_deg: float = 0.0
    is_point: bool = True

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Refuse: a point has no density."""
        raise InputError(
            "model", "spatial.type", "point", "a shape with a density", "spread points over pixels, or use their PSF"
        )


@dataclass(frozen=True, eq=False)
class ProfileShape:
    """A shape by its formula.

    Parameters
    ----------
    profile : formula, reach, size
    values : parameters, () or (batch,), deg
    """

    profile: Profile
    values: Mapping[str, Tensor]
    is_point: bool = False

    @property
    def reach_deg(self) -> float:
        """Radius in which it is evaluated, deg; the largest of the batch."""
        return float(self.profile.reach_deg(self._detached).max())

    @property
    def size_deg(self) -> float:
        """Size of its finest detail, deg; the smallest of the batch."""
        return float(self.profile.size_deg(self._detached).min())

    @property
    def _detached(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.values.items()}

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Return the density (batch, n) in sr-1 at directions (n,) in deg, in the frame of the shape."""
        columns = {name: value[..., None] if value.ndim else value for name, value in self.values.items()}
        device = columns["lon_0"].device
        lon, lat = (torch.as_tensor(one, dtype=torch.float64, device=device) for one in (lon_deg, lat_deg))
        return self.profile.density(look_from(columns["lon_0"], columns["lat_0"], lon, lat), columns)


@dataclass(frozen=True, eq=False)
class ConstantShape:
    """The same everywhere.

    Parameters
    ----------
    value : () or (batch,), sr-1
    """

    value: Tensor
    reach_deg: float = 180.0
    size_deg: float = math.inf
    is_point: bool = False
    values: Mapping[str, Tensor] = field(default_factory=dict)

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Return the density (batch, n) in sr-1 at directions (n,) in deg."""
        value = self.value[..., None] if self.value.ndim else self.value
        return value + torch.zeros_like(torch.as_tensor(lon_deg, dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class SumShape:
    """Several shapes, each with its share.

    Parameters
    ----------
    parts : (weight, shape)
    """

    parts: tuple[tuple[float, TorchShape], ...]

    @property
    def reach_deg(self) -> float:
        """Largest reach of its parts about their own centres, deg."""
        return max(shape.reach_deg for _, shape in self.parts)

    @property
    def size_deg(self) -> float:
        """Smallest size of its parts, deg."""
        return min(shape.size_deg for _, shape in self.parts)

    @property
    def is_point(self) -> bool:
        """Whether any of its parts is one: these have to be treated one by one."""
        return any(shape.is_point for _, shape in self.parts)

    def density(self, lon_deg: ArrayLike | Tensor, lat_deg: ArrayLike | Tensor) -> Tensor:
        """Return the density (batch, n) in sr-1 at directions (n,) in deg."""
        return torch.stack([weight * shape.density(lon_deg, lat_deg) for weight, shape in self.parts]).sum(0)


def build_shape(part: Part, values: Values, maps: Mapping[str, SkyMap] | None = None, prefix: str = "") -> TorchShape:
    """Return the shape that a part declares.

    Parameters
    ----------
    part : declared, of any kind
    values : of its parameters by name (``model1.sigma`` in sums), (batch,) or (), deg
    maps : templates by the name of their file, as the parts name it
    prefix : of the names that belong to this part

    Raises
    ------
    InputError : a kind that cannot be evaluated, or a template whose file is not there

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> disk = SimpleNamespace(tag="disk", tables={}, settings={}, file=None, parts=())
    >>> values = {"lon_0": 0.0, "lat_0": 0.0, "r_0": 1.0, "e": 0.0, "phi": 0.0, "edge_width": 0.01}
    >>> round(build_shape(disk, values).density([0.0], [0.5]).item(), 3)
    1044.976
    """
    if part.tag == "sum":
        shapes = [build_shape(one, values, maps, f"{prefix}model{n}.") for n, one in enumerate(part.parts, 1)]
        return SumShape(tuple(zip(part.tables["weights"], shapes, strict=True)))
    own = {
        name.removeprefix(prefix): torch.as_tensor(value, dtype=torch.float64)
        for name, value in values.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    if part.tag == "template":
        return _template(part, own, maps or {})
    if part.tag not in SHAPES:
        wanted = f"one of {', '.join([*SHAPES, 'template', 'sum'])}"
        raise InputError("model", "spatial.type", part.tag, wanted, "replace it, or leave the source out")
    return SHAPES[part.tag](own)


def _template(part: Part, own: Mapping[str, Tensor], maps: Mapping[str, SkyMap]) -> TorchShape:
    if part.file is None or part.file not in maps:
        raise InputError(
            part.file or "model", "(file)", "not there", "the map of a template", "fetch it, or leave the source out"
        )
    return maps[part.file].shape_at(own.get("lon_0"), own.get("lat_0"))


def _constant(own: Mapping[str, Tensor]) -> TorchShape:
    return ConstantShape(own.get("value", torch.ones((), dtype=torch.float64)))


def _by_profile(name: str) -> Callable[[Mapping[str, Tensor]], TorchShape]:
    return lambda own: ProfileShape(PROFILES[name], own)


#: Kinds that can be evaluated from their parameters alone.
SHAPES: Mapping[str, Callable[[Mapping[str, Tensor]], TorchShape]] = {
    "point": PointShape,
    **{name: _by_profile(name) for name in PROFILES},
    "const": _constant,
}


def shares_of(shape: TorchShape) -> Sequence[tuple[float, TorchShape]]:
    """Return the parts of a sum with their weights, the shape itself otherwise."""
    return shape.parts if isinstance(shape, SumShape) else ((1.0, shape),)
