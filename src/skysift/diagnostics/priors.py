"""Prior densities of single norms, as numbers to draw and to divide by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PriorDensity"]


@dataclass(frozen=True)
class PriorDensity:
    """A prior by the name of its family and its two numbers, as the configuration states them.

    Parameters
    ----------
    kind : ``normal`` (mean, sd), ``lognormal`` (median, sd of ln), ``uniform`` or ``loguniform`` (low, high), or
        ``beta`` (its two exponents, plus one)
    first, second : the two numbers
    low, high : where a normal prior is cut

    Examples
    --------
    >>> prior = PriorDensity("uniform", 0.0, 1.5)
    >>> round(prior.mean, 3), round(prior.sd, 3)
    (0.75, 0.433)
    """

    kind: str
    first: float
    second: float
    low: float = -np.inf
    high: float = np.inf

    @cached_property
    def _law(self) -> Any:  # noqa: ANN401 - scipy's frozen distributions have no public type
        from scipy import stats

        match self.kind:
            case "normal":
                ends = (np.array([self.low, self.high]) - self.first) / self.second
                return stats.truncnorm(*ends, loc=self.first, scale=self.second)
            case "lognormal":
                return stats.lognorm(self.second, scale=self.first)
            case "uniform":
                return stats.uniform(self.first, self.second - self.first)
            case "loguniform":
                return stats.loguniform(self.first, self.second)
            case "beta":
                return stats.beta(self.first, self.second)
        raise ValueError(f"no prior of kind {self.kind!r}")

    @property
    def mean(self) -> float:
        """Mean of the prior."""
        return float(self._law.mean())

    @property
    def sd(self) -> float:
        """Standard deviation of the prior."""
        return float(self._law.std())

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value that it allows."""
        low, high = self._law.support()
        return float(low), float(high)

    def interval(self, probability: float) -> tuple[float, float]:
        """Return the central interval that holds ``probability``."""
        low, high = self._law.interval(probability)
        return float(low), float(high)

    def density(self, grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at each of ``grid`` (n,)."""
        return np.asarray(self._law.pdf(grid), dtype=np.float64)

    def log_density(self, grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log density at each of ``grid`` (n,), -inf outside the support."""
        return np.asarray(self._law.logpdf(grid), dtype=np.float64)
