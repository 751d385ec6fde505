"""Sources of a catalogue, and a synthetic catalogue that needs no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skysift.sky.shapes import Gaussian, Point, Shape, Shell
from skysift.sky.spectra import ExponentialCutoff, PowerLaw, Spectrum

__all__ = ["CatalogueSource", "synthetic_catalogue"]


@dataclass(frozen=True, eq=False)
class CatalogueSource:
    """One source: a spectrum, and where its flux comes from.

    Parameters
    ----------
    name : as in the catalogue
    kind : class of object ("PWN", "SNR", "Unid", ...)
    spectrum : of the whole source
    components : (weight, shape); weights sum to one, up to the rounding of the catalogue
    """

    name: str
    kind: str
    spectrum: Spectrum
    components: tuple[tuple[float, Shape], ...]


#: Longitude and latitude (deg), flux above 1 TeV (1e-12 cm-2 s-1), index, cutoff (TeV, 0 for none), size (deg).
_ROWS = (
    ("SYN J0001", "PWN", 0.87, 0.08, 0.85, 2.40, 0.0, 0.0),
    ("SYN J0002", "Unid", 359.95, -0.05, 2.10, 2.14, 11.0, 0.0),
    ("SYN J0003", "Unid", 358.70, -0.65, 1.90, 2.57, 0.0, 0.18),
    ("SYN J0004", "SNR", 353.55, -0.68, 2.60, 2.32, 0.0, 0.27),
    ("SYN J0005", "Unid", 1.90, 0.40, 0.60, 2.80, 0.0, 0.16),
    ("SYN J0006", "PWN", 3.10, -1.20, 1.20, 2.20, 25.0, 0.35),
    ("SYN J0007", "Binary", 356.60, 1.10, 0.30, 2.45, 0.0, 0.0),
    ("SYN J0008", "PWN", 17.80, -0.70, 15.0, 2.15, 13.0, 0.46),
    ("SYN J0009", "Unid", 8.40, -0.10, 5.30, 2.66, 0.0, 0.24),
    ("SYN J0010", "SNR", 347.34, -0.47, 17.0, 2.06, 12.9, 0.50),
    ("SYN J0011", "Unid", 25.20, -0.10, 10.0, 2.54, 0.0, 0.38),
    ("SYN J0012", "Unid", 331.50, -0.20, 6.00, 2.20, 0.0, 0.42),
)


def synthetic_catalogue(shell_inner: float = 0.95) -> list[CatalogueSource]:
    """Return made-up sources with the variety of a Galactic plane survey: points, Gaussians, sums of them, shells.

    Parameters
    ----------
    shell_inner : inner over outer radius of shells

    Examples
    --------
    >>> len(synthetic_catalogue())
    12
    """
    sources = []
    for name, kind, lon, lat, flux, index, cutoff, size in _ROWS:
        # A power law has (index - 1) times its integral above 1 TeV there; a cutoff takes a little of that.
        norm = 1e-12 * flux * (index - 1)
        spectrum = ExponentialCutoff(norm, index, 1.0, 1 / cutoff) if cutoff else PowerLaw(norm, index, 1.0)
        sources.append(CatalogueSource(name, kind, spectrum, _components(kind, lon, lat, size, shell_inner)))
    return sources


def _components(
    kind: str, lon_deg: float, lat_deg: float, size_deg: float, shell_inner: float
) -> tuple[tuple[float, Shape], ...]:
    """Return points, shells for remnants, two or three Gaussians for large nebulae, one Gaussian otherwise."""
    if size_deg == 0:
        return ((1.0, Point(lon_deg, lat_deg)),)
    if kind == "SNR":
        return ((1.0, Shell(lon_deg, lat_deg, shell_inner * size_deg, size_deg)),)
    if kind != "PWN":
        return ((1.0, Gaussian(lon_deg, lat_deg, size_deg)),)
    weights = (0.3, 0.6, 0.1) if size_deg > 0.4 else (0.3, 0.7)
    turns = 2 * np.pi * np.arange(len(weights)) / len(weights)
    return tuple(
        (
            weight,
            Gaussian(
                lon_deg + 0.3 * size_deg * float(np.cos(turn)), lat_deg + 0.3 * size_deg * float(np.sin(turn)),
                size_deg * (0.4 + weight),
            ),
        )
        for weight, turn in zip(weights, turns, strict=True)
    )  # fmt: skip
