"""Systematic uncertainties measured beside the fits."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.scalars import ComponentName, Name
from skysift.config.section import Section, key

__all__ = ["Sidebands", "Systematics", "region_name"]

_LONGITUDES_DEG = (30.0, -30.0, 45.0, -45.0, 60.0, -60.0, 90.0, -90.0, 130.0, -130.0)


def region_name(longitude_deg: float) -> str:
    """Return the name of the sideband at this longitude.

    Examples
    --------
    >>> region_name(-30.0)
    'l-30'
    """
    return f"l{longitude_deg:+.10g}"


class Sidebands(Section):
    """Spurious signal in regions where there is none.

    Attributes
    ----------
    fits : names of fits, None for all that fit the signal
    signal : component whose profile is moved
    longitudes_deg : centres of the regions, at latitude 0
    """

    fits: list[Name] | None = key(
        None, "fits that get this systematic", example=["best"], min_length=1, says="all that fit the signal"
    )
    signal: ComponentName = key("gce", "component whose profile is moved to the sidebands", example="gce")
    longitudes_deg: list[Degrees] = key(
        list(_LONGITUDES_DEG),
        "longitudes of the sidebands, at latitude 0",
        example=["30 deg", "-30 deg"],
        unit="angle",
        alias="longitudes",
        min_length=2,
        says="30, 45, 60, 90 and 130 deg, on both sides",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for longitude_deg in self.longitudes_deg:
            if not 0 < abs(longitude_deg) <= 180:
                raise fault(
                    "longitudes from -180 to 180 deg, not 0", "write -30 deg for 330 deg", f"{longitude_deg:g} deg"
                )
        if len({round(longitude % 360, 6) for longitude in self.longitudes_deg}) < len(self.longitudes_deg):
            raise fault("each longitude once", "remove the duplicates")
        return self

    @property
    def regions(self) -> dict[str, float]:
        """Name of each region to the longitude of its centre, deg."""
        return {region_name(longitude_deg): longitude_deg for longitude_deg in self.longitudes_deg}


class Systematics(Section):
    """Systematic uncertainties to measure.

    Attributes
    ----------
    sidebands : `Sidebands` or None
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = (
        {"enum": ["sidebands"]},
        {"type": "array", "items": {"enum": ["sidebands"]}},
    )

    sidebands: Sidebands | None = key(
        None,
        "the spurious signal found away from the signal; `systematics: sidebands` takes the defaults",
        example={"fits": ["best"], "signal": "gce"},
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, str):
            return {data: {}}
        if isinstance(data, list) and all(isinstance(name, str) for name in data):
            return {name: {} for name in data}
        return data
