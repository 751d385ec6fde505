"""``skysift observe``, counts cubes: the counts that the files of the observation hold."""

from __future__ import annotations

from pathlib import Path

from skysift.config import OBSERVED, load_slice
from skysift.errors import InputError
from skysift.instruments.cubes.files import read_cubes
from skysift.storage.hdf5 import check_writable

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
    InputError : files without counts
    """
    check_writable(out)
    load_slice(config, "cubes/observation")
    read_cubes(observation)
    raise InputError(
        config, "observation.datasets", "none", "cubes with counts", f"add simulate: {OBSERVED} needs files"
    )
