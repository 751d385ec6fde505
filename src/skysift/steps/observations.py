"""From the configuration's words to sources of maps and to regions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import ConfigurationError
from skysift.errors import InputError
from skysift.geometry.regions import AllOf, Annulus, AnyOf, Box, Disc, NamedMask, Not, PlaneBand, Region, Shape
from skysift.instruments.fermi.assembly import Layout
from skysift.instruments.fermi.dataset import ENERGY_EDGES_GEV, Role
from skysift.instruments.fermi.maps import MapFile
from skysift.instruments.fermi.psf_choice import Containment, choose_containment
from skysift.instruments.fermi.sources import FileSource, MapSource, SyntheticSource, fermi_source
from skysift.sky.synthetic import SyntheticSky

if TYPE_CHECKING:
    from skysift.config import MapFile as FileSettings
    from skysift.config import Mask, Observation, ObservationSlice
    from skysift.config import Region as RegionSettings
    from skysift.config.psf import Psf

__all__ = ["containment_of", "layout_of", "region_of", "source_of", "verify_files"]

SYNTHETIC_NSIDE = 64


def source_of(observation: Observation, place: Path) -> MapSource:
    """Return where the maps of an observation come from; nothing is read yet.

    Parameters
    ----------
    observation : section ``observation`` of the configuration
    place : the configuration file, for messages

    Raises
    ------
    InputError : a file that does not exist, energy edges that are not those of the data set
    """
    verify_files(observation, place)
    edges = np.asarray(observation.energy_edges_gev, dtype=np.float64)
    files = _files_of(observation)
    if observation.data == "synthetic":
        sky = SyntheticSky(observation.nside or SYNTHETIC_NSIDE, tuple(edges))
        return SyntheticSource(sky, FileSource(edges, files, place=str(place)))
    if observation.data == "files":
        return FileSource(edges, files, place=str(place))
    if tuple(edges) != ENERGY_EDGES_GEV:
        found = ", ".join(f"{edge:g} GeV" for edge in edges)
        wanted = ", ".join(f"{edge:g} GeV" for edge in ENERGY_EDGES_GEV)
        raise InputError(place, "observation.energy_edges", found, wanted, "leave it out with data: fermi")
    return fermi_source(files, str(place))


def verify_files(observation: Observation, place: Path | str) -> None:
    """Stop when a map of the user's own is nowhere; ``place`` is the configuration file, for messages.

    Raises
    ------
    ConfigurationError : every missing file with its key
    """
    missing = [
        InputError(place, key, file.file, "an existing file", f"correct the path, seen from {Path.cwd()}")
        for key, file in observation.map_files()
        if not Path(file.file).exists()
    ]
    if missing:
        raise ConfigurationError(missing)


def containment_of(psf: Psf | None) -> Containment | None:
    """Return the share of photons within radii, None for no spread.

    Raises
    ------
    InputError : a file that is no table
    """
    return choose_containment() if psf is None else choose_containment(psf.name, psf.gaussian_deg, psf.file)


def layout_of(settings: ObservationSlice, place: Path) -> Layout:
    """Return the regions of an observation and its sidebands; ``place`` is the configuration file, for messages."""
    observation = settings.observation
    sidebands = {}
    if settings.sidebands is not None:
        for name, longitude_deg in settings.sidebands.regions.items():
            center = (longitude_deg, 0.0)
            sidebands[name] = (center, region_of(observation.region, center))
    return Layout(
        region=region_of(observation.region),
        center_deg=observation.region.center_deg,
        read_out={name: region_of(region) for name, region in observation.read_out.items()},
        sidebands=sidebands,
        sideband_signal=settings.sidebands.template if settings.sidebands is not None else None,
        place=str(place),
    )


def region_of(settings: RegionSettings, center_deg: tuple[float, float] | None = None) -> Region:
    """Return a region, moved to another centre when one is given; its masks stay where they are."""
    center = settings.center_deg if center_deg is None else center_deg
    shape: Shape = Disc(center, settings.radius_deg)
    if settings.inner_radius_deg is not None:
        shape = Annulus(center, settings.inner_radius_deg, settings.radius_deg)
    masked: list[Shape] = []
    if settings.mask_plane_deg is not None:
        masked.append(PlaneBand(settings.mask_plane_deg))
    if settings.mask is not None:
        masked.append(_shape_of(settings.mask))
    return Region(shape, AnyOf(tuple(masked)))


def _shape_of(mask: Mask) -> Shape:  # noqa: PLR0911 - one line for each word of the grammar
    if mask.name is not None:
        return NamedMask(mask.name)
    if mask.file is not None:
        return NamedMask(_file_name(mask.file))
    if mask.and_ is not None:
        return AllOf(tuple(_shape_of(member) for member in mask.and_))
    if mask.or_ is not None:
        return AnyOf(tuple(_shape_of(member) for member in mask.or_))
    if mask.not_ is not None:
        return Not(_shape_of(mask.not_))
    if mask.box is not None:
        return Box(mask.box.l_deg, mask.box.b_deg)
    if mask.disc is not None:
        return Disc(mask.disc.center_deg, mask.disc.radius_deg)
    if mask.annulus is not None:
        return Annulus(mask.annulus.center_deg, mask.annulus.inner_radius_deg, mask.annulus.radius_deg)
    return PlaneBand(mask.plane_deg or 0.0)


def _files_of(observation: Observation) -> dict[tuple[Role, str], MapFile]:
    files: dict[tuple[Role, str], MapFile] = {}
    for role, file in observation.files.items():
        files[role, role] = _map_file(file)
    for name, file in observation.templates.items():
        files["template", name] = _map_file(file)
    for path, mask in observation.masks.items():
        for _, file in mask.files(path):
            files["mask", _file_name(file)] = _map_file(file)
    return files


def _file_name(file: FileSettings) -> str:
    """Return a name that tells two maps in one file apart."""
    return file.file if file.field is None else f"{file.file}[{file.field}]"


def _map_file(file: FileSettings) -> MapFile:
    return MapFile(Path(file.file), file.hdu, file.field, file.ordering, file.coordsys)
