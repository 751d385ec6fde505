"""Catalogues and maps from files, as lights need them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skysift.errors import InputError
from skysift.geometry.healpix import rotate_to_galactic
from skysift.models.events.measure import measure_map
from skysift.sky.diffuse import SHAPE_BAND_TEV, fermi_shape
from skysift.sky.hgps import (
    COMPONENT_COLUMNS,
    COMPONENT_TABLE,
    LARGE_SCALE_COLUMNS,
    LARGE_SCALE_TABLE,
    SOURCE_COLUMNS,
    SOURCE_TABLE,
    LargeScale,
    interpret_hgps,
    interpret_large_scale,
)
from skysift.sky.map_cubes import energies_tev, integrate_cube
from skysift.sky.plate_maps import PlateMap
from skysift.sky.sky_maps import share_of_pixels
from skysift.sky.template_maps import interpret_healpix, interpret_image
from skysift.storage.fits import card, scan_units
from skysift.storage.guard import check_file
from skysift.storage.healpix import read_fits_map
from skysift.storage.sky_files import read_fits_columns, read_fits_image, read_hdf5_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config.events import EventComponent
    from skysift.geometry import LonLatGrid
    from skysift.instruments.ctao.pointing import Axes
    from skysift.sky.catalogue import CatalogueSource
    from skysift.sky.sky_maps import SkyMap
    from skysift.storage.sky_files import ArrayMap, FitsImage

    Array = NDArray[np.float64]

__all__ = ["measure_template_cube", "measure_template_map", "read_catalogue", "read_diffuse", "read_large_scale"]

#: How far a diffuse map may be continued with its border values: true pixels beyond the field shine into it.
EXTEND_DEG = 1.5
HDF5_MARK = b"\x89HDF\r\n\x1a\n"


@cache
def read_catalogue(path: Path, shell_inner: float) -> list[CatalogueSource]:
    """Return the sources of the H.E.S.S. Galactic plane survey, with inner over outer radius of its shells."""
    sources = read_fits_columns(path, SOURCE_TABLE, SOURCE_COLUMNS)
    return interpret_hgps(sources, read_fits_columns(path, COMPONENT_TABLE, COMPONENT_COLUMNS), shell_inner)


@cache
def read_large_scale(path: Path) -> LargeScale:
    """Return the diffuse band of the H.E.S.S. Galactic plane survey.

    Raises
    ------
    InputError : the catalogue has no such table
    """
    return interpret_large_scale(read_fits_columns(path, LARGE_SCALE_TABLE, LARGE_SCALE_COLUMNS))


def read_diffuse(path: Path, window: LonLatGrid, band_tev: tuple[float, float] = SHAPE_BAND_TEV) -> SkyMap:
    """Return the shape of the Fermi-LAT diffuse model as a map that goes on a little beyond its border.

    Parameters
    ----------
    path : of the model
    window : that must lie on the map
    band_tev : energies over which the model is integrated, TeV

    Raises
    ------
    InputError : the window is not covered by the map
    """
    image = read_fits_image(path)
    bare = fermi_shape(image, image.energies, image.energy_unit, band_tev)
    bare.integrate(window)  # the field itself must lie on the map
    return fermi_shape(image, image.energies, image.energy_unit, band_tev, EXTEND_DEG)


class _Template(NamedTuple):
    """A map, or one per energy (TeV), of values in a unit."""

    sky_map: SkyMap
    unit: str
    energies_tev: Array | None


def measure_template_map(path: Path, component: EventComponent, axes: Axes) -> Array:
    """Return the share of a template's flux in each pixel (J,); a spectrum multiplies it.

    Parameters
    ----------
    path : FITS image or HEALPix table, or HDF5 array
    component : settings of the template
    axes : of true coordinates

    Raises
    ------
    InputError : the map does not cover the grid, is no map, or has energies of its own
    """
    template = _read_template(path, component)
    if template.energies_tev is not None:
        found = f"{len(template.energies_tev)} energies, and a spectrum in the configuration"
        raise InputError(path, "energies", found, "a map without energies", "leave spectrum out, or give one plane")
    return share_of_pixels(measure_map(template.sky_map, axes), str(path))


def measure_template_cube(path: Path, component: EventComponent, axes: Axes) -> Array:
    """Return the flux of a cube of intensities in true bins, (E, J), cm-2 s-1; discrete bins keep its mean.

    Parameters
    ----------
    path : FITS cube or HEALPix table, or HDF5 array, with energies and a unit
    component : settings of the template
    axes : of true coordinates

    Raises
    ------
    InputError : energies that do not cover the axes, another kind of unit, pixels outside the map, values below zero
    """
    template = _read_template(path, component)
    if template.energies_tev is None:
        wanted = "a cube with energies, or spectrum in the configuration"
        raise InputError(path, "energies", "none: a map of one plane", wanted, "write for example spectrum: {index: 2}")
    edges = axes.energy.edges_tev
    flux = integrate_cube(template.sky_map, template.energies_tev, template.unit, edges, axes.grid, str(path))
    if flux.min() < 0:
        raise InputError(path, "values", f"lowest {flux.min():g}", "values >= 0", "mend the map")
    exact = np.outer(axes.energy.widths_tev, axes.grid.areas_deg2)
    measured: Array = flux * (axes.volumes_tev_deg2 / exact)
    return measured


def _read_template(path: Path, component: EventComponent) -> _Template:
    with check_file(path).open("rb") as file:
        is_hdf5 = file.read(len(HDF5_MARK)) == HDF5_MARK
    if is_hdf5:
        array = read_hdf5_map(path)
        sky_map = PlateMap(array.lon_deg, array.lat_deg, array.array, array.place)
        return _Template(sky_map, array.unit, _energies(array, is_cube=array.array.ndim == 3))
    cards = [
        (card(unit.header, "PIXTYPE"), card(unit.header, "ORDERING")) for unit in scan_units(path) if unit.is_table
    ]
    if any(pixels or ordering for pixels, ordering in cards):
        return _read_healpix(path, component)
    image = read_fits_image(path)
    return _Template(interpret_image(image), image.unit, _energies(image, is_cube=image.array.ndim == 3))


def _energies(image: ArrayMap | FitsImage, *, is_cube: bool) -> Array | None:
    return energies_tev(image.energies, image.energy_unit, image.place) if is_cube else None


def _read_healpix(path: Path, component: EventComponent) -> _Template:
    raw = read_fits_map(path)
    ordering = _agree(path, "ordering", raw.ordering, component.ordering, ("ring", "nested"))
    frame = _agree(path, "coordsys", raw.coordsys, component.coordsys, ("galactic", "equatorial"))
    values = np.asarray(raw.array, dtype=np.float64)
    if raw.pixels is not None:
        whole = np.full((*values.shape[:-1], 12 * int(raw.nside or 1) ** 2), np.nan)
        whole[..., raw.pixels] = values
        values = whole
    made = interpret_healpix(values, ordering, str(path))
    if frame == "equatorial":
        made = interpret_healpix(rotate_to_galactic(made.values, "mean"), "ring", str(path))
    if values.ndim == 1:
        return _Template(made, raw.unit, None)
    energies = raw.energies
    if raw.energy_edges is not None:
        energies = np.sqrt(raw.energy_edges[1:] * raw.energy_edges[:-1])
    return _Template(made, raw.unit, energies_tev(energies, raw.energy_unit, str(path)))


def _agree(path: Path, name: str, header: str | None, stated: str | None, known: tuple[str, ...]) -> str:
    """Return what header and configuration say together."""
    if header is not None and stated is not None and header != stated:
        wanted = f"{header}, as the header says"
        raise InputError(path, name, f"{stated} in the configuration", wanted, f"leave {name} out")
    found = header or stated
    if found not in known:
        raise InputError(path, name, found or "a silent header", f"one of {', '.join(known)}", f"state {name}")
    return found
