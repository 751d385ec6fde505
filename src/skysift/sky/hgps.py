"""The H.E.S.S. Galactic plane survey: what the columns of its catalogue mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError, nearest
from skysift.sky.catalogue import CatalogueSource
from skysift.sky.shapes import Gaussian, Point, Shape, Shell
from skysift.sky.spectra import ExponentialCutoff, PowerLaw, Spectrum

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = [
    "COMPONENT_COLUMNS", "COMPONENT_TABLE", "LARGE_SCALE_COLUMNS", "LARGE_SCALE_TABLE", "SOURCE_COLUMNS",
    "SOURCE_TABLE", "SURVEY_INDEX", "LargeScale", "interpret_hgps", "interpret_large_scale",
]  # fmt: skip

SOURCE_TABLE, COMPONENT_TABLE = "HGPS_SOURCES", "HGPS_GAUSS_COMPONENTS"
LARGE_SCALE_TABLE = "HGPS_LARGE_SCALE_COMPONENT"
_PL = ("Flux_Spec_PL_Diff_Pivot", "Index_Spec_PL", "Energy_Spec_PL_Pivot")
_ECPL = ("Flux_Spec_ECPL_Diff_Pivot", "Index_Spec_ECPL", "Energy_Spec_ECPL_Pivot", "Lambda_Spec_ECPL")
SOURCE_COLUMNS = (
    "Source_Name", "Source_Class", "Spatial_Model", "Components", "GLON", "GLAT", "Size", "Flux_Map", "Spectral_Model",
    *_PL, *_ECPL,
)  # fmt: skip
COMPONENT_COLUMNS = ("Component_ID", "Source_Name", "Component_Class", "GLON", "GLAT", "Size", "Flux_Map")
LARGE_SCALE_COLUMNS = ("GLON", "GLAT", "Surface_Brightness", "Width")
_SPATIAL = ("Gaussian", "2-Gaussian", "3-Gaussian", "Shell", "Point-Like")
_SPECTRAL = ("PL", "ECPL")
_UNITS = {
    "GLON": "deg", "GLAT": "deg", "Size": "deg", "Width": "deg", "Energy_Spec_PL_Pivot": "TeV",
    "Energy_Spec_ECPL_Pivot": "TeV", "Lambda_Spec_ECPL": "TeV-1", "Flux_Map": "cm-2 s-1",
    "Flux_Spec_PL_Diff_Pivot": "cm-2 s-1 TeV-1", "Flux_Spec_ECPL_Diff_Pivot": "cm-2 s-1 TeV-1",
    "Surface_Brightness": "cm-2 s-1 sr-1",
}  # fmt: skip
_POINT_DEG = 1e-3
#: Index of the spectrum with which the survey's maps of flux above 1 TeV were made.
SURVEY_INDEX = 2.3
_REMEDY = "fetch the catalogue again"


class Columns(Protocol):
    """A table as it was read: where from, columns and their units."""

    @property
    def place(self) -> str:
        """File and table."""

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Name to array; missing numbers are NaN, missing text is ""."""

    @property
    def units(self) -> Mapping[str, str]:
        """Name to unit."""


def interpret_hgps(sources: Columns, components: Columns, shell_inner: float = 0.95) -> list[CatalogueSource]:
    """Return all sources of the catalogue.

    Sums of Gaussians take their parts from the table of components, weighted by ``Flux_Map``; components that the
    survey discarded are not used. A Gaussian that has only a limit on its size takes the fitted size of its component,
    and is a point below 0.001 deg. The size of a shell is its outer radius.

    Parameters
    ----------
    sources : columns `SOURCE_COLUMNS` of the table `SOURCE_TABLE`
    components : columns `COMPONENT_COLUMNS` of the table `COMPONENT_TABLE`
    shell_inner : inner over outer radius of shells

    Raises
    ------
    InputError : another unit, an unknown kind of shape or spectrum, a component that is absent, a missing number

    References
    ----------
    H.E.S.S. Collaboration (2018), A&A 612, A1, sections 4.9 and 4.10, tables A.1 and A.3
    """
    for table in (sources, components):
        _check_units(table)
    parts: dict[str, list[dict[str, Any]]] = {}
    for part in _rows(components):
        if not part["Component_Class"].startswith("Discarded"):
            parts.setdefault(part["Source_Name"], []).append(part)
    return [
        CatalogueSource(
            row["Source_Name"], row["Source_Class"], _spectrum(row, sources.place),
            _components(row, parts.get(row["Source_Name"], []), sources.place, shell_inner),
        )
        for row in _rows(sources)
    ]  # fmt: skip


def _check_units(table: Columns) -> None:
    for name in table.columns:
        wanted, found = _UNITS.get(name), table.units.get(name, "")
        if wanted is not None and sorted(found.replace("*", " ").split()) != sorted(wanted.split()):
            raise InputError(table.place, f"unit of column {name}", repr(found), wanted, _REMEDY)


def _rows(table: Columns) -> list[dict[str, Any]]:
    lists = {name: column.tolist() for name, column in table.columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _numbers(row: Mapping[str, Any], names: tuple[str, ...], place: str) -> list[float]:
    """Return numbers of a row, refusing those that are missing."""
    for name in names:
        if not np.isfinite(row[name]):
            raise InputError(place, f"{row['Source_Name']}, column {name}", "no value", "a number", _REMEDY)
    return [float(row[name]) for name in names]


def _spectrum(row: Mapping[str, Any], place: str) -> Spectrum:
    kind = row["Spectral_Model"]
    if kind == "PL":
        return PowerLaw(*_numbers(row, _PL, place))
    if kind == "ECPL":
        return ExponentialCutoff(*_numbers(row, _ECPL, place))
    field = f"{row['Source_Name']}, column Spectral_Model"
    raise InputError(place, field, kind, f"one of {', '.join(_SPECTRAL)}", nearest(kind, _SPECTRAL))


def _components(
    row: Mapping[str, Any], parts: list[dict[str, Any]], place: str, shell_inner: float
) -> tuple[tuple[float, Shape], ...]:
    kind = row["Spatial_Model"]
    lon, lat = _numbers(row, ("GLON", "GLAT"), place)
    if kind == "Point-Like":
        return ((1.0, Point(lon, lat)),)
    if kind == "Shell":
        (size,) = _numbers(row, ("Size",), place)
        return ((1.0, Shell(lon, lat, shell_inner * size, size)),)
    if kind == "Gaussian":
        size = row["Size"] if np.isfinite(row["Size"]) or not parts else parts[0]["Size"]
        (size,) = _numbers({**row, "Size": size}, ("Size",), place)
        return ((1.0, _gaussian(lon, lat, size)),)
    if kind in _SPATIAL:
        return _sum_of_gaussians(row, parts, place)
    field = f"{row['Source_Name']}, column Spatial_Model"
    raise InputError(place, field, kind, f"one of {', '.join(_SPATIAL)}", nearest(kind, _SPATIAL))


def _sum_of_gaussians(
    row: Mapping[str, Any], parts: list[dict[str, Any]], place: str
) -> tuple[tuple[float, Shape], ...]:
    known = {part["Component_ID"]: part for part in parts}
    names = [name.strip() for name in row["Components"].split(",") if name.strip()]
    wanted = int(row["Spatial_Model"][0])
    missing = [name for name in names if name not in known]
    if missing or len(names) != wanted:
        field = f"{row['Source_Name']}, column Components"
        found = f"{missing[0]}, which {COMPONENT_TABLE} lacks" if missing else row["Components"]
        raise InputError(place, field, found, f"{wanted} components of {COMPONENT_TABLE}", _REMEDY)
    (total,) = _numbers(row, ("Flux_Map",), place)
    shapes = []
    for name in names:
        lon, lat, size, flux = _numbers(known[name], ("GLON", "GLAT", "Size", "Flux_Map"), place)
        shapes.append((flux / total, _gaussian(lon, lat, size)))
    return tuple(shapes)


def _gaussian(lon_deg: float, lat_deg: float, size_deg: float) -> Shape:
    return Gaussian(lon_deg, lat_deg, size_deg) if size_deg >= _POINT_DEG else Point(lon_deg, lat_deg)


@dataclass(frozen=True, eq=False)
class LargeScale:
    """Diffuse band along the Galactic plane: Gaussian in latitude, its parameters linear between nodes in longitude.

    Parameters
    ----------
    lon_deg : (N,) nodes, rising, deg
    lat_deg, width_deg : (N,) centre and sigma in latitude, deg
    brightness : (N,) flux above 1 TeV at the centre, cm-2 s-1 deg-2
    """

    lon_deg: NDArray[np.float64]
    lat_deg: NDArray[np.float64]
    width_deg: NDArray[np.float64]
    brightness: NDArray[np.float64]

    def density(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> NDArray[np.float64]:
        """Return the flux above 1 TeV at directions (...), cm-2 s-1 deg-2; 0 beyond the survey's longitudes."""
        middle = 0.5 * (self.lon_deg[0] + self.lon_deg[-1])
        lon = (np.asarray(lon_deg, dtype=np.float64) - middle + 180.0) % 360.0 - 180.0 + middle
        centre, width = np.interp(lon, self.lon_deg, self.lat_deg), np.interp(lon, self.lon_deg, self.width_deg)
        peak = np.interp(lon, self.lon_deg, self.brightness, left=0.0, right=0.0)
        density: NDArray[np.float64] = peak * np.exp(-0.5 * ((np.asarray(lat_deg) - centre) / width) ** 2)
        return density

    def integrate(self, grid: LonLatGrid, nodes: int = 12) -> NDArray[np.float64]:
        """Return the flux above 1 TeV in each pixel (J,), cm-2 s-1, by ``nodes`` Gauss-Legendre points a side."""
        points, parts = np.polynomial.legendre.leggauss(nodes)
        lon, lat = (
            edges[:-1, None] + 0.5 * np.diff(edges)[:, None] * (1 + points)
            for edges in (grid.lon_edges_deg, grid.lat_edges_deg)
        )
        shape = (*lat.shape, *lon.shape)
        values = self.density(np.broadcast_to(lon, shape), np.broadcast_to(lat[:, :, None, None], shape))
        across = np.cos(np.radians(lat)) * parts * 0.5 * np.diff(grid.lat_edges_deg)[:, None]
        along = parts * 0.5 * np.diff(grid.lon_edges_deg)[:, None]
        pixels: NDArray[np.float64] = np.einsum("inlm,in,lm->il", values, across, along).reshape(-1)
        return pixels

    @property
    def spectrum(self) -> PowerLaw:
        """Spectrum per flux above 1 TeV, TeV-1: the one that the survey assumed."""
        return PowerLaw(SURVEY_INDEX - 1.0, SURVEY_INDEX, 1.0)


def interpret_large_scale(table: Columns) -> LargeScale:
    """Return the diffuse band that the survey fitted below its sources.

    Raises
    ------
    InputError : another unit, a missing number

    References
    ----------
    H.E.S.S. Collaboration (2018), A&A 612, A1, section 4.6 and table A.7
    """
    _check_units(table)
    values = np.stack([table.columns[name] for name in LARGE_SCALE_COLUMNS])
    if not np.isfinite(values).all():
        raise InputError(table.place, ", ".join(LARGE_SCALE_COLUMNS), "no value", "numbers", _REMEDY)
    lon, lat, brightness, width = values
    lon = np.where(lon > 180.0, lon - 360.0, lon)
    order = np.argsort(lon)
    return LargeScale(lon[order], lat[order], width[order], brightness[order] * np.radians(1.0) ** 2)
