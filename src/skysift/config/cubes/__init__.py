"""Analyses of counts cubes: models of Gammapy, ctools and Fermi files, fitted to counts in pixels and energies."""

from skysift.config.cubes.analysis import CubeAnalysis

__all__ = ["CubeAnalysis"]
