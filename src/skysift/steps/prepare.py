"""``skysift prepare``: read the maps, cut the regions, move the signal to the sidebands, share photons by the PSF."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from skysift.config import load_slice
from skysift.instruments.fermi import write_observation
from skysift.instruments.fermi.assembly import assemble
from skysift.instruments.fermi.psf_choice import find_radius, share_source
from skysift.steps.observations import containment_of, layout_of, source_of
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]

#: Sources further from a region than this share of their photons goes are not drawn.
MARGIN = 0.99


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
    containment = containment_of(settings.observation.psf) if settings.shares or settings.margin else None
    layout = layout_of(settings, config)
    if settings.margin:
        layout = replace(layout, margin_deg=float(np.degrees(find_radius(containment, MARGIN))))
    observation = assemble(source, layout, settings.templates, settings.observation.nside)
    if settings.shares:
        shares = share_source(containment, observation.nside, observation.pixels[observation.region])
        observation = replace(observation, shares=shares)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), source.paths_read())
    write_observation(out, observation, provenance)
    for warning in observation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
