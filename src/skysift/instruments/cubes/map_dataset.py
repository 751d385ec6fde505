"""Cubes with their response as Gammapy writes them: MapDataset and MapDatasetOnOff, one FITS file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.axes import EnergyAxis
from skysift.geometry.wcs import WcsGrid
from skysift.instruments.cubes.dataset import CubeDataset, Dispersion, RadialPsf
from skysift.storage.fits import Unit, card, find_unit, read_image_unit, read_table_unit, scan_units

if TYPE_CHECKING:
    from skysift.geometry.wcs import Frame
    from skysift.instruments.ctao.files import Finder

__all__ = ["read_datasets", "read_map_dataset"]

Array = NDArray[np.float64]

_FRAMES: dict[str, Frame] = {"GLON": "galactic", "RA--": "icrs"}
#: Units of FITS maps and tables in those of skysift.
_UNITS = {
    "cm2 s": 1.0, "m2 s": 1e4, "s m2": 1e4, "s cm2": 1.0, "sr-1": 1.0, "1 / sr": 1.0, "1/sr": 1.0,
    "deg-2": np.degrees(1.0) ** 2, "1 / deg2": np.degrees(1.0) ** 2, "TeV": 1.0, "GeV": 1e-3, "MeV": 1e-6, "keV": 1e-9,
    "deg": 1.0, "rad": np.degrees(1.0), "arcmin": 1 / 60, "": 1.0,
}  # fmt: skip
#: Shares of events below this are noise of the table.
_LEAST_SHARE = 1e-8
_MAPS = ("COUNTS", "BACKGROUND", "COUNTS_OFF", "ACCEPTANCE", "ACCEPTANCE_OFF", "MASK_SAFE", "MASK_FIT")
Axes = dict[str, Array]


class _File:
    """The maps of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units = scan_units(path, "cube")
        self.names = {unit.name for unit in self.units}

    def refuse(self, field: str, found: object, wanted: str, remedy: str = "write it with Gammapy again") -> InputError:
        return InputError(self.path, field, str(found), wanted, remedy)

    def map(self, name: str) -> tuple[WcsGrid, Axes, Array]:
        """Return pixels, edges of the axes by name (slowest last, as the file has them), and values."""
        unit = find_unit(self.units, name, self.path)
        if unit.is_table:
            raise self.refuse(name, "a table (HEALPix)", "an image", "cubes in HEALPix are not read")
        values = read_image_unit(self.path, unit)
        axes = self._axes(unit)
        shape = tuple(len(edges) - 1 for edges in reversed(axes.values()))
        if values.shape[:-2] != shape:
            raise self.refuse(f"{name}, axes", shape, f"those of the data, {values.shape[:-2]}")
        return self._grid(unit, values.shape[-2:]), axes, values * self._factor(unit)

    def _factor(self, unit: Unit) -> float:
        stated = str(card(unit.header, "BUNIT") or "").strip()
        if stated not in _UNITS:
            raise self.refuse(f"{unit.name}, BUNIT", stated, f"one of {', '.join(_UNITS)}")
        return float(_UNITS[stated])

    def _grid(self, unit: Unit, shape: tuple[int, ...]) -> WcsGrid:
        header, names = unit.header, [str(card(unit.header, f"CTYPE{k}") or "") for k in (1, 2)]
        frame, projection = _FRAMES.get(names[0][:4]), names[0][-3:]
        if frame is None or projection not in ("TAN", "CAR") or names[1][-3:] != projection:
            raise self.refuse(f"{unit.name}, CTYPE", names, "GLON/GLAT or RA/DEC in TAN or CAR", "reproject the cube")
        if any(name.startswith(("PC", "CD")) and name[:3] != "CDE" and _turns(name, header[name]) for name in header):
            raise self.refuse(f"{unit.name}, PC", "a rotated map", "a map that is not rotated", "reproject the cube")
        numbers = [[float(header[f"{name}{k}"]) for k in (1, 2)] for name in ("CRVAL", "CDELT", "CRPIX")]
        (lon, lat), step, place = numbers
        projected: Any = projection
        return WcsGrid(
            projected, frame, (lon, lat), (step[0], step[1]), (place[0] - 1, place[1] - 1), (shape[0], shape[1])
        )

    def _axes(self, unit: Unit) -> Axes:
        """Return the edges of the axes, TeV and deg, by the names energy, energy_true, rad and migra."""
        rows = read_table_unit(self.path, find_unit(self.units, f"{unit.name}_BANDS", self.path))
        found: Axes = {}
        for number in range(1, 5):
            stated = card(unit.header, f"AXCOLS{number}")
            if stated is None:
                break
            low, high = (name.strip() for name in str(stated).split(","))
            factor = _UNITS[str(rows.columns[low].unit or "").strip()]
            first, last = (np.unique(np.asarray(rows[name], dtype=np.float64)) * factor for name in (low, high))
            name = {"E_MIN": "energy", "ENERGY_MIN": "energy"}.get(low, low.removesuffix("_MIN").lower())
            if len(first) != len(last) or not np.allclose(first[1:], last[:-1], rtol=1e-6):
                raise self.refuse(f"{unit.name}, {low}", "bins with gaps", "bins without gaps")
            found[name] = np.append(first, last[-1])
        return found


def _turns(name: str, value: float) -> bool:
    """Tell whether an element of a matrix turns a map: it stands off the diagonal and is not zero."""
    ends = [part for part in name[2:].split("_") if part]
    return len(ends) == 2 and ends[0] != ends[1] and abs(float(value)) > 1e-12


def read_map_dataset(path: Path, name: str) -> tuple[CubeDataset, Array | None]:
    """Read a cube, and its counts where the file has them.

    Parameters
    ----------
    path : FITS, packed or not
    name : of the data set

    Raises
    ------
    InputError : no such file, no exposure, axes that differ, another projection or pixelisation
    """
    file = _File(path)
    if "EXPOSURE" not in file.names:
        raise file.refuse("EXPOSURE", "no such map", "a cube with its response", "write a MapDataset with exposure")
    first = next((part for part in ("COUNTS", "BACKGROUND", "MASK_SAFE") if part in file.names), None)
    if first is None:
        raise file.refuse("COUNTS", "no counts, background or mask", "a map with reconstructed energies")
    grid, axes, _ = file.map(first)
    _, true_axes, exposure = file.map("EXPOSURE")
    energy = EnergyAxis(axes["energy"])
    true = EnergyAxis(true_axes.get("energy_true", true_axes.get("energy")))  # type: ignore[arg-type]  # one of them
    maps: dict[str, Array] = {part: file.map(part)[2] for part in _MAPS if part in file.names}
    masks = [maps[part] > 0 for part in ("MASK_SAFE", "MASK_FIT") if part in maps]
    cube = CubeDataset(
        name,
        grid,
        energy,
        true,
        exposure,
        maps.get("BACKGROUND"),
        _read_psf(file, true),
        _read_dispersion(file, true, energy),
        np.logical_and.reduce(masks) if masks else None,
        maps.get("COUNTS_OFF"),
        _read_alpha(maps),
    )
    return cube, maps.get("COUNTS")


def read_datasets(names: Sequence[str], find: Finder) -> list[tuple[CubeDataset, Array | None]]:
    """Read cubes, named after their files, with their counts where they have any.

    Raises
    ------
    InputError : as `read_map_dataset`, and two files of one name
    """
    paths = [find(name, "cube") for name in names]
    found = [path.name.split(".")[0] for path in paths]
    for path, name in zip(paths, found, strict=True):
        if found.count(name) > 1:
            raise InputError(path, "name", name, "another name for each data set", "rename the file")
    return [read_map_dataset(path, name) for path, name in zip(paths, found, strict=True)]


def _read_alpha(maps: Mapping[str, Array]) -> Array | None:
    if "ACCEPTANCE" not in maps or "ACCEPTANCE_OFF" not in maps:
        return None
    on, off = maps["ACCEPTANCE"], maps["ACCEPTANCE_OFF"]
    return np.divide(on, off, out=np.zeros_like(on), where=off > 0)


def _valid(file: _File, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where a coarse map of the response has exposure."""
    if f"{name}_EXPOSURE" not in file.names:
        return np.ones(shape, dtype=bool)
    return np.asarray(file.map(f"{name}_EXPOSURE")[2].reshape(-1, *shape).sum(0) > 0)


def _read_psf(file: _File, true: EnergyAxis) -> RadialPsf | None:
    if "PSF" not in file.names:
        return None
    grid, axes, values = file.map("PSF")
    if set(axes) != {"rad", "energy_true"} or len(axes["energy_true"]) != true.size + 1:
        raise file.refuse("PSF, axes", ", ".join(axes), "rad and energy_true, as the exposure has it")
    radius = 0.5 * (axes["rad"][1:] + axes["rad"][:-1])
    if radius[0] > 0:  # on to the middle along the line of the first two nodes
        slope = (values[:, 1] - values[:, 0]) / (radius[1] - radius[0])
        radius = np.append(0.0, radius)
        values = np.concatenate(((values[:, 0] - slope * radius[1])[:, None], values), axis=1)
    return RadialPsf(grid, radius, np.maximum(values, 0.0), _valid(file, "PSF", grid.shape))


def _read_dispersion(file: _File, true: EnergyAxis, energy: EnergyAxis) -> Dispersion | None:
    if "EDISP" not in file.names:
        return None
    grid, axes, values = file.map("EDISP")
    if len(axes.get("energy_true", ())) != true.size + 1 or set(axes) - {"energy_true", "energy", "migra"}:
        raise file.refuse("EDISP, axes", ", ".join(axes), "energy_true, and energy or migra")
    if "migra" in axes:
        values = _integrate_migration(values, axes["migra"], true, energy)
    return Dispersion(grid, values, _valid(file, "EDISP", grid.shape))


def _integrate_migration(density: Array, migra: Array, true: EnergyAxis, energy: EnergyAxis) -> Array:
    """Return shares (true, energy, h, w) of densities (true, migra, h, w) in E' / E."""
    below = np.cumsum(density * np.diff(migra)[:, None, None], axis=1)
    below = np.concatenate((np.zeros_like(below[:, :1]), below), axis=1)
    shares = np.empty((true.size, energy.size, *density.shape[2:]))
    for number, centre in enumerate(true.centres_tev):
        at = np.clip(energy.edges_tev / centre, migra[0], migra[-1])
        place = np.clip(np.searchsorted(migra, at, side="right") - 1, 0, len(migra) - 2)
        part = ((at - migra[place]) / (migra[place + 1] - migra[place]))[:, None, None]
        running = below[number, place] * (1 - part) + below[number, place + 1] * part
        shares[number] = np.diff(running, axis=0)
    shares[shares < _LEAST_SHARE] = 0.0
    return shares
