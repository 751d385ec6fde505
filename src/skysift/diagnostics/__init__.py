"""Is the answer right? Calibration over simulations, predictive checks, residual structure."""

from skysift.diagnostics.bands import EcdfBand, make_ecdf_band
from skysift.diagnostics.calibration import Calibration, check_calibration
from skysift.diagnostics.coverage import binomial_interval, measure_coverage, measure_pulls
from skysift.diagnostics.predictive import predictive_p_value, randomise_pit
from skysift.diagnostics.replicates import Replicates, peak_without_prior, summarise_replicates
from skysift.diagnostics.tarp import JointCoverage, measure_joint_coverage

__all__ = [
    "Calibration",
    "EcdfBand",
    "JointCoverage",
    "Replicates",
    "binomial_interval",
    "check_calibration",
    "make_ecdf_band",
    "measure_coverage",
    "measure_joint_coverage",
    "measure_pulls",
    "peak_without_prior",
    "predictive_p_value",
    "randomise_pit",
    "summarise_replicates",
]
