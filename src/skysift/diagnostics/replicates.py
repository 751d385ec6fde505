"""One quantity over many simulated data sets of one truth: bias, scatter, coverage, and what the data added."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Replicates", "measure_contraction", "peak_without_prior", "summarise_replicates"]


@dataclass(frozen=True)
class Replicates:
    """Summary over replicates; biases and spreads in the quantity's own unit."""

    n: int
    truth: float
    mean: float
    scatter: float
    mean_sd: float
    bias: float
    bias_error: float
    coverage_68: float
    coverage_95: float
    peak: float
    sd_over_prior_sd: float

    def row(self) -> dict[str, float]:
        """Return the numbers under their column names."""
        return asdict(self)


def measure_contraction(posterior_sd: float, prior_sd: float) -> float:
    """Return posterior sd over prior sd: near 1 the data said nothing; nan without a proper prior."""
    return posterior_sd / prior_sd if np.isfinite(prior_sd) and prior_sd > 0 else float("nan")


def peak_without_prior(
    draws: NDArray[np.float64], log_prior_at: NDArray[np.float64], grid: NDArray[np.float64]
) -> float:
    """Return where the marginal likelihood peaks: the posterior density divided by the prior density.

    The posterior density is a Gaussian kernel estimate, reflected at the ends of the draws' support so that
    density does not leak across a bound.

    Parameters
    ----------
    draws : (draw,), posterior
    log_prior_at : (grid,), log prior density at ``grid``; -inf outside the support
    grid : (grid,), increasing, same unit as the draws

    Returns
    -------
    one of ``grid``; nan when the posterior has no width
    """
    spread = float(draws.std())
    if not spread > 0:
        return float("nan")
    width = 1.06 * spread * draws.size ** (-0.2)
    allowed = np.isfinite(log_prior_at)
    low, high = grid[allowed][0], grid[allowed][-1]
    edges = np.linspace(low, high, 2049)
    counts, _ = np.histogram(draws, bins=edges)
    held = counts > 0
    centres = (0.5 * (edges[1:] + edges[:-1]))[held]
    kernel = sum(
        np.exp(-0.5 * ((grid[allowed][:, None] - place[None]) / width) ** 2)
        for place in (centres, 2 * low - centres, 2 * high - centres)
    )
    density = np.asarray(kernel) @ counts[held]
    with np.errstate(divide="ignore"):
        score = np.log(density) - log_prior_at[allowed]
    # Far from the draws the estimate is all tail and the ratio meaningless.
    score[density < 1e-3 * density.max()] = -np.inf
    return float(grid[allowed][int(np.argmax(score))])


def summarise_replicates(
    truth: float, draws: list[NDArray[np.float64]], peaks: NDArray[np.float64], prior_sd: float
) -> Replicates:
    """Summarise one quantity over replicates.

    Parameters
    ----------
    truth : the value that made every data set
    draws : one (draw,) array per replicate
    peaks : (replicate,), peak of the marginal likelihood without the prior
    prior_sd : of the quantity's prior; nan where there is none

    Returns
    -------
    Replicates; ``scatter`` is the sd of posterior means, ``bias_error`` that over sqrt(n)
    """
    means = np.array([d.mean() for d in draws])
    sds = np.array([d.std(ddof=1) if d.size > 1 else np.nan for d in draws])
    edges = np.stack([np.quantile(d, [0.025, 0.16, 0.84, 0.975], method="weibull") for d in draws])
    count = len(draws)
    scatter = float(means.std(ddof=1)) if count > 1 else float("nan")
    finite = peaks[np.isfinite(peaks)]
    return Replicates(
        n=count,
        truth=truth,
        mean=float(means.mean()),
        scatter=scatter,
        mean_sd=float(sds.mean()),
        bias=float(means.mean() - truth),
        bias_error=scatter / np.sqrt(count),
        coverage_68=float(np.mean((truth >= edges[:, 1]) & (truth <= edges[:, 2]))),
        coverage_95=float(np.mean((truth >= edges[:, 0]) & (truth <= edges[:, 3]))),
        peak=float(finite.mean()) if finite.size else float("nan"),
        sd_over_prior_sd=measure_contraction(float(sds.mean()), prior_sd),
    )
