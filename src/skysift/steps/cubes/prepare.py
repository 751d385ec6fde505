"""``skysift prepare``, counts cubes: read or make the cubes and their response."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.config import load_slice
from skysift.geometry import EnergyAxis
from skysift.geometry.wcs import WcsGrid
from skysift.instruments.ctao.files import Finder
from skysift.instruments.ctao.pointing import Pointing
from skysift.instruments.cubes.files import CubeObservation, write_cubes
from skysift.instruments.cubes.making import make_dataset
from skysift.instruments.cubes.map_dataset import read_datasets
from skysift.storage.hdf5 import check_writable, collect

if TYPE_CHECKING:
    from skysift.config.cubes.observation import CubeObservation as Settings
    from skysift.config.cubes.observation import EnergyBins
    from skysift.instruments.ctao.irf import Irf

__all__ = ["run"]

#: True energies go on beyond reconstructed ones by at least this factor.
_BEYOND = 2.0


def run(config: Path, out: Path) -> None:
    """Write the cubes of the observation.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    out : file of format ``cubes``

    Raises
    ------
    InputError : a file that is absent, damaged or unfit for use
    """
    check_writable(out)
    settings, find = load_slice(config, "cubes/observation"), Finder(config)
    observation = _make(settings.observation, find)
    write_cubes(out, observation, collect(settings.run, settings.seed, config.read_bytes(), find.used))
    for warning in observation.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _make(settings: Settings, find: Finder) -> CubeObservation:
    if settings.datasets:
        return CubeObservation(tuple(cube for cube, _ in read_datasets(settings.datasets, find)))
    pixels, energy = settings.pixels, settings.energy
    assert pixels is not None  # noqa: S101 - the configuration has either files or axes
    assert energy is not None  # noqa: S101 - the same
    pointings = [Pointing(at.lon_deg, at.lat_deg, at.time_s) for at in settings.pointings]
    irfs = [_open(at.irf or str(settings.irf), find) for at in settings.pointings]
    grid = WcsGrid.around(pixels.center_deg, pixels.shape, pixels.step_deg, pixels.frame, pixels.projection)
    true = _make_true(energy) if settings.true_energy is None else _make_axis(settings.true_energy)
    return CubeObservation((make_dataset("cube", irfs, pointings, grid, _make_axis(energy), true),))


def _open(name: str, find: Finder) -> Irf:
    from skysift.instruments.ctao.analytic import analytic_irf
    from skysift.instruments.ctao.irf import read_irf

    return analytic_irf() if name == "analytic" else read_irf(find(name, "irf"))


def _make_axis(bins: EnergyBins) -> EnergyAxis:
    return EnergyAxis.from_bins(*bins.range_tev, bins.bins)


def _make_true(bins: EnergyBins) -> EnergyAxis:
    low, high = bins.range_tev
    ratio = (high / low) ** (1 / bins.bins)
    extra = 1
    while ratio**extra < _BEYOND:
        extra += 1
    return EnergyAxis.from_bins(low / ratio**extra, high * ratio**extra, bins.bins + 2 * extra)
