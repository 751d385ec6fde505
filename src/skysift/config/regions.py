"""Regions of the sky and masks composed from names, files and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.scalars import Integer, Name
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["AnnulusShape", "BoxShape", "DiscShape", "MapFile", "Mask", "Region"]

_CENTER = (0.0, 0.0)


class MapFile(Section):
    """A file that holds one sky map.

    Attributes
    ----------
    file : path
    hdu : number of the FITS extension
    field : column, None for the first
    ordering : ``ring`` or ``nested``, None where the header says it
    coordsys : ``galactic`` or ``equatorial``, None where the header says it
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "string"},)

    file: str = key(REQUIRED, "path of a .npy or .fits file", example="maps/counts.fits", min_length=1, max_length=4096)
    hdu: Integer = key(1, "number of the FITS extension", example=1, ge=0, le=1000)
    field: str | None = key(None, "column of the FITS table", example="COUNTS", says="the first one")
    ordering: Literal["ring", "nested"] | None = key(
        None, "pixel order, where the header is silent; never against it", example="ring", says="from the header"
    )
    coordsys: Literal["galactic", "equatorial"] | None = key(
        None, "frame, where the header is silent; never against it", example="galactic", says="from the header"
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_path(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {"file": data} if isinstance(data, str) else data


class DiscShape(Section):
    """All directions within a radius.

    Attributes
    ----------
    center_deg : longitude and latitude
    radius_deg : radius
    """

    center_deg: tuple[Degrees, Degrees] = key(
        _CENTER, "longitude and latitude", example=["0 deg", "0 deg"], unit="angle", alias="center"
    )
    radius_deg: Degrees = key(REQUIRED, "radius", example="5 deg", unit="angle", alias="radius", gt=0, le=180)


class AnnulusShape(Section):
    """Directions between two radii.

    Attributes
    ----------
    center_deg : longitude and latitude
    inner_radius_deg, radius_deg : the two radii
    """

    center_deg: tuple[Degrees, Degrees] = key(
        _CENTER, "longitude and latitude", example=["0 deg", "0 deg"], unit="angle", alias="center"
    )
    inner_radius_deg: Degrees = key(
        REQUIRED, "inner radius", example="2 deg", unit="angle", alias="inner_radius", ge=0, le=180
    )
    radius_deg: Degrees = key(REQUIRED, "outer radius", example="5 deg", unit="angle", alias="radius", gt=0, le=180)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_radii(self.inner_radius_deg, self.radius_deg)
        return self


def check_radii(inner_deg: float | None, outer_deg: float) -> None:
    """Raise unless the inner radius is the smaller one."""
    if inner_deg is not None and not inner_deg < outer_deg:
        raise fault(
            "inner_radius below radius",
            "swap the two radii",
            f"inner_radius {inner_deg:g} deg, radius {outer_deg:g} deg",
        )


class BoxShape(Section):
    """A window in longitude and latitude.

    Attributes
    ----------
    l_deg : western and eastern limits, may wrap; None for all
    b_deg : lower and upper limits; None for all
    """

    l_deg: tuple[Degrees, Degrees] | None = key(
        None, "limits in longitude, eastwards", example=["350 deg", "10 deg"], unit="angle", alias="l", says="all"
    )
    b_deg: tuple[Degrees, Degrees] | None = key(
        None, "limits in latitude", example=["-5 deg", "5 deg"], unit="angle", alias="b", says="all"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.l_deg is None and self.b_deg is None:
            raise fault("limits in l, in b, or in both", "write for example {b: [-5 deg, 5 deg]}")
        if self.b_deg is not None and not -90 <= self.b_deg[0] < self.b_deg[1] <= 90:
            raise fault("b: [low, high] between -90 and 90 deg", "swap or narrow the limits")
        return self


class Mask(Section):
    """Pixels to leave out: exactly one of these.

    Attributes
    ----------
    name : a mask of the data set
    file : `MapFile` of zeros and ones (1: masked)
    and_, or_ : lists of `Mask`
    not_ : `Mask`
    box, disc, annulus : shapes
    plane_deg : half width of a band around latitude 0
    kind : which of them is given, as in YAML: ``name``, ``file``, ``and``, ``or``, ``not``, ``box``, ...
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = (
        {"type": "string"},
        {"type": "array", "items": {"$ref": "#/$defs/Mask"}},
    )

    name: Name | None = key(None, "a mask of the data set", example="mask_3fgl_0p8deg")
    file: MapFile | None = key(None, "a map of zeros and ones; 1 is masked", example="maps/mask.npy")
    and_: list[Mask] | None = key(
        None, "masked where all of these are", example=["mask_3fgl", {"plane": "5 deg"}], alias="and", min_length=1
    )
    or_: list[Mask] | None = key(
        None, "masked where any of these is", example=["mask_3fgl", {"plane": "5 deg"}], alias="or", min_length=1
    )
    not_: Mask | None = key(None, "masked where this is not", example={"disc": {"radius": "5 deg"}}, alias="not")
    box: BoxShape | None = key(None, "a window in longitude and latitude", example={"b": ["0 deg", "90 deg"]})
    disc: DiscShape | None = key(None, "a disc", example={"center": ["10 deg", "5 deg"], "radius": "2 deg"})
    annulus: AnnulusShape | None = key(None, "an annulus", example={"inner_radius": "2 deg", "radius": "5 deg"})
    plane_deg: Degrees | None = key(
        None, "half width of a band around latitude 0", example="2 deg", unit="angle", alias="plane", gt=0, le=90
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, str):
            return {"name": data}
        if isinstance(data, list):
            return {"or": data}
        return without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            wanted = "exactly one of name, file, and, or, not, box, disc, annulus, plane"
            found = " and ".join(name.rstrip("_") for name in given) or "none of them"
            raise fault(wanted, "combine several with {or: [...]} or {and: [...]}", found)
        return self

    @property
    def kind(self) -> str:
        """Which of the choices is given, as spelled in YAML."""
        field = next(name for name, value in self if value is not None)
        return type(self).model_fields[field].alias or field

    @property
    def members(self) -> list[Mask]:
        """The masks that this one combines."""
        if self.not_ is not None:
            return [self.not_]
        return self.and_ or self.or_ or []

    def names(self) -> Iterator[str]:
        """Yield the names of the data set's masks that are used."""
        if self.name is not None:
            yield self.name
        for member in self.members:
            yield from member.names()

    def files(self, path: str) -> Iterator[tuple[str, MapFile]]:
        """Yield the maps that are read, each with its dotted key below ``path``, the key of this mask."""
        if self.file is not None:
            yield path, self.file
        for number, member in enumerate(self.members):
            yield from member.files(f"{path}.not" if self.not_ else f"{path}.{self.kind}[{number}]")


class Region(Section):
    """Where to look: a disc or annulus without the masked pixels; pixel centres decide.

    Attributes
    ----------
    center_deg : longitude and latitude
    radius_deg : radius, 180 for the full sky
    inner_radius_deg : of an annulus, None for a disc
    mask_plane_deg : half width of the masked band around latitude 0, None for no band
    mask : `Mask` or None
    """

    center_deg: tuple[Degrees, Degrees] = key(
        _CENTER, "Galactic longitude and latitude", example=["0 deg", "0 deg"], unit="angle", alias="center"
    )
    radius_deg: Degrees = key(
        REQUIRED, "radius; 180 deg is the full sky", example="20 deg", unit="angle", alias="radius", gt=0, le=180
    )
    inner_radius_deg: Degrees | None = key(
        None, "inner radius of an annulus", example="2 deg", unit="angle", alias="inner_radius", gt=0, le=180,
        says="a disc",
    )  # fmt: skip
    mask_plane_deg: Degrees | None = key(
        None, "mask the band up to this latitude on both sides", example="2 deg", unit="angle", alias="mask_plane",
        gt=0, le=90, says="no band",
    )  # fmt: skip
    mask: Mask | None = key(
        None,
        "pixels to leave out: a name, a list (any of them), or an expression of `and`, `or`, `not`, `box`, `disc`, "
        "`annulus`, `plane`, `file`",
        example="mask_3fgl_0p8deg",
        says="none",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_radii(self.inner_radius_deg, self.radius_deg)
        if abs(self.center_deg[1]) > 90:
            raise fault(
                "a latitude between -90 and 90 deg", "write [longitude, latitude]", f"{self.center_deg[1]:g} deg"
            )
        reach_deg = min(abs(self.center_deg[1]) + self.radius_deg, 90.0)
        if reach_deg <= self._widest_band_deg():
            found = f"a band of {self._widest_band_deg():g} deg, latitudes up to {reach_deg:g} deg"
            raise fault("some sky outside the masked band", "narrow the band, or enlarge the radius", found)
        return self

    def _widest_band_deg(self) -> float:
        """Return the half width of the widest band that is masked for sure, 0 without one."""
        bands = [self.mask_plane_deg or 0.0]
        if self.mask is not None:
            bands += [mask.plane_deg or 0.0 for mask in (self.mask, *(self.mask.or_ or []))]
        return max(bands)
