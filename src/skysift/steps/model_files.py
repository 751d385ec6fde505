"""Models from any file: YAML, XML, a catalogue in FITS; and the maps that their templates name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skysift.config.models import ModelFile, PartDeclaration, interpret_models, read_models
from skysift.config.models.units import read_unit
from skysift.config.reader import Document
from skysift.errors import InputError
from skysift.sky.catalogues import (
    EXTENDED_COLUMNS,
    FERMI_CATALOGUES,
    GAMMACAT_COLUMNS,
    declare_fermi,
    declare_gammacat,
    declare_hgps,
)
from skysift.sky.components.maps import SkyMap, make_sky_map
from skysift.sky.hgps import COMPONENT_COLUMNS, COMPONENT_TABLE, SOURCE_COLUMNS, SOURCE_TABLE
from skysift.storage.fits import scan_units
from skysift.storage.sky_files import read_fits_columns, read_fits_image

__all__ = ["load_maps", "load_models"]

_POINTS, _EXTENDED = "LAT_Point_Source_Catalog", "ExtendedSources"


def load_models(path: Path, *, is_strict: bool = False) -> ModelFile:
    """Return the models of a file: Gammapy YAML, ctools or Fermi XML, HGPS, gamma-cat, 4FGL or 3FHL in FITS.

    Parameters
    ----------
    path : of the file
    is_strict : whether what would be repaired with a warning is refused

    Raises
    ------
    InputError : no such file, an unknown catalogue, an entry without meaning
    """
    if not {".fits", ".fit"} & set(path.suffixes[-2:]):
        return read_models(path, is_strict=is_strict)
    tables = {unit.name for unit in scan_units(path) if unit.is_table}
    if SOURCE_TABLE in tables:
        data = _hgps(path)
    elif _POINTS in tables:
        data = _fermi(path)
    else:
        data = _gammacat(path)
    models = interpret_models(Document(data, str(path)), path.parent, is_strict=is_strict)
    return ModelFile(models.components, models.name, warnings=(*data["metadata"]["notes"], *models.warnings))


def _hgps(path: Path) -> dict[str, Any]:
    sources = read_fits_columns(path, SOURCE_TABLE, SOURCE_COLUMNS)
    return declare_hgps(sources, read_fits_columns(path, COMPONENT_TABLE, COMPONENT_COLUMNS))


def _gammacat(path: Path) -> dict[str, Any]:
    table = next((unit.number for unit in scan_units(path) if unit.is_table), 1)
    return declare_gammacat(read_fits_columns(path, table, GAMMACAT_COLUMNS))


def _fermi(path: Path) -> dict[str, Any]:
    extended = read_fits_columns(path, _EXTENDED, EXTENDED_COLUMNS)
    faults = []
    for name, catalogue in FERMI_CATALOGUES.items():
        try:
            sources = read_fits_columns(path, _POINTS, catalogue.columns)
        except InputError as error:
            faults.append(f"{name}: {error.field}")
            continue
        return declare_fermi(name, sources, extended)
    known = ", ".join(FERMI_CATALOGUES)
    raise InputError(path, _POINTS, "; ".join(faults), f"the columns of {known}", "convert it to a model file")


def load_maps(models: ModelFile, *, skips_missing: bool = False) -> tuple[dict[str, SkyMap], tuple[str, ...]]:
    """Return the maps that templates name, by file, and the sources left out because theirs is not there.

    Parameters
    ----------
    models : of a file
    skips_missing : whether a missing map leaves its source out, instead of being an error

    Raises
    ------
    InputError : a map that is missing, or that is none
    """
    maps: dict[str, SkyMap] = {}
    left_out = []
    for source in models.components:
        for part in _templates(source.spatial):
            file = part.file or ""
            if not Path(file).is_file():
                if not skips_missing:
                    raise InputError(
                        file, "(file)", "not there", f"the map of source {source.name!r}",
                        "fetch it, or set 'missing: skip'",
                    )  # fmt: skip
                left_out.append(source.name)
            elif file not in maps:
                maps[file] = _read_map(Path(file), part)
    return maps, tuple(left_out)


def _templates(part: PartDeclaration | None) -> Iterator[PartDeclaration]:
    if part is not None:
        if part.tag == "template":
            yield part
        for inner in part.parts:
            yield from _templates(inner)


def _read_map(path: Path, part: PartDeclaration) -> SkyMap:
    image = read_fits_image(path)
    energies = None
    if image.energies is not None:
        energies = image.energies * read_unit(image.energy_unit or "MeV").factor
    return make_sky_map(image, is_normalised=bool(part.settings.get("normalize", True)), energies_tev=energies)
