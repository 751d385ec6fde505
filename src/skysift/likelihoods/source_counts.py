"""How many sources send how many photons: integrals of broken power laws in flux."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Law", "SourceCountTable", "log_photons", "log_source_count"]

Array = NDArray[np.float64]

#: Points of the rule on each panel; the kernel is a polynomial of this degree less one there.
_POINTS = 14
#: Width of a panel over the width of the narrowest kernel, and at most, in ln S.
_SHARE, _WIDEST = 1.5, 0.5
#: Below this many photons kernels are series.
_FAINT = 1e-2
_TERMS = 7
#: A Poisson probability this many sigma off is nothing.
_FAR = 12.0


def log_source_count(
    log_flux: Tensor, log_norm: Tensor, slopes: Tensor, log_breaks: Tensor, *, is_limited: bool = False
) -> Tensor:
    r"""Return ln dN/dS of a broken power law.

    .. math:: \frac{dN}{dS} = A (S/S_1)^{-n_1} \; (S \ge S_1), \quad
              A \prod_{q<j} (S_{q+1}/S_q)^{-n_{q+1}} (S/S_j)^{-n_{j+1}} \; (S_{j+1} \le S < S_j)

    Parameters
    ----------
    log_flux : (batch or 1, point)
    log_norm : (batch,), ln A, at the highest break
    slopes : (batch, breaks + 1), the highest fluxes' first
    log_breaks : (batch, breaks), falling
    is_limited : whether there is nothing above the first break and below the last one

    Returns
    -------
    (batch, point)
    """
    # from the highest break downwards each break changes the slope of what lies below it
    value = log_norm[:, None] - slopes[:, :1] * (log_flux - log_breaks[:, :1])
    bend = slopes[:, :-1] - slopes[:, 1:]
    below = (log_flux[:, None] - log_breaks[:, :, None]).clamp(max=0.0)
    value = value + (bend[:, :, None] * below).sum(1)
    if is_limited:
        value = value.masked_fill((log_flux > log_breaks[:, :1]) | (log_flux < log_breaks[:, -1:]), -torch.inf)
    return value


def log_photons(slopes: Tensor, log_breaks: Tensor, *, is_limited: bool = False) -> Tensor:
    r"""Return ln of the photons of all sources, :math:`\int S \, dN/dS \, dS`, of a broken power law with A = 1.

    Parameters
    ----------
    slopes : (batch, breaks + 1), n_1 first; n_1 above 2, the last one below 2
    log_breaks : (batch, breaks), ln S in counts, falling
    is_limited : whether there is nothing above the first break and below the last one, whatever the slopes

    Returns
    -------
    (batch,)

    Examples
    --------
    >>> float(log_photons(torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0]])).exp())
    2.0
    """
    # at each break, the integrand S dN/dS of ln S
    heights = (
        log_source_count(log_breaks, torch.zeros_like(log_breaks[:, 0]), slopes, log_breaks) + 2 * log_breaks
    ).exp()
    length = log_breaks[:, :-1] - log_breaks[:, 1:]
    middle = heights[:, :-1] * _fall(2 - slopes[:, 1:-1], length)
    if is_limited:
        return middle.sum(1).log()
    return (heights[:, 0] / (slopes[:, 0] - 2) + middle.sum(1) + heights[:, -1] / (2 - slopes[:, -1])).log()


@dataclass(frozen=True)
class Law:
    """dN/dS in counts: ln A (B,), slopes (B, l + 1) and ln breaks (B, l), falling; whether they are limits as well."""

    log_norm: Tensor
    slopes: Tensor
    log_breaks: Tensor
    is_limited: bool = False

    def log_density(self, log_flux: Tensor) -> Tensor:
        """Return ln dN/dS, (B, point), at ln S (B or 1, point)."""
        return log_source_count(log_flux, self.log_norm, self.slopes, self.log_breaks, is_limited=self.is_limited)

    def photons(self) -> Tensor:
        """Return the mean photons of all sources per unit of source density, (B,)."""
        return (self.log_norm + log_photons(self.slopes, self.log_breaks, is_limited=self.is_limited)).exp()


class SourceCountTable:
    r"""Kernels of the mean number of sources that send m photons, at fixed points in ln S.

    .. math:: c_m = \int dS \frac{dN}{dS} \sum_i w_i \, {\rm Pois}(m; \phi_i S), \qquad
              X = \sum_{m \ge 1} c_m = \int dS \frac{dN}{dS} \sum_i w_i (1 - e^{-\phi_i S})

    A kernel is a polynomial on each of many panels, so that an integral is a sum over fixed points whatever the
    breaks are; a panel with a break in it is divided there. Kernels are power series below the first panel, and above
    the last one every source is seen.

    Parameters
    ----------
    fractions : (i,), share of a source's photons that a pixel gets, above zero
    pixels : (i,), number of pixels that get it
    largest : highest m
    device : where tensors live
    """

    def __init__(
        self,
        fractions: Sequence[float] | Array,
        pixels: Sequence[float] | Array,
        largest: int,
        device: str | torch.device = "cpu",
    ) -> None:
        self.fractions, self.pixels = np.asarray(fractions, np.float64), np.asarray(pixels, np.float64)
        self.largest = largest
        self.device = torch.device(device)
        self.edges = self._make_edges()
        points, weights = np.polynomial.legendre.leggauss(_POINTS)
        half = 0.5 * np.diff(self.edges)
        places = self.edges[:-1, None] + half[:, None] * (1 + points)
        self._edges = self._put(self.edges)
        self.places = self._put(places.reshape(-1))
        self.weights = self._put((half[:, None] * weights).reshape(-1))
        self.kernel = self._put(self._evaluate(np.exp(places.reshape(-1))))
        self._points, self._rule = self._put(points), self._put(weights)
        self._barycentric = self._put(_barycentric_weights(points))
        self.series = self._put(self._make_series())

    def _put(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _make_edges(self) -> Array:
        """Return the edges of panels in ln S."""
        brightest = self.fractions.max()
        last = math.log((self.largest + _FAR * math.sqrt(self.largest) + 40.0) / self.fractions.min())
        edges = [math.log(_FAINT / brightest)]
        while edges[-1] < last:
            photons = min(brightest * math.exp(edges[-1]), float(self.largest))
            edges.append(edges[-1] + min(_WIDEST, _SHARE / math.sqrt(max(photons, 1.0))))
        return np.array(edges)

    def _evaluate(self, flux: Array) -> Array:
        """Return the kernels (point, largest + 1): of X, and of m = 1, 2, ..."""
        from scipy.special import gammaln

        kernel = np.zeros((len(flux), self.largest + 1))
        number = np.arange(1, self.largest + 1)
        norm = gammaln(number + 1.0)
        for fraction, weight in zip(self.fractions, self.pixels, strict=True):
            mean = fraction * flux
            kernel[:, 0] -= weight * np.expm1(-mean)
            kernel[:, 1:] += weight * np.exp(number * np.log(mean)[:, None] - mean[:, None] - norm)
        return kernel

    def _make_series(self) -> Array:
        """Return coefficients (power - 1, largest + 1) of the kernels as series in S."""
        series = np.zeros((_TERMS, self.largest + 1))
        for power in range(1, _TERMS + 1):
            moment = float(self.pixels @ self.fractions**power)
            series[power - 1, 0] = -((-1.0) ** power) * moment / math.factorial(power)
            for m in range(1, min(power, self.largest) + 1):
                rest = power - m
                series[power - 1, m] = (-1.0) ** rest * moment / (math.factorial(m) * math.factorial(rest))
        return series

    def integrate(
        self, log_norm: Tensor, slopes: Tensor, log_breaks: Tensor, *, is_limited: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return the coefficients of m = 1, 2, ... and their total, per source density of one.

        Parameters
        ----------
        log_norm : (batch,), ln A, per count
        slopes : (batch, breaks + 1), n_1 first; n_1 above 1, the last one below 2
        log_breaks : (batch, breaks), ln S in counts, falling
        is_limited : whether there is nothing above the first break and below the last one, whatever the slopes

        Returns
        -------
        (batch, largest), (batch,)
        """
        law = Law(log_norm, slopes, log_breaks, is_limited)
        weights = (law.log_density(self.places[None]) + self.places).exp() * self.weights
        weights = weights + self._divide_panels(law, weights)
        found = weights @ self.kernel
        found = found + self._integrate_faint(law) @ self.series
        bright = self._integrate_bright(law) * float(self.pixels.sum())
        return found[:, 1:], found[:, 0] + bright

    def _divide_panels(self, law: Law, whole: Tensor) -> Tensor:
        """Return what weights (batch, point) of panels with breaks in them gain when they are divided there."""
        log_breaks = law.log_breaks
        edges = self._edges
        panel = torch.searchsorted(edges, log_breaks.detach().contiguous(), right=True) - 1
        inside = (panel >= 0) & (panel < len(edges) - 1)
        panel = panel.clamp(0, len(edges) - 2)
        low, high = edges[panel], edges[panel + 1]
        # several breaks of one panel: pieces lie between neighbours, and only one of them replaces the whole
        above = torch.cat((torch.full_like(log_breaks[:, :1], torch.inf), log_breaks[:, :-1]), 1)
        below = torch.cat((log_breaks[:, 1:], torch.full_like(log_breaks[:, :1], -torch.inf)), 1)
        is_first = ~((above < high) & (above >= low))
        pieces = [(log_breaks, torch.minimum(high, above), is_first), (torch.maximum(low, below), log_breaks, inside)]
        gained = torch.zeros_like(whole)
        columns = panel[:, :, None] * _POINTS + torch.arange(_POINTS, device=self.device)
        for first, last, counts in pieces:
            # breaks outside all panels divide nothing; their pieces are empty
            start, stop = torch.where(inside, first, low), torch.where(inside, last, low)
            half = 0.5 * (stop - start)
            places = start[:, :, None] + half[:, :, None] * (1 + self._points)
            flat = places.reshape(len(places), -1)
            value = (law.log_density(flat) + flat).exp().reshape(places.shape)
            local = 2 * (places - low[:, :, None]) / (high - low)[:, :, None] - 1
            share = _lagrange(local, self._points, self._barycentric)
            part = (value * half[:, :, None] * self._rule)[..., None, :] @ share
            keep = (inside & counts)[:, :, None]
            gained = gained.scatter_add(1, columns.reshape(len(columns), -1), (part[..., 0, :] * keep).flatten(1))
        taken = inside[:, :, None].expand(columns.shape).reshape(len(columns), -1).to(whole.dtype)
        lost = torch.zeros_like(whole).scatter_add(1, columns.reshape(len(columns), -1), taken) > 0
        return gained - torch.where(lost, whole, 0.0)

    def _integrate_faint(self, law: Law) -> Tensor:
        """Return integrals of dN/dS S^k below the first panel, (batch, k), k = 1, 2, ..."""
        border = self._edges[0]
        ends = torch.cat((border.expand(len(law.log_norm), 1), torch.minimum(law.log_breaks, border)), 1)
        value = law.log_density(ends)
        powers = torch.arange(1, _TERMS + 1, dtype=ends.dtype, device=ends.device)
        # piece j goes from break j + 1 (nothing, for the last) up to break j, with slope j
        exponent = powers + 1 - law.slopes[:, :, None]
        top = (value[:, :, None] + (powers + 1) * ends[:, :, None]).exp()
        length = (ends[:, :-1] - ends[:, 1:])[:, :, None]
        middle = top[:, :-1] * _fall(exponent[:, :-1], length)
        return middle.sum(1) if law.is_limited else middle.sum(1) + top[:, -1] / exponent[:, -1]

    def _integrate_bright(self, law: Law) -> Tensor:
        """Return the integral of dN/dS above the last panel, (batch,)."""
        border = self._edges[-1]
        starts = torch.cat((torch.maximum(law.log_breaks, border), border.expand(len(law.log_norm), 1)), 1)
        lower = (law.log_density(starts) + starts).exp()
        length = starts[:, :-1] - starts[:, 1:]
        middle = lower[:, 1:] * _fall(law.slopes[:, 1:] - 1, length)
        return middle.sum(1) if law.is_limited else middle.sum(1) + lower[:, 0] / (law.slopes[:, 0] - 1)


def _fall(rate: Tensor, length: Tensor) -> Tensor:
    """Return the integral of exp(-rate x) from 0 to length; also for a rate of zero."""
    product = rate * length
    near = product.abs() < 1e-4
    safe = torch.where(near, 1.0, product)
    whole = -torch.expm1(-safe) / safe
    return length * torch.where(near, 1 - product / 2 + product**2 / 6, whole)


def _barycentric_weights(points: Array) -> Array:
    distance = points[:, None] - points
    np.fill_diagonal(distance, 1.0)
    return np.asarray(1.0 / distance.prod(1))


def _lagrange(places: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Return the polynomials (..., place, point) that are one at one point and zero at the others."""
    distance = places[..., None] - points
    distance = torch.where(distance.abs() < 1e-14, 1e-14, distance)
    terms = weights / distance
    return terms / terms.sum(-1, keepdim=True)
