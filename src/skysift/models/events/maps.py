"""Catalogues and maps from files, as lights need them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.sky.diffuse import fermi_shape, mean_one
from skysift.sky.hgps import COMPONENT_COLUMNS, COMPONENT_TABLE, SOURCE_COLUMNS, SOURCE_TABLE, interpret_hgps
from skysift.sky.template_maps import interpret_image, share_of_map
from skysift.storage.sky_files import read_fits_columns, read_fits_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.geometry import LonLatGrid
    from skysift.sky.catalogue import CatalogueSource

__all__ = ["read_catalogue", "read_diffuse", "read_template"]

#: How far a diffuse map may be continued with its border values: true pixels beyond the field shine into it.
EXTEND_DEG = 1.5


@cache
def read_catalogue(path: Path) -> list[CatalogueSource]:
    """Return the sources of the H.E.S.S. Galactic plane survey."""
    sources = read_fits_columns(path, SOURCE_TABLE, SOURCE_COLUMNS)
    return interpret_hgps(sources, read_fits_columns(path, COMPONENT_TABLE, COMPONENT_COLUMNS))


def read_diffuse(path: Path, grid: LonLatGrid, window: LonLatGrid) -> NDArray[np.float64]:
    """Return the shape of the Fermi-LAT diffuse model in each pixel (J,), relative to its mean over the window.

    Raises
    ------
    InputError : the window is not covered by the map
    """
    image = read_fits_image(path)
    bare = fermi_shape(image, image.energies, image.energy_unit)
    bare.integrate(window)  # the field itself must lie on the map
    return mean_one(fermi_shape(image, image.energies, image.energy_unit, extend_deg=EXTEND_DEG), grid, window)


def read_template(path: Path, grid: LonLatGrid) -> NDArray[np.float64]:
    """Return the share of a template's flux in each pixel (J,).

    Raises
    ------
    InputError : the map does not cover the grid, or is no map
    """
    return np.asarray(share_of_map(interpret_image(read_fits_image(path)), grid))
