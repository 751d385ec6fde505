"""Counts cubes: what is counted in pixels and energies, and the response that belongs to them."""

from skysift.instruments.cubes.dataset import CubeDataset, Dispersion, RadialPsf
from skysift.instruments.cubes.files import CubeObservation, read_cubes, write_cubes
from skysift.instruments.cubes.response import LocalResponse, respond_at

__all__ = [
    "CubeDataset", "CubeObservation", "Dispersion", "LocalResponse", "RadialPsf", "read_cubes", "respond_at",
    "write_cubes",
]  # fmt: skip
