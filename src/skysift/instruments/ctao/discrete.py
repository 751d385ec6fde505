"""The response on bin centres, normalised by sums: for comparison with GammaBayes, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.instruments.ctao.background_counts import integrate_background
from skysift.instruments.ctao.densities import each_energy, make_event_rows, sum_densities
from skysift.instruments.ctao.digest import digest_response
from skysift.instruments.ctao.discrete_kernel import DiscreteKernel
from skysift.instruments.ctao.operator import FoldOperator
from skysift.instruments.ctao.pointing import Axes
from skysift.instruments.ctao.response import Response
from skysift.instruments.ctao.sparse_rows import make_rows

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

    from skysift.instruments.ctao.densities import PointSource
    from skysift.instruments.ctao.event_kernel import EventKernel
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Pointing

__all__ = ["AnyResponse", "DiscreteFactors", "DiscreteResponse", "Window", "window_limits", "window_of"]

Array = NDArray[np.float64]
#: Elements of the largest temporary array.
_ELEMENTS = 2**22


@dataclass(frozen=True)
class Window:
    """How far a true bin may be from an event to count, all strict: decades of energy, deg along l and b.

    Infinite without limit; the defaults are those of GammaBayes.
    """

    decades: float = 1.0
    lon_deg: float = 1.3
    lat_deg: float = 1.3


def window_limits(window: Window) -> list[float | None]:
    """Return the limits of a window as plain data, None where there is none."""
    limits = (window.decades, window.lon_deg, window.lat_deg)
    return [limit if np.isfinite(limit) else None for limit in limits]


def window_of(limits: Sequence[float | None]) -> Window:
    """Return the window of `window_limits`."""
    return Window(*(np.inf if limit is None else float(limit) for limit in limits))


@dataclass(frozen=True, eq=False)
class DiscreteFactors:
    """What a discrete response is made of.

    Parameters
    ----------
    area_cm2 : effective area at bin centres, (energy, pixel)
    psf_norm : n_psf, (energy, pixel)
    dispersion_norm : n_ed, (energy, pixel)
    operator : the fold
    """

    area_cm2: Array
    psf_norm: Array
    dispersion_norm: Array
    operator: FoldOperator


@dataclass(frozen=True, eq=False)
class DiscreteResponse:
    r"""Response between bin centres of one set of axes, true and reconstructed alike.

    .. math:: n_s(r) = V_r \sum_{t \in \text{window}}
              \frac{P(\rho | t)\, M(E_r / E_t | t) / E_t}{n_{psf}(t)\, n_{ed}(t)}\, \mu_s(t)

    with n_psf and n_ed the sums over all r of P and M / E_t times their steps, one where they are zero, and V the
    measure of discrete `Axes`. True counts are flux at centres times area times live time times V; densities are
    n / (V sum mu). Build it with `DiscreteResponse.build`.

    Parameters
    ----------
    irf : the response functions, read with ``psf_empty="one_degree"`` for the comparison
    reconstructed : discrete axes, of true bins as well
    pointing : where it looked
    window : true bins that count for an event
    factors : tables and sums at the bins

    References
    ----------
    Pinchbeck et al. (2024), arXiv 2401.13876
    """

    irf: Irf
    reconstructed: Axes
    pointing: Pointing
    window: Window
    factors: DiscreteFactors

    @classmethod
    def build(cls, irf: Irf, axes: Axes, pointing: Pointing, window: Window | None = None) -> DiscreteResponse:
        """Evaluate the tables at bin centres.

        Parameters
        ----------
        irf : the response functions
        axes : true and reconstructed bins
        pointing : where it looked
        window : see `Window`, whose defaults stand for None
        """
        axes, window = Axes(axes.energy, axes.grid, is_discrete=True), window or Window()
        offsets = pointing.offsets_deg(axes.grid)
        energies = axes.energy.centres_tev
        spreads, psf_norms = zip(*(_spread(irf, energy, axes, offsets, window) for energy in energies), strict=True)
        bands, norms = zip(*(_band(irf, energy, axes, offsets, window) for energy in energies), strict=True)
        area = irf.area_cm2(energies[:, None], offsets)
        operator = FoldOperator(spreads, bands, axes.shape)
        return cls(irf, axes, pointing, window, DiscreteFactors(area, np.stack(psf_norms), np.stack(norms), operator))

    @property
    def true(self) -> Axes:
        """The same axes."""
        return self.reconstructed

    @property
    def area_cm2(self) -> Array:
        """Effective area at bin centres, (energy, pixel), cm2."""
        return self.factors.area_cm2

    @property
    def operator(self) -> FoldOperator:
        """The fold."""
        return self.factors.operator

    @cached_property
    def digest(self) -> str:
        """Sha256 of everything that it depends on; not the live time."""
        settings = {"method": "discrete", "window": window_limits(self.window)}
        return digest_response(self.irf, self.true, self.reconstructed, self.pointing, settings)

    @property
    def efficiency(self) -> Array:
        """One everywhere: priors are normalised over true bins, (energy, pixel)."""
        return np.ones(self.true.shape)

    @cached_property
    def kernel(self) -> EventKernel:
        """The response at events: what visits them and what each true pixel sends, as sums over both want it."""
        return cast("EventKernel", DiscreteKernel(self))

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

    def densities_at(
        self,
        energy_tev: Array,
        lon_deg: Array,
        lat_deg: Array,
        expected: Array,
        points: Sequence[PointSource] = (),
        *,
        total: int = 0,
    ) -> Array:
        """Return densities of sources at events, by the direct sum over true bins in the window of each event.

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed
        expected : (energy, pixel, source), true counts
        points : none: a point source shines in the bin that holds it
        total : events of the whole list; changes nothing

        Returns
        -------
        (event, source), events per TeV and deg2; divide by `detected` for a density in the discrete measure
        """
        _refuse_points(points)
        return sum_densities(self.kernel, expected, energy_tev, lon_deg, lat_deg)

    def densities_each(
        self,
        energy_tev: Array,
        lon_deg: Array,
        lat_deg: Array,
        expected: Array,
        points: Sequence[PointSource] = (),
        *,
        total: int = 0,
    ) -> Array:
        """Return what each true energy of one source (energy, pixel, 1) gives at events, (event, energy)."""
        _refuse_points(points)
        return each_energy(self.kernel, expected[..., 0], energy_tev, lon_deg, lat_deg)

    def rows(self, bins: NDArray[np.int64]) -> csr_array:
        """Return the fold of some bins, ``energy * pixels + pixel`` (n,), as a matrix (n, energy x pixel)."""
        return make_rows(self.operator, bins)

    def rows_at(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> csr_array:
        """Return densities at events as a matrix (event, energy x pixel), TeV-1 deg-2."""
        return make_event_rows(self.kernel, energy_tev, lon_deg, lat_deg)

    def background_counts(self) -> Array:
        """Return background of the instrument per second and bin, (energy, pixel), as bins are volumes."""
        return integrate_background(self.irf, self.reconstructed, self.pointing)


AnyResponse = Response | DiscreteResponse


def _refuse_points(points: Sequence[PointSource]) -> None:
    if len(points):
        found = f"{len(points)} point sources at exact places"
        raise InputError("response", "points", found, "none with normalise: discrete", "prepare the observation again")


def _blocks(count: int, rows: int) -> Iterator[NDArray[np.int64]]:
    yield from np.array_split(np.arange(count), 1 + count * rows // _ELEMENTS)


def _spread(irf: Irf, energy_tev: float, axes: Axes, offsets: Array, window: Window) -> tuple[csc_array, Array]:
    """Return P dl db / n_psf at one true energy, windowed, (reconstructed pixel, true pixel), and n_psf."""
    from scipy.sparse import csc_array, hstack

    grid = axes.grid
    lon, lat, vectors = grid.lon_deg, grid.lat_deg, unit_vectors(grid.lon_deg, grid.lat_deg)
    steps = axes.areas_deg2[:, None]
    parts, norms = [], []
    for true in _blocks(grid.size, grid.size):
        separation = angular_separation_deg(vectors[:, None], vectors[true])
        spread = irf.psf(energy_tev, offsets[true], separation) * steps
        total = spread.sum(axis=0)
        norms.append(np.where(total > 0, total, 1.0))
        spread /= norms[-1]
        spread *= np.abs(lon[:, None] - lon[true]) < window.lon_deg
        spread *= np.abs(lat[:, None] - lat[true]) < window.lat_deg
        parts.append(csc_array(spread))
    return csc_array(hstack(parts, format="csc")), np.concatenate(norms)


def _band(irf: Irf, true_tev: float, axes: Axes, offsets: Array, window: Window) -> tuple[tuple[int, Array], Array]:
    """Return M / E_t dE_r / n_ed of one true energy, windowed: the first bin and shares (pixel, energy); and n_ed."""
    energy = axes.energy.centres_tev
    shares = irf.dispersion_raw(true_tev, energy / true_tev, offsets[:, None]) / true_tev * axes.widths_tev
    total = shares.sum(axis=1)
    norm = np.where(total > 0, total, 1.0)
    shares /= norm[:, None]
    shares *= np.abs(np.log10(true_tev / energy)) < window.decades
    reached = np.flatnonzero(np.any(shares > 0, axis=0))
    if not reached.size:
        return (0, np.zeros((len(shares), 0))), norm
    return (int(reached[0]), np.ascontiguousarray(shares[:, reached[0] : reached[-1] + 1])), norm
