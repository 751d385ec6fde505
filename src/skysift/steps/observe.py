"""``skysift observe``: cut the observed counts to the pixels of the observation."""

from __future__ import annotations

import sys
from pathlib import Path

from skysift.config import load_slice
from skysift.instruments.fermi import Counts, read_observation, write_counts
from skysift.instruments.fermi.assembly import cut_counts
from skysift.steps.observations import source_of
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]


def run(config: Path, observation: Path, out: Path) -> None:
    """Write the observed counts.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    observation : file of format ``observation``, made by `prepare`
    out : file of format ``counts``

    Raises
    ------
    InputError : values that are no counts, or photons where none can be
    """
    check_writable(out)
    settings = load_slice(config, "observation")
    looked_at = read_observation(observation)
    source = source_of(settings.observation, config)
    entry = source.read("counts", "counts")
    counts, warnings = cut_counts(
        entry,
        looked_at,
        nside=settings.observation.nside,
        allow_noninteger=settings.observation.allow_noninteger,
    )
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, *source.paths_read()])
    write_counts(out, Counts("observed", counts, warnings=warnings), looked_at, provenance)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
