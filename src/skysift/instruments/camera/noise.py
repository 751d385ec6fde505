"""Noise of pixels: a constant background with the light's own shot noise, a map of it, or counted photons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.likelihoods.gaussian import gaussian_information, gaussian_log_likelihood
from skysift.likelihoods.poisson import poisson_curvature, poisson_log_likelihood

__all__ = ["BackgroundNoise", "Noise", "NoiseMap", "PhotonNoise"]


class Noise(Protocol):
    """How pixel values scatter about the expected ones, (batch, data)."""

    def log_likelihood(self, data: Tensor, expected: Tensor) -> Tensor:
        """Return the log density of the data, (batch,)."""

    def information(self, expected: Tensor) -> Tensor:
        """Return Fisher weights, (batch, data)."""

    def variance(self, expected: Tensor) -> Tensor:
        """Return the variance, (data,) or (batch, data)."""

    def simulate(self, expected: Tensor, generator: torch.Generator) -> Tensor:
        """Draw data, (batch, data)."""


@dataclass(frozen=True)
class BackgroundNoise:
    r"""Gaussian noise of variance :math:`\sigma_b^2 + \max(\mu, 0) / t`.

    Parameters
    ----------
    background_rms : of a pixel without light, in the unit of the image
    exposure : t, such that the image times t is a number of photons; infinite for no shot noise

    Raises
    ------
    InputError : one of them is not positive
    """

    background_rms: float
    exposure: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (0.0 < self.background_rms < float("inf") and self.exposure > 0.0):
            found = f"background {self.background_rms}, exposure {self.exposure}"
            raise InputError("camera", "noise", found, "positive numbers", "give both in the units of the image")

    def variance(self, expected: Tensor) -> Tensor:
        """Return the variance, (batch, data)."""
        return self.background_rms**2 + expected.clamp_min(0.0) / self.exposure

    def log_likelihood(self, data: Tensor, expected: Tensor) -> Tensor:
        """Return the log density of the data, (batch,), with the logarithm of the variance in it."""
        return gaussian_log_likelihood(data, expected, self.variance(expected))

    def information(self, expected: Tensor) -> Tensor:
        """Return Fisher weights, (batch, data)."""
        slope = torch.where(expected > 0, 1.0 / self.exposure, 0.0)
        return gaussian_information(self.variance(expected), slope)

    def simulate(self, expected: Tensor, generator: torch.Generator) -> Tensor:
        """Draw data, (batch, data)."""
        return _scatter(expected, self.variance(expected), generator)


@dataclass(frozen=True, eq=False)
class NoiseMap:
    """Gaussian noise of known standard deviations, (data,).

    Raises
    ------
    InputError : one of them is not positive
    """

    sd: Tensor

    def __post_init__(self) -> None:
        """Check the numbers."""
        bad = int((~((self.sd > 0) & (self.sd < torch.inf))).sum())
        if bad:
            remedy = "mask pixels without a noise level"
            raise InputError("camera", "noise map", f"{bad} pixels without one", "positive numbers", remedy)

    def variance(self, expected: Tensor) -> Tensor:
        """Return the variance, (data,)."""
        return self.sd * self.sd

    def log_likelihood(self, data: Tensor, expected: Tensor) -> Tensor:
        """Return the log density of the data, (batch,)."""
        return gaussian_log_likelihood(data, expected, self.variance(expected))

    def information(self, expected: Tensor) -> Tensor:
        """Return Fisher weights, (batch, data)."""
        return (1.0 / self.variance(expected)).expand_as(expected)

    def simulate(self, expected: Tensor, generator: torch.Generator) -> Tensor:
        """Draw data, (batch, data)."""
        return _scatter(expected, self.variance(expected), generator)


@dataclass(frozen=True)
class PhotonNoise:
    r"""Counted photons, Poisson of mean :math:`t (\mu + b)`; data are the counts.

    Parameters
    ----------
    exposure : t, such that the image times t is a number of photons
    sky : b > 0, background in the unit of the image

    Raises
    ------
    InputError : one of them is not positive
    """

    exposure: float
    sky: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not min(self.exposure, self.sky) > 0.0:
            found = f"exposure {self.exposure}, sky {self.sky}"
            raise InputError("camera", "noise", found, "positive numbers", "counted images always have some sky")

    def counts(self, expected: Tensor) -> Tensor:
        """Return mean counts, (batch, data)."""
        return self.exposure * (expected + self.sky)

    def variance(self, expected: Tensor) -> Tensor:
        """Return the variance in the unit of the image, (batch, data)."""
        return (expected + self.sky) / self.exposure

    def log_likelihood(self, data: Tensor, expected: Tensor) -> Tensor:
        """Return the log probability of the counts, (batch,)."""
        return poisson_log_likelihood(data, self.counts(expected))

    def information(self, expected: Tensor) -> Tensor:
        """Return Fisher weights, (batch, data)."""
        counts = self.counts(expected)
        return self.exposure**2 * poisson_curvature(counts, counts, observed=False)

    def simulate(self, expected: Tensor, generator: torch.Generator) -> Tensor:
        """Draw counts, (batch, data)."""
        return torch.poisson(self.counts(expected), generator=generator)


def _scatter(expected: Tensor, variance: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(expected.shape, generator=generator, dtype=expected.dtype, device=expected.device)
    return expected + noise * variance.sqrt()
