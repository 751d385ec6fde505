"""Populations of unresolved sources: where they are, how many there are of which brightness, what a pixel sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysift.contract import count_rows
from skysift.likelihoods.source_counts import Law, SourceCountTable, log_photons

__all__ = ["ExposureNodes", "Population", "place_nodes"]

Values = Mapping[str, Tensor]
Number = float | str


@dataclass(frozen=True)
class ExposureNodes:
    """Exposures at which coefficients are computed, and how much of each goes into a pixel.

    Parameters
    ----------
    log_ratios : (R,), ln of exposure over the mean exposure
    shares : (P, R), weights of the nodes in each pixel, such that mean counts grow with the pixel's own exposure
    """

    log_ratios: NDArray[np.float64]
    shares: NDArray[np.float64]


def place_nodes(
    exposure: NDArray[np.float64], mean: float, *, nodes: int = 3, regions: int | None = None, follows: bool = True
) -> ExposureNodes:
    r"""Return the exposures at which coefficients are computed.

    Nodes are Chebyshev points in the logarithm, between which coefficients per exposure are interpolated:
    :math:`x_{pm} = T_p \frac{E_p}{E_r} \sum_r L_r(\ln E_p) c_m(E_r)`. Regions are equally many pixels of similar
    exposure, with their mean.

    Parameters
    ----------
    exposure : (P,), cm2 s
    mean : mean exposure, cm2 s
    nodes : how many Chebyshev points
    regions : how many regions, in place of nodes
    follows : whether mean counts of a region's pixels follow their own exposure rather than the region's mean

    References
    ----------
    Mishra-Sharma, Rodd and Safdi (2017), AJ 153, 253, section 2.4 (regions)
    """
    log_exposure = np.log(exposure / mean)
    if regions is not None:
        order = np.argsort(exposure, kind="stable")
        shares = np.zeros((len(exposure), regions))
        for number, part in enumerate(np.array_split(order, regions)):
            shares[part, number] = 1.0
        shares = shares[:, shares.any(0)]
        centres = np.log((shares * exposure[:, None]).sum(0) / shares.sum(0) / mean)
    else:
        middle, half = 0.5 * (log_exposure.max() + log_exposure.min()), 0.5 * np.ptp(log_exposure)
        count = nodes if half > 1e-9 else 1
        centres = middle + half * np.cos(np.pi * (np.arange(count) + 0.5) / count)
        others = ~np.eye(count, dtype=bool)
        away = (log_exposure[:, None] - centres) if count > 1 else np.ones((len(exposure), 1))
        shares = np.stack([
            np.prod(away[:, others[k]] / (centres[k] - centres[others[k]]), axis=1) for k in range(count)
        ], 1)  # fmt: skip
    if follows:
        shares = shares * np.exp(log_exposure[:, None] - centres)
    return ExposureNodes(centres, shares)


@dataclass(frozen=True)
class Population:
    r"""One population: source density T times :math:`dN/dS = A (S/S_1)^{-n_1}`, with other slopes below each break.

    Parameters
    ----------
    name : name in the configuration
    weights : (P, R), source density times the shares of exposure nodes
    seen : (P,), mean counts per photon of all sources per unit density
    density : (P,), source density
    mean_cm2_s : mean exposure, at which dN/dS is stated in counts
    log_ratios : (R,), ln of each node's exposure over the mean
    norm : a number or the name of a parameter
    slopes : n_1 first
    breaks : highest first
    log_unit : ln of what turns the norm into A per count (at a break), or into photons per unit density
    log_break_unit : ln of what turns breaks into counts at the mean exposure
    is_total : whether the norm measures the light of all sources rather than dN/dS at the highest break
    is_relative : whether each further break is a share of the one above
    limits : lowest and highest brightness of a law without breaks, which has one slope, and A at the highest
    """

    name: str
    weights: Tensor
    seen: Tensor
    density: Tensor
    mean_cm2_s: float
    log_ratios: Tensor
    norm: Number
    slopes: tuple[Number, ...]
    breaks: tuple[Number, ...]
    log_unit: float = 0.0
    log_break_unit: float = 0.0
    is_total: bool = False
    is_relative: bool = False
    limits: tuple[float, float] | None = None

    @property
    def free(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return tuple(item for item in (self.norm, *self.slopes, *self.breaks) if isinstance(item, str))

    def law(self, values: Values) -> Law:
        """Return dN/dS in counts at the mean exposure."""
        rows = count_rows(values) if values else 1

        def read(source: Number) -> Tensor:
            return values[source] if isinstance(source, str) else self.seen.new_full((rows,), source)

        # without breaks both ends are breaks, with nothing beyond them
        breaks = self.breaks if self.limits is None else self.limits[::-1]
        slopes = torch.stack([read(item) for item in self.slopes], 1).expand(-1, len(breaks) + 1)
        log_breaks = torch.stack([read(item).log() for item in breaks], 1)
        if self.is_relative:
            log_breaks = log_breaks.cumsum(1)
        log_breaks = log_breaks + self.log_break_unit
        log_norm = read(self.norm).log() + self.log_unit
        is_limited = self.limits is not None
        if self.is_total:
            log_norm = log_norm - log_photons(slopes, log_breaks, is_limited=is_limited)
        return Law(log_norm, slopes, log_breaks, is_limited)

    def coefficients(self, values: Values, table: SourceCountTable) -> tuple[Tensor, Tensor]:
        """Return the mean numbers of sources of m photons at each exposure node, (B, R, m), and in all, (B, R)."""
        law = self.law(values)
        rows, nodes = len(law.log_norm), len(self.log_ratios)
        norms = (law.log_norm[:, None] - self.log_ratios).reshape(-1)
        breaks = (law.log_breaks[:, None] + self.log_ratios[:, None]).flatten(0, 1)
        slopes = law.slopes.repeat_interleave(nodes, 0)
        means, totals = table.integrate(norms, slopes, breaks, is_limited=law.is_limited)
        return means.reshape(rows, nodes, -1), totals.reshape(rows, nodes)

    def expected(self, values: Values) -> Tensor:
        """Return mean counts, (B, P)."""
        return self.law(values).photons()[:, None] * self.seen

    def to(self, device: torch.device) -> Population:
        """Return the population with its tensors on a device."""
        names = ("weights", "seen", "density", "log_ratios")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def take(self, index: Tensor) -> Population:
        """Return the population in some pixels only."""
        return replace(self, weights=self.weights[index], seen=self.seen[index], density=self.density[index])
