"""Which point-spread function: a name, a Gaussian, or a table of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.instruments.fermi.photon_shares import PhotonShares, gaussian_containment, share_photons
from skysift.instruments.fermi.psf import king_containment
from skysift.storage.guard import check_file

__all__ = ["Containment", "choose_containment", "find_radius", "read_containment", "share_source"]

Containment = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def choose_containment(
    name: str | None = None, gaussian_deg: float | None = None, file: str | None = None
) -> Containment | None:
    """Return the share of photons within radii (n,), rad; None for no spread. ``king`` where nothing is said.

    Raises
    ------
    InputError : a file that is no table of radii and shares
    """
    if gaussian_deg is not None:
        return gaussian_containment(float(np.radians(gaussian_deg)))
    if file is not None:
        return read_containment(Path(file))
    return None if name == "none" else king_containment


def read_containment(path: Path) -> Containment:
    """Read a text file of two columns: radius in deg, rising from 0, and the share of photons within it, from 0 to 1.

    Raises
    ------
    InputError : anything else
    """
    check_file(path, "psf")
    wanted = "two columns: radius in deg and the share of photons within it, both rising from 0, the share up to 1"
    try:
        columns = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise InputError(
            path, "psf", str(error).splitlines()[0], wanted, "write numbers only, # before comments"
        ) from None
    if columns.shape[1] != 2 or len(columns) < 2:
        raise InputError(path, "psf", f"shape {columns.shape}", wanted, "write one line per radius")
    radius_deg, share = columns.T
    rises = (
        radius_deg[0] == 0 and share[0] == 0 and bool((np.diff(radius_deg) > 0).all() and (np.diff(share) >= 0).all())
    )
    if not (rises and abs(share[-1] - 1) < 1e-6 and radius_deg[-1] <= 180):
        found = f"radii {radius_deg[0]:g} to {radius_deg[-1]:g} deg, shares {share[0]:g} to {share[-1]:g}"
        raise InputError(path, "psf", found, wanted, "sort the rows, and let the last share be 1")
    radius_rad = np.radians(radius_deg)
    return lambda at_rad: np.interp(at_rad, radius_rad, share)


def share_source(containment: Containment | None, nside: int, pixels: NDArray[np.int64]) -> PhotonShares:
    """Return how photons of a source are shared among pixels; without a spread one pixel gets all."""
    if containment is None:
        return PhotonShares(np.ones(1), np.ones(1))
    return share_photons(containment, nside, pixels)


def find_radius(containment: Containment | None, share: float) -> float:
    """Return the radius, rad, within which a share of the photons lies; zero without a spread."""
    if containment is None:
        return 0.0
    grid = np.geomspace(1e-6, np.pi, 20_000)
    return float(np.interp(share, containment(grid), grid))
