"""What a configuration may say of diffuse emission: where its mean is taken."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.section import REQUIRED, Section, key

__all__ = ["PER_SR", "Patch"]

#: Kinds of sky whose spectra are per solid angle.
PER_SR = ("isotropic", "fermi_diffuse", "synthetic_diffuse")


class Patch(Section):
    """A part of the sky between two longitudes and two latitudes.

    Attributes
    ----------
    lon_deg, lat_deg : ends, Galactic
    """

    lon_deg: tuple[Degrees, Degrees] = key(
        REQUIRED, "first and last Galactic longitude", example=["-3 deg", "3 deg"], unit="angle", alias="lon"
    )
    lat_deg: tuple[Degrees, Degrees] = key(
        REQUIRED, "first and last Galactic latitude", example=["-3 deg", "3 deg"], unit="angle", alias="lat"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, (low, high), widest in (("lon", self.lon_deg, 360.0), ("lat", self.lat_deg, 180.0)):
            if not low < high <= low + widest:
                raise fault(
                    f"{name}: two ends that rise", "swap them; longitudes may be negative", f"{low:g}, {high:g}"
                )
        if self.lat_deg[0] < -90 or self.lat_deg[1] > 90:
            raise fault("latitudes between -90 and 90 deg", "make the window smaller", f"{self.lat_deg}")
        return self
