"""The response on bin centres, normalised by sums: for comparison with GammaBayes, and for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError, nearest
from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.instruments.ctao.digest import digest_response
from skysift.instruments.ctao.operator import FoldOperator

if TYPE_CHECKING:
    from scipy.sparse import csc_array

    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing

__all__ = ["DiscreteResponse", "Window", "discrete_volumes"]

Array = NDArray[np.float64]
Window = Literal["gammabayes", "none"]
#: Half-widths of the window: decades in energy, and deg in longitude and latitude; all strict.
_DECADES, _WINDOW_DEG = 1.0, 1.3
#: Elements of the largest temporary array.
_ELEMENTS = 2**22


def discrete_volumes(axes: Axes) -> Array:
    r"""Return :math:`E_k q_k\, \Delta l\, \Delta b` with q the ratio of a bin's edges, (energy, pixel), TeV deg2.

    On a logarithmic axis that is q / ln q times too large, and there is no cos b; both cancel in fractions only.
    """
    edges, grid = axes.energy.edges_tev, axes.grid
    steps = np.outer(np.diff(grid.lat_edges_deg), np.diff(grid.lon_edges_deg)).ravel()
    return np.outer(axes.energy.centres_tev * edges[1:] / edges[:-1], steps)


@dataclass(frozen=True, eq=False)
class DiscreteResponse:
    r"""Response between bin centres of one set of axes, true and reconstructed alike.

    .. math:: n_s(r) = V_r \sum_{t \in \text{window}}
              \frac{P(\rho | t)\, M(E_r / E_t | t) / E_t}{n_{psf}(t)\, n_{ed}(t)}\, \mu_s(t)

    with n_psf and n_ed the sums over all r of P and M / E_t times their steps, one where they are zero, and V from
    `discrete_volumes`. True counts are flux at centres times area times live time times V; densities are
    n / (V sum mu).

    Parameters
    ----------
    irf : the response functions, read with ``psf_empty="one_degree"`` for the comparison
    reconstructed : axes, of true bins as well
    pointing : where it looked
    window : ``gammabayes``: true bins within a decade and 1.3 deg of the event along l and b; ``none``: all

    References
    ----------
    Pinchbeck et al. (2024), arXiv 2401.13876
    """

    irf: Irf
    reconstructed: Axes
    pointing: Pointing
    window: Window = "gammabayes"

    def __post_init__(self) -> None:
        if self.window not in ("gammabayes", "none"):
            remedy = nearest(str(self.window), ["gammabayes", "none"])
            raise InputError("response", "window", self.window, "gammabayes or none", remedy)

    @property
    def true(self) -> Axes:
        """The same axes."""
        return self.reconstructed

    @cached_property
    def area_cm2(self) -> Array:
        """Effective area at bin centres, (energy, pixel), cm2."""
        return self.irf.area_cm2(self.true.energy.centres_tev[:, None], self._offsets)

    @cached_property
    def digest(self) -> str:
        """Sha256 of everything that it depends on."""
        settings = {"method": "discrete", "window": self.window}
        return digest_response(self.irf, self.true, self.reconstructed, self.pointing, settings)

    @property
    def volumes(self) -> Array:
        """Measure of bins, (energy, pixel), TeV deg2."""
        return discrete_volumes(self.reconstructed)

    @property
    def efficiency(self) -> Array:
        """One everywhere: priors are normalised over true bins, (energy, pixel)."""
        return np.ones(self.true.shape)

    @cached_property
    def operator(self) -> FoldOperator:
        """The fold, built when first needed."""
        spreads = tuple(self._spread(energy) for energy in self.true.energy.centres_tev)
        bands = tuple(self._band(number) for number in range(self.true.energy.size))
        return FoldOperator(spreads, bands, self.reconstructed.shape)

    def fold(self, expected: Array) -> Array:
        """Return reconstructed counts (energy, pixel, source) of true ones (energy, pixel, source)."""
        return self.operator.fold(expected)

    def adjoint(self, weights: Array) -> Array:
        """Return the transposed fold of (energy, pixel, source)."""
        return self.operator.adjoint(weights)

    def detected(self, expected: Array) -> Array:
        """Return the sum of true counts (energy, pixel, source): (source,)."""
        total: Array = expected.sum(axis=(0, 1))
        return total

    def smeared_background(self) -> Array:
        """Return true counts per second whose fold stands for the background, (energy, pixel).

        The rate on the cut at y = 0, x >= 0 as a function of offset, taken for a flux in true coordinates.
        """
        energy = self.true.energy.centres_tev[:, None]
        return self.irf.background_radial(energy, self._offsets) * self.volumes

    @cached_property
    def _offsets(self) -> Array:
        return self.pointing.offsets_deg(self.reconstructed.grid)

    def _spread(self, energy_tev: float) -> csc_array:
        """Return P dl db / n_psf at one true energy, windowed, (reconstructed pixel, true pixel)."""
        from scipy.sparse import csc_array, hstack

        grid = self.reconstructed.grid
        lon, lat, vectors = grid.lon_deg, grid.lat_deg, unit_vectors(grid.lon_deg, grid.lat_deg)
        steps = np.outer(np.diff(grid.lat_edges_deg), np.diff(grid.lon_edges_deg)).ravel()[:, None]
        parts = []
        for true in np.array_split(np.arange(grid.size), 1 + grid.size**2 // _ELEMENTS):
            separation = angular_separation_deg(vectors[:, None], vectors[true])
            spread = self.irf.psf(energy_tev, self._offsets[true], separation) * steps
            total = spread.sum(axis=0)
            spread /= np.where(total > 0, total, 1.0)
            if self.window != "none":
                spread *= np.abs(lon[:, None] - lon[true]) < _WINDOW_DEG
                spread *= np.abs(lat[:, None] - lat[true]) < _WINDOW_DEG
            parts.append(csc_array(spread))
        return csc_array(hstack(parts, format="csc"))

    def _band(self, number: int) -> tuple[int, Array]:
        """Return M / E_t dE_r / n_ed of one true energy, windowed: the first bin and shares (pixel, energy)."""
        axis = self.reconstructed.energy
        energy = axis.centres_tev
        widths = energy * axis.edges_tev[1:] / axis.edges_tev[:-1]
        true_tev = energy[number]
        shares = self.irf.dispersion_raw(true_tev, energy / true_tev, self._offsets[:, None]) / true_tev * widths
        total = shares.sum(axis=1, keepdims=True)
        shares /= np.where(total > 0, total, 1.0)
        if self.window != "none":
            shares *= np.abs(np.log10(true_tev / energy)) < _DECADES
        reached = np.flatnonzero(np.any(shares > 0, axis=0))
        if not reached.size:
            return 0, np.zeros((len(shares), 0))
        return int(reached[0]), np.ascontiguousarray(shares[:, reached[0] : reached[-1] + 1])
