"""What a Fermi-LAT analysis looks at: exposure, templates and regions on stored pixels, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.healpix import pixel_area_sr
from skysift.instruments.fermi.photon_shares import PhotonShares

__all__ = ["Counts", "Observation", "Sideband", "TrueSources"]

Map = NDArray[np.float64]
Inside = NDArray[np.bool_]


@dataclass(frozen=True)
class Sideband:
    """A region away from the signal, with the signal's profile moved there.

    Parameters
    ----------
    name : such as ``l+30``
    center_deg : Galactic longitude and latitude, deg
    region : (P,) stored pixels that belong to it
    template : (E, P) the moved profile, counts per pixel at unit norm
    """

    name: str
    center_deg: tuple[float, float]
    region: Inside
    template: Map


@dataclass(frozen=True)
class Observation:
    """Exposure, templates and regions on the stored HEALPix pixels (RING, Galactic).

    The stored pixels are the union of the fit region, the read-out regions and the sidebands, and what lies near them
    where sources are drawn.

    Parameters
    ----------
    nside : HEALPix resolution
    pixels : (P,) stored pixel numbers, ascending
    region : (P,) stored pixels of the fit region
    energy_edges_gev : (E + 1,) GeV
    exposure_cm2_s : (E, P) cm2 s
    exposure_mean_cm2_s : (E,) mean over the full sky, cm2 s
    templates : name to (E, P), counts per pixel at unit norm
    read_out : name to (P,), further regions
    sidebands : name to `Sideband`
    shares : how the photons of one source are shared among pixels; None where no population needs it
    warnings : what was adjusted or looked odd while the maps were read
    """

    nside: int
    pixels: NDArray[np.int64]
    region: Inside
    energy_edges_gev: Map
    exposure_cm2_s: Map
    exposure_mean_cm2_s: Map
    templates: Mapping[str, Map]
    read_out: Mapping[str, Inside] = field(default_factory=dict)
    sidebands: Mapping[str, Sideband] = field(default_factory=dict)
    shares: PhotonShares | None = None
    warnings: tuple[str, ...] = ()

    @property
    def pixel_area_sr(self) -> float:
        """The solid angle of one pixel, sr."""
        return pixel_area_sr(self.nside)

    @property
    def energies(self) -> int:
        """The number of energy bins."""
        return len(self.energy_edges_gev) - 1


@dataclass(frozen=True)
class TrueSources:
    """A population that was drawn.

    Parameters
    ----------
    template : where its sources are
    parameters : ``norm``, ``slope_1``, ..., ``break_1``, ..., in the units of the configuration
    settings : what these mean: ``units``, ``norm_of``, ``template_is``
    counts : (E, P), its mean counts
    """

    template: str
    parameters: Mapping[str, float]
    settings: Mapping[str, str]
    counts: Map


@dataclass(frozen=True)
class Counts:
    """Photon counts on an observation's stored pixels.

    Parameters
    ----------
    name : data name, such as ``observed`` or ``simulated-000``
    counts : (E, P)
    seed : of the run that made them; None for observed counts
    truth : norm of each template that was drawn; empty for observed counts
    components : name to template name, for truth given by component
    expected : (E, P) mean of the draw; None for observed counts
    fields : component name to (E, P), the Gaussian process drawn for its modulation
    populations : name to `TrueSources`, the populations that were drawn
    warnings : what was adjusted or looked odd
    """

    name: str
    counts: NDArray[np.int64]
    seed: int | None = None
    truth: Mapping[str, float] = field(default_factory=dict)
    components: Mapping[str, str] = field(default_factory=dict)
    expected: Map | None = None
    fields: Mapping[str, Map] = field(default_factory=dict)
    populations: Mapping[str, TrueSources] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
