"""How many sources have which flux: broken power laws, their integrals, and draws from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SourceCounts"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SourceCounts:
    r"""dN/dS = A (S/S_1)^-n_1 above the highest break S_1, continuous, with another slope below each break.

    Parameters
    ----------
    norm : A, at the highest break
    slopes : n_1 first, above 2; the last one below 2
    breaks : the highest first
    limits : lowest and highest flux, where there are no breaks; A is at the highest, the slope is free

    Examples
    --------
    >>> law = SourceCounts(1.0, (3.0, 1.0), (1.0,))
    >>> round(law.photons(), 12), round(law.number_above(1.0), 12)
    (2.0, 0.5)
    """

    norm: float
    slopes: tuple[float, ...]
    breaks: tuple[float, ...]
    limits: tuple[float, float] | None = None

    def density(self, flux: Array) -> Array:
        """Return dN/dS at fluxes (n,)."""
        faintest, brightest = self.limits or (0.0, np.inf)
        log_flux, log_breaks = np.log(flux), np.log(self.breaks or (brightest,))
        value = np.log(self.norm) - self.slopes[0] * (log_flux - log_breaks[0])
        for place, above, below in zip(log_breaks, self.slopes, self.slopes[1:], strict=False):
            value += (above - below) * np.minimum(log_flux - place, 0.0)
        return np.where((flux >= faintest) & (flux <= brightest), np.exp(value), 0.0)

    def photons(self, below: float = np.inf) -> float:
        """Return the flux of all sources fainter than ``below``."""
        return self._moment(1, 0.0, below)

    def number_above(self, flux: float) -> float:
        """Return the number of sources brighter than a flux above zero."""
        return self._moment(0, flux, np.inf)

    def draw(self, count: int, faintest: float, random: np.random.Generator) -> Array:
        """Return fluxes (count,) of sources brighter than ``faintest``: the inverse of their distribution."""
        if not count:
            return np.empty(0)
        pieces = [piece for piece in self._pieces() if piece[1] > faintest]
        numbers = np.array([self._integrate(0, max(low, faintest), high, slope) for low, high, slope in pieces])
        which = random.choice(len(pieces), count, p=numbers / numbers.sum())
        share = random.random(count)
        flux = np.empty(count)
        for number, (low, high, slope) in enumerate(pieces):
            own, start, power = which == number, max(low, faintest), 1.0 - slope
            if abs(power) < 1e-9:
                flux[own] = start * (high / start) ** share[own]
            else:
                end = 0.0 if np.isinf(high) else (high / start) ** power
                flux[own] = start * (1 + share[own] * (end - 1)) ** (1 / power)
        return flux

    def _pieces(self) -> list[tuple[float, float, float]]:
        """Return lower end, upper end and slope of each piece, the brightest first."""
        faintest, brightest = self.limits or (0.0, np.inf)
        return list(zip((*self.breaks, faintest), (brightest, *self.breaks), self.slopes, strict=True))

    def _moment(self, power: int, low: float, high: float) -> float:
        parts = [
            self._integrate(power, max(low, start), min(high, end), slope)
            for start, end, slope in self._pieces()
            if min(high, end) > max(low, start)
        ]
        return float(sum(parts))

    def _integrate(self, power: int, low: float, high: float, slope: float) -> float:
        """Return the integral of S^power dN/dS within one piece; one end may be zero or infinite, not both."""
        anchor = low if np.isinf(high) else high
        height = float(self.density(np.array([anchor]))[0]) * anchor ** (power + 1)
        exponent = power + 1 - slope
        if np.isinf(high):
            return height / -exponent
        if low == 0.0:
            return height / exponent
        length = np.log(high / low)
        product = exponent * length
        return float(height * length if abs(product) < 1e-12 else height * -np.expm1(-product) / exponent)
