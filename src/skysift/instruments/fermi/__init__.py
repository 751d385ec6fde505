"""Fermi-LAT counts maps: observations, counts, checks and the point-spread function."""

from skysift.instruments.fermi.files import read_counts, read_observation, write_counts, write_observation
from skysift.instruments.fermi.observation import Counts, Observation, Sideband, TrueSources

__all__ = [
    "Counts",
    "Observation",
    "Sideband",
    "TrueSources",
    "read_counts",
    "read_observation",
    "write_counts",
    "write_observation",
]
