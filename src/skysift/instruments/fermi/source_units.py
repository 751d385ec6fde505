"""What norms, breaks and templates of a population mean in counts at the mean exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.fermi.observation import Observation

__all__ = ["SourceUnits", "measure_sources"]

Map = NDArray[np.float64]


@dataclass(frozen=True)
class SourceUnits:
    """Units of a population.

    Parameters
    ----------
    density : (P,), sources per pixel and unit of dN/dS
    exposure_cm2_s : (P,)
    mean_cm2_s : mean exposure of the fit region, at which dN/dS is stated in counts
    log_break_unit : ln of counts per unit of a break
    log_norm_unit : ln of dN/dS per count, at the highest break, per unit of the norm
    """

    density: Map
    exposure_cm2_s: Map
    mean_cm2_s: float
    log_break_unit: float
    log_norm_unit: float

    @property
    def exposure_ratio(self) -> Map:
        """Exposure over its mean, (P,)."""
        return self.exposure_cm2_s / self.mean_cm2_s

    def log_total_unit(self, norm_of: str, seen: Map, inside: NDArray[np.bool_], pixel_area_sr: float) -> float:
        """Return ln of photons per unit density and unit of a norm that measures all light.

        Parameters
        ----------
        norm_of : ``counts`` or ``intensity``, in ph/cm2/s/sr
        seen : (P,), mean counts per photon of all sources per unit density
        inside : (P,), the fit region
        pixel_area_sr : sr
        """
        if norm_of == "counts":
            return -float(np.log(seen[inside].sum()))
        return -float(np.log((seen / (self.exposure_cm2_s * pixel_area_sr))[inside].mean()))


def measure_sources(
    observation: Observation,
    template: Map,
    inside: NDArray[np.bool_],
    *,
    units: str,
    template_is: str,
    nptfit: bool = False,
) -> SourceUnits:
    """Return the units of a population.

    Parameters
    ----------
    observation : has one energy bin
    template : (E, P), on the stored pixels
    inside : (P,), the fit region
    units : ``counts`` or ``flux``
    template_is : ``counts`` (its exposure is divided out) or ``density``
    nptfit : whether to divide by the exposure over its full-sky mean, as NPTFit's examples do
    """
    exposure = observation.exposure_cm2_s[0]
    mean = float(exposure[inside].mean())
    density = template[0]
    if template_is == "counts":
        reference = float(observation.exposure_mean_cm2_s[0]) if nptfit else mean
        density = np.divide(density * reference, exposure, out=np.zeros_like(density), where=exposure > 0)
    log_mean = float(np.log(mean)) if units == "flux" else 0.0
    return SourceUnits(density, exposure, mean, log_mean, -log_mean)
