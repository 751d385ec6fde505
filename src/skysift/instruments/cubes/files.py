"""Files of counts cubes: the observation with its response, and the counts of one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.axes import EnergyAxis
from skysift.geometry.wcs import WcsGrid
from skysift.instruments.cubes.dataset import CubeDataset, Dispersion, RadialPsf
from skysift.storage.hdf5 import Dataset, File, Provenance, read, write

__all__ = ["CubeCounts", "CubeObservation", "read_cube_counts", "read_cubes", "write_cube_counts", "write_cubes"]

Array = NDArray[np.float64]
Made = dict[str, Dataset]

#: Further arrays of a data set, with their units and what they are.
_OPTIONAL = {
    "background": ("", "background counts"),
    "mask": ("", "what is compared"),
    "counts_off": ("", "counts of the off region"),
    "alpha": ("", "exposure of on over off"),
}


@dataclass(frozen=True, eq=False)
class CubeObservation:
    """The cubes of an observation; names are unique."""

    datasets: tuple[CubeDataset, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CubeCounts:
    """Counts of one data set: cube to (energy, rows, columns); ``truth`` has true values by parameter."""

    name: str
    counts: Mapping[str, Array]
    truth: Mapping[str, float] = field(default_factory=dict)


def write_cubes(path: Path, observation: CubeObservation, provenance: Provenance) -> None:
    """Write an observation as a file of format ``cubes``."""
    datasets: Made = {}
    grids: dict[str, Any] = {}
    for number, cube in enumerate(observation.datasets):
        head = f"cube-{number}"
        made, own = _describe(cube)
        datasets |= {f"{head}/{name}": part for name, part in made.items()}
        grids[head] = {"name": cube.name, **own}
    attributes = {"cubes": grids, "warnings": list(observation.warnings)}
    write(path, format="cubes", datasets=datasets, attributes=attributes, provenance=provenance)


def _describe(cube: CubeDataset) -> tuple[Made, dict[str, Any]]:
    axes = ("energy", "row", "column")
    made = {
        "energy_edges": Dataset(cube.energy.edges_tev, "TeV", "edges of reconstructed energy"),
        "true_edges": Dataset(cube.true.edges_tev, "TeV", "edges of true energy"),
        "exposure": Dataset(cube.exposure_cm2_s, "cm2 s", "effective area times live time", ("true", *axes[1:])),
    }
    for name, (unit, text) in _OPTIONAL.items():
        if (array := getattr(cube, name)) is not None:
            made[name] = Dataset(array, unit, text, axes)
    grids = {"grid": _plain(cube.grid)}
    if cube.psf is not None:
        made |= {
            "psf": Dataset(cube.psf.density, "sr-1", "density of the point-spread function"),
            "psf_radius": Dataset(cube.psf.radius_deg, "deg", "nodes of the point-spread function"),
            "psf_valid": Dataset(cube.psf.valid, "", "where it was seen"),
        }
        grids["psf"] = _plain(cube.psf.grid)
    if cube.dispersion is not None:
        made |= {
            "dispersion": Dataset(cube.dispersion.shares, "", "shares by true and reconstructed energy"),
            "dispersion_valid": Dataset(cube.dispersion.valid, "", "where it was seen"),
        }
        grids["dispersion"] = _plain(cube.dispersion.grid)
    return made, grids


def _plain(grid: WcsGrid) -> dict[str, Any]:
    return {name: getattr(grid, name) for name in WcsGrid.__dataclass_fields__}


def _grid(words: Mapping[str, Any]) -> WcsGrid:
    given: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in words.items()}
    return WcsGrid(**given)


def read_cubes(path: Path) -> CubeObservation:
    """Read a file of format ``cubes``.

    Raises
    ------
    InputError : not such a file, or damaged
    """
    file = read(path, format="cubes")
    return CubeObservation(
        tuple(_read_cube(file, head, words) for head, words in file.attributes["cubes"].items()),
        tuple(file.attributes["warnings"]),
    )


def _read_cube(file: File, head: str, words: Mapping[str, Any]) -> CubeDataset:
    arrays = file.group(head)
    psf = dispersion = None
    if "psf" in words:
        psf = RadialPsf(_grid(words["psf"]), arrays["psf_radius"], arrays["psf"], arrays["psf_valid"])
    if "dispersion" in words:
        dispersion = Dispersion(_grid(words["dispersion"]), arrays["dispersion"], arrays["dispersion_valid"])
    return CubeDataset(
        words["name"],
        _grid(words["grid"]),
        EnergyAxis(arrays["energy_edges"]),
        EnergyAxis(arrays["true_edges"]),
        arrays["exposure"],
        psf=psf,
        dispersion=dispersion,
        **{name: arrays.get(name) for name in _OPTIONAL},
    )


def write_cube_counts(path: Path, data: CubeCounts, provenance: Provenance) -> None:
    """Write counts as a file of format ``cube_counts``."""
    datasets = {
        f"counts/{number}": Dataset(counts, "", f"counts of {name}", ("energy", "row", "column"))
        for number, (name, counts) in enumerate(data.counts.items())
    }
    attributes = {"data": data.name, "cubes": list(data.counts), "truth": dict(data.truth)}
    write(path, format="cube_counts", datasets=datasets, attributes=attributes, provenance=provenance)


def read_cube_counts(path: Path, observation: CubeObservation) -> CubeCounts:
    """Read counts, and check that they are those of an observation's cubes.

    Raises
    ------
    InputError : not such a file, cubes of other names or shapes, counts that are negative or no whole numbers
    """
    file = read(path, format="cube_counts")
    counts = {name: file[f"counts/{number}"] for number, name in enumerate(file.attributes["cubes"])}
    wanted = {cube.name: cube.shape for cube in observation.datasets}
    found = {name: part.shape for name, part in counts.items()}
    if found != wanted:
        raise InputError(path, "cubes", str(found), str(wanted), "observe or simulate again for this observation")
    for name, part in counts.items():
        check_counts(part, f"{path}, {name}")
    return CubeCounts(str(file.attributes["data"]), counts, file.attributes["truth"])


def check_counts(counts: Array, place: str) -> None:
    """Refuse counts that are negative, not finite or no whole numbers.

    Raises
    ------
    InputError : with the number of such bins
    """
    bad = ~np.isfinite(counts) | (counts < 0) | (counts != np.round(counts))
    if bad.any():
        found = f"{int(bad.sum())} bins such as {counts[bad][0]:g}"
        raise InputError(place, "counts", found, "whole numbers >= 0", "count events, or set Asimov data apart")
