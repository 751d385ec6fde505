"""Is a posterior calibrated? One verdict from ranks, coverage and pulls over many simulated truths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skysift.diagnostics.bands import make_ecdf_band
from skysift.diagnostics.coverage import LEVELS, binomial_tolerance, measure_coverage, measure_pulls
from skysift.diagnostics.ranks import adjust_holm, measure_uniformity, rank_truths, uniforms_from_ranks
from skysift.diagnostics.tarp import JointCoverage, measure_joint_coverage

__all__ = ["Calibration", "check_calibration"]

SMALLEST_P_VALUE = 0.01
# 3.13 sigma: the +-0.1 on the mean and 0.93-1.07 on the sd that are asked of 1000 simulations.
PULL_SIGMAS = 3.13


@dataclass(frozen=True)
class Calibration:
    """Calibration of some quantities over ``count`` simulations; arrays are (quantity,) or (level, quantity).

    ``joint``: coverage of the regions of all coordinates together.
    """

    names: tuple[str, ...]
    count: int
    uniforms: NDArray[np.float64]
    is_inside_band: NDArray[np.bool_]
    p_values: NDArray[np.float64]
    coverage: NDArray[np.float64]
    pull_mean: NDArray[np.float64]
    pull_sd: NDArray[np.float64]
    joint: JointCoverage
    failures: tuple[str, ...]

    @property
    def is_calibrated(self) -> bool:
        """Whether every test passed for every quantity."""
        return not self.failures

    def rows(self) -> list[dict[str, Any]]:
        """Return one row of numbers per quantity, for a table, and one for all of them together."""
        rows = [
            {
                "quantity": name,
                "n": self.count,
                "inside_band": bool(self.is_inside_band[k]),
                "p_holm": float(self.p_values[k]),
                **{f"coverage_{100 * level:.0f}": float(self.coverage[i, k]) for i, level in enumerate(LEVELS)},
                "pull_mean": float(self.pull_mean[k]),
                "pull_sd": float(self.pull_sd[k]),
            }
            for k, name in enumerate(self.names)
        ]
        return [*rows, self.joint.row()]


def check_calibration(
    names: tuple[str, ...],
    truths: NDArray[np.float64],
    draws: NDArray[np.float64],
    random: np.random.Generator,
    apart: tuple[str, ...] = ("log_density",),
) -> Calibration:
    """Check that truths look like draws of their own posteriors.

    Parameters
    ----------
    names : (quantity,)
    truths : (simulation, quantity), each drawn from the prior that the fits use
    draws : (simulation, draw, quantity), thinned
    random : breaks ties of ranks, and chooses the points of joint coverage
    apart : quantities that are ranked like others and are no coordinates of the joint posterior

    Returns
    -------
    Calibration; ``failures`` names each quantity and test that failed

    References
    ----------
    Talts et al. (2018), arXiv 1804.06788; Säilynoja, Bürkner and Vehtari (2022), Statistics and Computing 32, 32;
    Lemos et al. (2023), arXiv 2302.03026
    """
    count, size = truths.shape[0], draws.shape[1]
    uniforms = uniforms_from_ranks(rank_truths(truths, draws, random), size, random)
    band = make_ecdf_band(count, 0.99)
    inside = np.array([band.contains(column) for column in uniforms.T])
    p_values = adjust_holm(measure_uniformity(uniforms))
    coverage, pulls = measure_coverage(truths, draws), measure_pulls(truths, draws)
    together = [k for k, name in enumerate(names) if name not in apart]
    joint = measure_joint_coverage(truths[:, together], draws[:, :, together], random)
    failures: list[str] = []
    for k, name in enumerate(names):
        if not inside[k]:
            failures.append(f"{name}: ranks leave the 99 % band")
        if p_values[k] <= SMALLEST_P_VALUE:
            failures.append(f"{name}: Kolmogorov-Smirnov p = {p_values[k]:.2g} after Holm")
        failures += [
            f"{name}: {100 * level:.0f} % intervals hold the truth in {100 * coverage[i, k]:.1f} %"
            for i, level in enumerate(LEVELS)
            if abs(coverage[i, k] - level) > binomial_tolerance(level, count)
        ]
        if abs(pulls.mean[k]) > PULL_SIGMAS * pulls.mean_error:
            failures.append(f"{name}: mean pull {pulls.mean[k]:+.2f}")
        if abs(pulls.sd[k] - 1) > PULL_SIGMAS * pulls.sd_error[k]:
            failures.append(f"{name}: sd of pulls {pulls.sd[k]:.2f}")
    if not joint.is_inside:
        level, share = joint.worst
        failures.append(f"joint: {100 * level:.0f} % regions hold the truth in {100 * share:.1f} %")
    return Calibration(names, count, uniforms, inside, p_values, coverage, pulls.mean, pulls.sd, joint, tuple(failures))
