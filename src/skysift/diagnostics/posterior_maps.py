"""What a posterior says about each pixel: expected counts, components, and the modulation beside its truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "PosteriorMaps", "RatioScore", "gather_maps", "score_ratio", "true_ratio"]

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)
Map = NDArray[np.float64]


@dataclass
class PosteriorMaps:
    """Draws and means collected over batches of posterior draws.

    ``expected`` (draw, energy pixel); ``components``: mean counts (energy pixel) by name; ``ratios``: counts over
    template counts at unit norm, summed over energy, (draw, pixel) by name; ``replicas`` (draw, energy pixel) of data
    that are not Poisson; ``log_likelihood`` (energy pixel,), summed over draws.
    """

    expected: list[Map] = field(default_factory=list)
    sums: dict[str, Map] = field(default_factory=dict)
    ratio_draws: dict[str, list[Map]] = field(default_factory=dict)
    count: int = 0
    replicas: list[NDArray[np.int64]] = field(default_factory=list)
    log_likelihood: float | Map = 0.0

    @property
    def draws(self) -> Map:
        """Expected counts, (draw, energy pixel)."""
        return np.concatenate(self.expected)

    @property
    def components(self) -> dict[str, Map]:
        """Mean counts of each component, (energy pixel,)."""
        return {name: total / self.count for name, total in self.sums.items()}

    @property
    def ratios(self) -> dict[str, Map]:
        """Counts over template counts, (draw, pixel)."""
        return {name: np.concatenate(parts) for name, parts in self.ratio_draws.items()}


def gather_maps(
    maps: PosteriorMaps,
    counts: Mapping[str, Map],
    templates: Mapping[str, Map],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Add a batch of posterior draws.

    Parameters
    ----------
    maps : what was gathered so far
    counts : component to expected counts, (draw, energy pixel)
    templates : component to counts at unit norm, (energy, pixel), of those whose ratio is wanted
    groups : component to all components that stand for the same part of the sky together with it
    """
    maps.expected.append(np.sum(list(counts.values()), axis=0))
    for name, values in counts.items():
        maps.sums[name] = maps.sums.get(name, 0.0) + values.sum(axis=0)
    for name, template in templates.items():
        together = np.sum([counts[member] for member in (groups or {}).get(name, [name])], axis=0)
        rows = together.reshape(len(together), *template.shape).sum(axis=1)
        maps.ratio_draws.setdefault(name, []).append(_ratio(rows, template.sum(axis=0)))
    maps.count += len(maps.expected[-1])


def _ratio(counts: Map, template: Map) -> Map:
    """Divide, with nan where the template is empty."""
    empty = np.full(counts.shape, np.nan)
    return np.asarray(np.divide(counts, template, out=empty, where=template > 0), dtype=np.float64)


def true_ratio(expected: Map, explained: Mapping[str, Map], template: Map) -> Map:
    """Return what one component has to become: the true sky without what the others explain, over its template.

    Parameters
    ----------
    expected : (energy, pixel), true mean counts
    explained : true counts (energy, pixel) of the parts that other components of the fit stand for
    template : (energy, pixel), counts at unit norm

    Returns
    -------
    (pixel,), nan where the template is empty
    """
    rest = expected - sum(explained.values(), np.zeros_like(expected))
    return _ratio(rest.sum(axis=0), template.sum(axis=0))


@dataclass(frozen=True)
class RatioScore:
    """How well a ratio map met its truth: rms difference, also relative, and the share of pixels in the bands."""

    rmse: float
    relative_rmse: float
    coverage_68: float
    coverage_95: float


def score_ratio(quantiles: Map, truth: Map) -> RatioScore:
    """Compare quantiles (5, pixel) at `LEVELS` with a true ratio map (pixel,)."""
    seen = np.isfinite(truth) & np.isfinite(quantiles).all(axis=0)
    low95, low68, median, high68, high95 = quantiles[:, seen]
    known = truth[seen]
    return RatioScore(
        rmse=float(np.sqrt(np.mean((median - known) ** 2))),
        relative_rmse=float(np.sqrt(np.mean((median / known - 1) ** 2))),
        coverage_68=float(np.mean((known >= low68) & (known <= high68))),
        coverage_95=float(np.mean((known >= low95) & (known <= high95))),
    )
