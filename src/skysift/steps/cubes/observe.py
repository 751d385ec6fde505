"""``skysift observe``, counts cubes: the counts that the files of the observation hold."""

from __future__ import annotations

from pathlib import Path

from skysift.config import OBSERVED, load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.files import Finder
from skysift.instruments.cubes.files import CubeCounts, check_counts, read_cubes, write_cube_counts
from skysift.instruments.cubes.map_dataset import read_datasets
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]


def run(config: Path, observation: Path, out: Path) -> None:
    """Write the observed counts.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    observation : file of format ``cubes``
    out : file of format ``cube_counts``

    Raises
    ------
    InputError : files without counts, or with counts that are none
    """
    check_writable(out)
    settings, find = load_slice(config, "cubes/observation"), Finder(config)
    read_cubes(observation)
    counts = {}
    for (cube, seen), path in zip(read_datasets(settings.observation.datasets, find), find.used, strict=True):
        if seen is None:
            raise InputError(path, "COUNTS", "no such map", "a cube with counts", "add them, or simulate counts")
        check_counts(seen, str(path))
        counts[cube.name] = seen
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, *find.used])
    write_cube_counts(out, CubeCounts(OBSERVED, counts), provenance)
