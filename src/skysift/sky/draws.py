"""Draws of Gaussian-process fields with known hyper-parameters, for simulated skies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.geometry.sphere import Vectors
from skysift.sky.gaussian_process import DEFAULT_SPACING, JITTER, Projection, inducing_points
from skysift.sky.kernels import correlate

__all__ = ["FieldLaw", "draw_field"]


@dataclass(frozen=True)
class FieldLaw:
    """One Gaussian process of zero mean.

    Parameters
    ----------
    lengthscale_rad : correlation length, rad
    variance : of the field
    kernel, distance : see `skysift.sky.kernels`
    spacing, nside : of the inducing points, see `skysift.sky.gaussian_process.inducing_points`
    energies : one field for all bins, one for each, or correlated in ln E
    energy_lengthscale : correlation length in ln E
    """

    lengthscale_rad: float
    variance: float
    kernel: str = "matern52"
    distance: str = "chord"
    spacing: float = DEFAULT_SPACING
    nside: int | None = None
    energies: Literal["shared", "independent", "separable"] = "shared"
    energy_lengthscale: float = 1.0


def draw_field(
    laws: Sequence[FieldLaw], vectors: Vectors, energy_edges_gev: NDArray[np.float64], stream: np.random.Generator
) -> NDArray[np.float64]:
    r"""Draw a sum of independent fields :math:`f = \sum_k \sigma_k C_k \Phi_k v_k`, v ~ N(0, I).

    Parameters
    ----------
    laws : the processes that are added
    vectors : (P, 3) pixel centres
    energy_edges_gev : (E + 1,) GeV
    stream : random numbers

    Returns
    -------
    (E, P)
    """
    energies = len(energy_edges_gev) - 1
    total = np.zeros((energies, len(vectors)))
    pixels = torch.as_tensor(vectors, dtype=torch.float64)
    for law in laws:
        points = torch.as_tensor(inducing_points(vectors, law.lengthscale_rad, law.spacing, law.nside))
        projection = Projection(pixels, points, law.kernel, law.lengthscale_rad, law.distance)
        rows = 1 if law.energies == "shared" else energies
        whitened = torch.as_tensor(stream.standard_normal((rows, len(points))))
        if law.energies == "separable":
            whitened = _energy_factor(law, energy_edges_gev) @ whitened
        parts = [whitened @ block.T for _, _, block in projection.blocks(65536)]
        total += law.variance**0.5 * torch.cat(parts, dim=1).numpy()
    return total


def _energy_factor(law: FieldLaw, energy_edges_gev: NDArray[np.float64]) -> torch.Tensor:
    """Return the Cholesky factor of the correlation between bins in ln E, (E, E)."""
    centers = torch.as_tensor(0.5 * np.log(energy_edges_gev[:-1] * energy_edges_gev[1:]))
    apart = (centers[:, None] - centers[None, :]).abs()
    gram = correlate(law.kernel, apart, law.energy_lengthscale)
    gram.diagonal().add_(JITTER)
    factor: torch.Tensor = torch.linalg.cholesky(gram)
    return factor
