"""Likelihoods: how data are compared with what was expected."""

from skysift.likelihoods.poisson import poisson_log_likelihood, poisson_residual

__all__ = ["poisson_log_likelihood", "poisson_residual"]
