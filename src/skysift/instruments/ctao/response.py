"""The response of one pointing: expected true counts in, expected reconstructed counts out."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.ctao.digest import digest_response
from skysift.instruments.ctao.factors import Factors, make_factors
from skysift.instruments.ctao.migration import Band
from skysift.instruments.ctao.operator import FoldOperator
from skysift.instruments.ctao.spread import make_psf_operator, make_psf_point, measure_region_share

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

    from skysift.instruments.ctao.densities import PointSource
    from skysift.instruments.ctao.event_kernel import EventKernel
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing

__all__ = ["Response"]

Array = NDArray[np.float64]
Counts = TypeVar("Counts", Array, "torch.Tensor")
#: Lists of this many events are worth maps.
_MANY_EVENTS = 10_000


@dataclass(frozen=True, eq=False)
class Response:
    r"""Response of one pointing between true and reconstructed bins.

    .. math:: n_s(k, i) = \sum_{e, j} D(k | e, o_j)\, P_e(i | j)\, \mu_s(e, j)

    Energies come first, then pixels, then sources. Build it with `Response.build`.

    Parameters
    ----------
    irf, true, reconstructed, pointing : what it is made from
    factors : area, PSF and energy dispersion at the true bins
    cut : share of each true pixel's light that may be left out of the PSF

    Examples
    --------
    >>> from skysift.geometry import EnergyAxis, LonLatGrid
    >>> from skysift.instruments.ctao import Axes, Pointing, analytic_irf, make_true_axes
    >>> irf, pointing = analytic_irf(), Pointing(0.0, 0.0, 180000.0)
    >>> events = Axes(EnergyAxis.from_bins(1.0, 10.0, 4), LonLatGrid.from_step(-0.4, 0.4, -0.4, 0.4, 0.4))
    >>> true = make_true_axes(irf, events, [pointing])
    >>> response = Response.build(irf, true, events, pointing)
    >>> response.fold(np.ones((*true.shape, 1))).shape
    (4, 9, 1)
    """

    irf: Irf
    true: Axes
    reconstructed: Axes
    pointing: Pointing
    factors: Factors
    cut: float

    @classmethod
    def build(
        cls,
        irf: Irf,
        true: Axes,
        reconstructed: Axes,
        pointing: Pointing,
        cut: float = 1e-9,
    ) -> Response:
        """Evaluate the tables at the true bins.

        Parameters
        ----------
        irf : the response functions
        true : larger and finer than the reconstructed axes, see `make_true_axes`
        reconstructed : axes of the events
        pointing : direction and live time
        cut : columns of the PSF lose less than this share; zero keeps everything

        Raises
        ------
        InputError : a cut that is no small share
        """
        if not 0 <= cut < 0.01:
            raise InputError("response", "PSF cut", cut, "a share from 0 to 0.01", "leave it at 1e-9")
        return cls(irf, true, reconstructed, pointing, make_factors(irf, true, reconstructed, pointing), cut)

    @property
    def area_cm2(self) -> Array:
        """Effective area, mean over each true bin of energy with slope -2.5, (true energy, true pixel), cm2."""
        return self.factors.area_cm2

    @cached_property
    def digest(self) -> str:
        """Sha256 of everything that it depends on; not the live time."""
        settings = {"method": "integrated", "cut": float(self.cut).hex()}
        return digest_response(self.irf, self.true, self.reconstructed, self.pointing, settings)

    @cached_property
    def operator(self) -> FoldOperator:
        """The fold as sparse operators; built when first needed."""
        spreads = tuple(
            make_psf_operator(weights, sigmas, self.true.grid, self.reconstructed.grid, self.cut)
            for weights, sigmas in zip(self.factors.psf.weights, self.factors.psf.sigmas_deg, strict=True)
        )
        return FoldOperator(spreads, self.bands, self.reconstructed.shape)

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Energy dispersion of each true bin, see `Migration.shares`."""
        return self.factors.migration.shares(self.pointing.offsets_deg(self.true.grid))

    @cached_property
    def region_share(self) -> Array:
        """Share of each true bin's light whose direction is reconstructed within the region, nothing cut."""
        return measure_region_share(self.factors.psf, self.true.grid, self.reconstructed.grid)

    @cached_property
    def efficiency(self) -> Array:
        """Share of each true bin's events that are reconstructed within the axes, (true energy, true pixel)."""
        within = np.stack([shares.sum(axis=1) for _, shares in self.bands])
        efficiency: Array = self.region_share * within
        return efficiency

    @cached_property
    def cut_loss(self) -> float:
        """Largest share of any true pixel's light that was left out of the PSF."""
        kept = np.stack([spread.sum(axis=0) for spread in self.operator.spreads])
        return float(np.max(self.region_share - kept, initial=0.0))

    def fold(self, expected: Counts) -> Counts:
        """Return expected reconstructed counts.

        Parameters
        ----------
        expected : (true energy, true pixel, source); events before migration, numpy or torch (float64, any device;
            gradients flow through one adjoint fold)

        Returns
        -------
        (energy, pixel, source)
        """
        if isinstance(expected, np.ndarray):
            return self.operator.fold(expected)
        from skysift.instruments.ctao.tensors import fold_tensor

        return fold_tensor(self.operator, expected)

    def adjoint(self, weights: Array) -> Array:
        """Return the transposed fold of (energy, pixel, source): (true energy, true pixel, source)."""
        return self.operator.adjoint(weights)

    def detected(self, expected: Counts) -> Counts:
        """Return the number of events within the axes, (source,), of true counts (true energy, true pixel, source)."""
        if isinstance(expected, np.ndarray):
            within: Array = np.tensordot(self.efficiency, expected, axes=2)
            return within
        import torch

        efficiency = torch.as_tensor(self.efficiency, dtype=expected.dtype, device=expected.device)
        return cast("torch.Tensor", torch.tensordot(efficiency, expected, dims=2))

    def leakage(self, expected: Array) -> Array:
        """Return the share of events reconstructed outside the axes, (source,), of true counts."""
        total = expected.sum(axis=(0, 1))
        return 1.0 - self.detected(expected) / np.where(total > 0, total, 1.0)

    def lost_share(self, expected: Array) -> Array:
        """Return the share of true counts, (source,), where the tables hold no energy dispersion."""
        offsets = self.pointing.offsets_deg(self.true.grid)
        empty = 1.0 - self.factors.migration.filled_share(offsets)
        total = expected.sum(axis=(0, 1))
        lost: Array = np.tensordot(empty, expected, axes=2) / np.where(total > 0, total, 1.0)
        return lost

    def area_at(self, lon_deg: float, lat_deg: float) -> Array:
        """Return the effective area at one direction, mean over each true bin of energy, (true energy,), cm2."""
        nodes = self.factors.migration.nodes
        return nodes.average(self.irf.area_cm2(nodes.energies_tev, self.pointing.offset_deg(lon_deg, lat_deg)))

    def fold_point(self, lon_deg: float, lat_deg: float, expected: Array) -> Array:
        """Return expected reconstructed counts of a point source at its exact place.

        Parameters
        ----------
        lon_deg, lat_deg : its direction
        expected : (true energy, source), events before migration, with the area of `area_at`

        Returns
        -------
        (energy, pixel, source)
        """
        offset = self.pointing.offset_deg([lon_deg], [lat_deg])
        weights, sigmas = self.irf.psf_components(self.true.energy.centres_tev, offset)
        spread = make_psf_point(weights, sigmas, lon_deg, lat_deg, self.reconstructed.grid)
        folded = np.zeros((*self.reconstructed.shape, expected.shape[-1]))
        for energy, (first, shares) in enumerate(self.factors.migration.shares(offset)):
            band = shares[0][:, None, None] * spread[energy][:, None] * expected[energy]
            folded[first : first + shares.shape[1]] += band
        return folded

    @cached_property
    def kernel(self) -> EventKernel:
        """The response at events, built when first needed."""
        from skysift.instruments.ctao.event_kernel import EventKernel

        # Both would keep each other, and tables of 0.1 GB, long after the last use.
        return EventKernel(cast("Response", weakref.proxy(self)))

    def densities_at(
        self,
        energy_tev: Array,
        lon_deg: Array,
        lat_deg: Array,
        expected: Array,
        points: Sequence[PointSource] = (),
        *,
        total: int = 0,
        is_exact: bool = False,
    ) -> Array:
        """Return densities of sources at events, at each event's own energy and direction.

        No row depends on the others, bit for bit, so any chunks of a list give the same numbers.

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed, within the axes
        expected : (true energy, true pixel, source), events before migration
        points : point sources at exact places: longitude, latitude, events (true energy, source)
        total : number of events of the whole list that these belong to: long lists are worth making maps
        is_exact : whether to take the direct sum instead of a scheme that agrees within 1e-3 in the logarithm

        Returns
        -------
        (event, source), events per TeV and deg2; divide by `detected` for a probability density
        """
        from skysift.instruments.ctao.densities import add_points, sum_densities
        from skysift.instruments.ctao.interpolated import InterpolatedDensities

        events = (energy_tev, lon_deg, lat_deg)
        if is_exact:
            densities = sum_densities(self.kernel, expected, *events)
        else:
            densities = InterpolatedDensities(self, expected, total >= _MANY_EVENTS).evaluate(*events)
        add_points(self.kernel, densities, events, points, is_exact=is_exact)
        return densities

    def densities_each(
        self,
        energy_tev: Array,
        lon_deg: Array,
        lat_deg: Array,
        expected: Array,
        points: Sequence[PointSource] = (),
        *,
        total: int = 0,
        is_exact: bool = False,
    ) -> Array:
        """Return what each true energy of one source gives at events, (event, true energy).

        Parameters
        ----------
        energy_tev, lon_deg, lat_deg : (event,), reconstructed
        expected : (true energy, true pixel, 1), events before migration
        points : point sources: longitude, latitude, events (true energy, 1)
        total, is_exact : as in `densities_at`
        """
        from skysift.instruments.ctao.densities import add_points, each_energy
        from skysift.instruments.ctao.interpolated import InterpolatedDensities

        events = (energy_tev, lon_deg, lat_deg)
        if is_exact:
            densities = each_energy(self.kernel, expected[..., 0], *events)
        else:
            densities = InterpolatedDensities(self, expected, total >= _MANY_EVENTS, is_split=True).evaluate(*events)
        add_points(self.kernel, densities, events, points, by_energy=True, is_exact=is_exact)
        return densities

    def rows(self, bins: NDArray[np.int64]) -> csr_array:
        """Return the fold of some bins, ``energy * pixels + pixel`` (n,), as a matrix (n, true energy x true pixel)."""
        from skysift.instruments.ctao.sparse_rows import make_rows

        return make_rows(self.operator, bins)

    def rows_at(self, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> csr_array:
        """Return densities at events as a matrix (event, true energy x true pixel), TeV-1 deg-2."""
        from skysift.instruments.ctao.densities import make_event_rows

        return make_event_rows(self.kernel, energy_tev, lon_deg, lat_deg)

    def background_counts(self, irf: Irf | None = None) -> Array:
        """Return background events per second of live time in each reconstructed bin, (energy, pixel).

        Parameters
        ----------
        irf : another response's background; its own by default
        """
        from skysift.instruments.ctao.background_counts import integrate_background

        return integrate_background(irf or self.irf, self.reconstructed, self.pointing)
