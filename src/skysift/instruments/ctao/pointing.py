"""Where a telescope looks and for how long, and the axes that its events are counted and predicted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError
from skysift.geometry.axes import EnergyAxis
from skysift.geometry.grids import LonLatGrid
from skysift.geometry.sphere import angular_separation_deg, unit_vectors

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf

__all__ = ["Axes", "Pointing", "make_true_axes"]

#: Largest true pixel, deg, and largest step of true energy in ln E: finer ones move expected counts by less than 2e-3.
_LARGEST_PIXEL_DEG = 0.1
_LARGEST_STEP = 0.15
#: Radius of a two-dimensional Gaussian in units of sigma holds this share.
_ONE_SIGMA_SHARE = 1.0 - np.exp(-0.5)


@dataclass(frozen=True)
class Pointing:
    """One observation: Galactic direction in deg, live time in s.

    Parameters
    ----------
    lon_deg, lat_deg : Galactic direction
    live_time_s : above zero
    vertical_deg : position angle of the zenith from Galactic north, for backgrounds that follow the horizon

    Raises
    ------
    InputError : a direction that is none, or a live time that is not positive
    """

    lon_deg: float
    lat_deg: float
    live_time_s: float
    vertical_deg: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.lon_deg) and abs(self.lat_deg) <= 90.0):
            found = f"l = {self.lon_deg}, b = {self.lat_deg} deg"
            raise InputError("pointing", "direction", found, "finite l, b within 90 deg", "correct the pointing")
        if not 0 < self.live_time_s < np.inf:
            raise InputError("pointing", "live time", self.live_time_s, "a time above 0 s", "correct the time")

    def offsets_deg(self, grid: LonLatGrid) -> NDArray[np.float64]:
        """Return the distance of every pixel's centre, (pixel,), deg."""
        return grid.separations_deg(self.lon_deg, self.lat_deg)

    def offset_deg(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> NDArray[np.float64]:
        """Return the distance of directions that broadcast, (...), deg."""
        here = unit_vectors(self.lon_deg, self.lat_deg)
        return angular_separation_deg(here, unit_vectors(lon_deg, lat_deg))


@dataclass(frozen=True, eq=False)
class Axes:
    r"""Bins in energy and direction, true or reconstructed.

    Bins are volumes, or, for the discrete normalisation, centres that each stand for :math:`E_k q_k\, \Delta l\,
    \Delta b` with q the ratio of a bin's edges. On a logarithmic axis that is q / ln q times too large, and there is
    no cos b; both cancel in fractions only.

    Parameters
    ----------
    energy : bins in TeV
    grid : pixels in Galactic coordinates
    is_discrete : whether bins stand for their centres
    """

    energy: EnergyAxis
    grid: LonLatGrid
    is_discrete: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of energies and pixels."""
        return self.energy.size, self.grid.size

    @property
    def widths_tev(self) -> NDArray[np.float64]:
        """Measure of bins of energy, (energy,), TeV."""
        edges = self.energy.edges_tev
        return self.energy.centres_tev * edges[1:] / edges[:-1] if self.is_discrete else self.energy.widths_tev

    @property
    def areas_deg2(self) -> NDArray[np.float64]:
        """Measure of pixels, (pixel,), deg2."""
        grid = self.grid
        if self.is_discrete:
            return np.outer(np.diff(grid.lat_edges_deg), np.diff(grid.lon_edges_deg)).ravel()
        return grid.areas_deg2

    @property
    def volumes_tev_deg2(self) -> NDArray[np.float64]:
        r"""Measure of bins, :math:`\Delta E\,\Delta\Omega` where they are volumes, (energy, pixel), TeV deg2."""
        return np.outer(self.widths_tev, self.areas_deg2)

    def find(
        self, energy_tev: NDArray[np.float64], lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the flat bin ``k * pixels + i`` of each event (n,), -1 outside."""
        energy, pixel = self.energy.find(energy_tev), self.grid.find(lon_deg, lat_deg)
        return np.where((energy >= 0) & (pixel >= 0), energy * self.grid.size + pixel, -1)


def make_true_axes(
    irf: Irf,
    reconstructed: Axes,
    pointings: Sequence[Pointing],
    margin_deg: float | Literal["auto"] = "auto",
    refine: int | Literal["auto"] = "auto",
) -> Axes:
    """Return true axes that are larger and finer than the reconstructed ones.

    Parameters
    ----------
    irf : gives the width of the PSF and the range of the effective area
    reconstructed : the axes of the events
    pointings : observations that share the axes
    margin_deg : added on all four sides; ``auto``: five sigma of the widest PSF of any pointing
    refine : parts of a reconstructed pixel along each side; ``auto``: as many as make true pixels of 0.1 deg or less

    Returns
    -------
    energies from a third of the lowest reconstructed edge to the end of the area table, in steps of at most 0.15 in
    ln E; pixels that subdivide the reconstructed ones and go on beyond them

    Raises
    ------
    InputError : a refinement below one, a negative margin, or an area table that ends below the axis
    """
    if (refine != "auto" and refine < 1) or (margin_deg != "auto" and not 0 <= margin_deg < 90):
        found = f"margin {margin_deg}, refine {refine}"
        raise InputError("observation.true", "margin, refine", found, "margin >= 0 deg, refine >= 1", "correct them")
    energy = _true_energy(irf, reconstructed.energy)
    margin = _widest_psf_deg(irf, energy, reconstructed.grid, pointings) if margin_deg == "auto" else margin_deg
    grid = reconstructed.grid
    lat_edges = _widen(_subdivide(grid.lat_edges_deg, refine), margin)
    highest = min(np.abs(grid.lat_edges_deg).max() + margin, 89.0)
    lon_edges = _widen(_subdivide(grid.lon_edges_deg, refine), margin / np.cos(np.radians(highest)))
    if lon_edges[-1] - lon_edges[0] > 360.0:
        lon_edges = np.linspace(lon_edges.mean() - 180.0, lon_edges.mean() + 180.0, len(lon_edges))
    lat_edges = np.unique(np.clip(lat_edges, -90.0, 90.0))
    return Axes(energy, LonLatGrid(lon_edges, lat_edges))


def _true_energy(irf: Irf, reconstructed: EnergyAxis) -> EnergyAxis:
    """Return steps no longer than those of the reconstructed axis, whose bins fall on the lowest energy wanted."""
    edges = reconstructed.edges_tev
    table = irf.area.energy.edges
    low, high = max(edges[0] / 3.0, table[0]), table[-1]
    if high <= edges[0]:
        found = f"effective area ends at {high:g} TeV, the axis starts at {edges[0]:g} TeV"
        raise InputError(irf.name, "energy axis", found, "an axis within the tables", "lower the energies")
    step = min(float(np.log(edges[1:] / edges[:-1]).min()), _LARGEST_STEP)
    return EnergyAxis.from_bins(low, high, int(np.ceil(np.log(high / low) / step - 1e-9)))


def _widest_psf_deg(irf: Irf, energy: EnergyAxis, grid: LonLatGrid, pointings: Sequence[Pointing]) -> float:
    """Return five sigma of the widest PSF that any pointing has within the pixels."""
    reach = max(float(pointing.offsets_deg(grid).max()) for pointing in pointings)
    offsets = np.linspace(0.0, min(reach, irf.offset_max_deg), 13)
    centres = energy.centres_tev[:, None]
    sigma = irf.psf_containment_deg(centres, offsets, _ONE_SIGMA_SHARE)
    sigma = np.where(irf.area_cm2(centres, offsets) > 0, sigma, np.nan)
    return 5.0 * float(np.nanmax(sigma)) if np.isfinite(sigma).any() else 0.0


def _subdivide(edges: NDArray[np.float64], refine: int | Literal["auto"]) -> NDArray[np.float64]:
    """Cut every bin into equal parts."""
    widths = np.diff(edges)
    parts = (
        np.ceil(widths / _LARGEST_PIXEL_DEG - 1e-6).astype(int) if refine == "auto" else np.full(len(widths), refine)
    )
    pieces = [np.linspace(low, high, part + 1)[:-1] for low, high, part in zip(edges, edges[1:], parts, strict=False)]
    return np.append(np.concatenate(pieces), edges[-1])


def _widen(edges: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Repeat the outer bins until they cover the margin."""
    below, above = edges[1] - edges[0], edges[-1] - edges[-2]
    lower = edges[0] - below * np.arange(int(np.ceil(margin / below - 1e-9)), 0, -1)
    upper = edges[-1] + above * np.arange(1, int(np.ceil(margin / above - 1e-9)) + 1)
    return np.concatenate((lower, edges, upper))
