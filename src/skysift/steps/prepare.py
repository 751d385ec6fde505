"""``skysift prepare``: read the maps, cut the regions, move the signal to the sidebands."""

from __future__ import annotations

import sys
from pathlib import Path

from skysift.config import load_slice
from skysift.instruments.fermi import write_observation
from skysift.instruments.fermi.assembly import assemble
from skysift.steps.observations import layout_of, source_of
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]


def run(config: Path, out: Path) -> None:
    """Write the observation.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    out : file of format ``observation``

    Raises
    ------
    InputError : a map that is absent, damaged or unfit for use
    """
    check_writable(out)
    settings = load_slice(config, "observation")
    source = source_of(settings.observation, config)
    observation = assemble(source, layout_of(settings, config), settings.templates, settings.observation.nside)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), source.paths_read())
    write_observation(out, observation, provenance)
    for warning in observation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
