"""What a posterior says of dN/dF: bands of a population's source counts, differential and above each flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SourceCountBands", "count_sources", "make_fluxes"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SourceCountBands:
    """Source counts of one population in the fit region.

    ``flux`` (n,), cm-2 s-1; ``density`` (level, n), F^2 dN/dF in cm-2 s-1 deg-2; ``number`` (level, n), sources above
    each flux per deg2; ``one_photon``, the flux of a source that sends one photon on average, cm-2 s-1.
    """

    flux: Array
    density: Array
    number: Array
    one_photon: float


def make_fluxes(largest: float, count: int = 121) -> Array:
    """Return photons (n,) of sources at which their counts are shown: from a tenth to well beyond the largest count."""
    return np.geomspace(0.1, 5.0 * max(largest, 20.0), count)


def count_sources(
    photons: Array, log_density: Array, slope: Array, area_deg2: float, mean_cm2_s: float
) -> tuple[Array, Array]:
    """Return F^2 dN/dF in cm-2 s-1 deg-2 and the sources above each flux per deg2, (draw, n) each.

    Parameters
    ----------
    photons : (n,), of a source at the mean exposure, rising
    log_density : (draw, n), ln of dN/dS of all sources of the region, per count
    slope : (draw,), beyond the last point
    area_deg2 : of the region
    mean_cm2_s : mean exposure
    """
    height = np.exp(log_density)
    panels = 0.5 * np.diff(np.log(photons)) * ((height * photons)[:, 1:] + (height * photons)[:, :-1])
    beyond = (height * photons)[:, -1] / (slope - 1.0)
    above = beyond[:, None] + np.append(np.cumsum(panels[:, ::-1], axis=1)[:, ::-1], np.zeros((len(panels), 1)), axis=1)
    return photons**2 * height / (mean_cm2_s * area_deg2), above / area_deg2
