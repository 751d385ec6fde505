"""From maps to an `Observation`: read what is needed, check it, cut it to the stored pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import pixel_vectors
from skysift.geometry.regions import Region
from skysift.instruments.fermi import checks
from skysift.instruments.fermi.maps import SkyMap, check_same_nside, different_nside
from skysift.instruments.fermi.observation import Observation, Sideband
from skysift.instruments.fermi.sources import MapSource
from skysift.sky.templates import moved_template

__all__ = ["Layout", "assemble", "cut_counts"]

Map = NDArray[np.float64]
Inside = NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """The regions of an observation.

    Parameters
    ----------
    region : the fit region
    center_deg : its centre, Galactic longitude and latitude, deg
    read_out : further regions by name
    sidebands : name to centre (deg) and region
    sideband_signal : template that is moved to the sidebands
    margin_deg : pixels this near to a region are stored too, for sources that are drawn there
    place : the configuration file, for messages
    """

    region: Region
    center_deg: tuple[float, float] = (0.0, 0.0)
    read_out: Mapping[str, Region] = field(default_factory=dict)
    sidebands: Mapping[str, tuple[tuple[float, float], Region]] = field(default_factory=dict)
    sideband_signal: str | None = None
    margin_deg: float = 0.0
    place: str = "configuration"

    def all_regions(self) -> list[Region]:
        """Return every region."""
        return [self.region, *self.read_out.values(), *(region for _, region in self.sidebands.values())]


def assemble(source: MapSource, layout: Layout, templates: Sequence[str], nside: int | None = None) -> Observation:
    """Read, check and cut the maps of an observation.

    Parameters
    ----------
    source : hands out maps by name
    layout : the regions
    templates : names of those that are needed; no other is read
    nside : bring all maps to this resolution; None keeps theirs, which must agree

    Raises
    ------
    InputError : a map that is absent, damaged or unfit, or a region without pixels
    """
    checks.check_energy_edges(source.energy_edges_gev, layout.place)
    entries = _read_all(source, layout, templates, nside)
    exposure = entries["exposure", "exposure"]
    masks = {name: entry.values[0] > 0 for (role, name), entry in entries.items() if role == "mask"}
    vectors = pixel_vectors(exposure.nside)
    wanted = {
        "region": layout.region,
        **{f"read_out.{name}": region for name, region in layout.read_out.items()},
        **{f"sidebands.{name}": region for name, (_, region) in layout.sidebands.items()},
    }
    inside = {name: region.contains(vectors, masks) for name, region in wanted.items()}
    stored = _grow(np.logical_or.reduce(list(inside.values())), vectors, layout.margin_deg)
    checks.check_exposure(exposure, stored)
    inside, warnings = _drop_unseen(inside, exposure)
    for name, mask in inside.items():
        _check_pixels(mask, name, exposure.nside, layout.place)
    for (role, _), entry in entries.items():
        if role == "template":
            checks.check_template(entry, inside["region"], stored)
    return _cut(source, layout, entries, inside, np.flatnonzero(stored), warnings)


def cut_counts(
    entry: SkyMap, observation: Observation, *, nside: int | None = None, allow_noninteger: bool = False
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return counts (E, P) on the stored pixels of an observation, checked, with warnings.

    Parameters
    ----------
    entry : full-sky counts
    observation : has the pixels
    nside : resolution that the configuration asks for; None when the map must have the observation's own
    allow_noninteger : round fractional counts, with a warning

    Raises
    ------
    InputError : counts that are no counts, or photons where exposure or all templates vanish
    """
    checks.check_energies(entry, observation.energy_edges_gev)
    if nside is None and entry.nside != observation.nside:
        raise different_nside(entry.place, f"{entry.name} {entry.nside}, observation {observation.nside}")
    warnings = checks.check_counts(entry, allow_noninteger=allow_noninteger)
    entry = entry.at_nside(observation.nside)
    stored = np.zeros(entry.values.shape[-1], dtype=bool)
    stored[observation.pixels] = True
    checks.check_covered(entry, stored)
    exposure = np.zeros(entry.values.shape)
    exposure[:, observation.pixels] = observation.exposure_cm2_s
    checks.check_seen(entry, exposure, stored)
    counts = np.rint(entry.values[:, observation.pixels]).astype(np.int64)
    checks.check_explained(counts, observation.templates, observation.pixels, observation.region, entry.place)
    return counts, (*entry.warnings, *warnings)


def _read_all(
    source: MapSource, layout: Layout, templates: Sequence[str], nside: int | None
) -> dict[tuple[str, str], SkyMap]:
    """Read exposure, masks and templates, and bring them to one resolution."""
    mask_names = sorted(frozenset().union(*(region.names() for region in layout.all_regions())))
    signal = [layout.sideband_signal] if layout.sideband_signal and layout.sidebands else []
    entries = [source.read("exposure", "exposure")]
    entries += [source.read("mask", name) for name in mask_names]
    entries += [source.read("template", name) for name in dict.fromkeys((*templates, *signal))]
    for entry in entries:
        checks.check_energies(entry, source.energy_edges_gev)
        if entry.role == "mask":
            checks.check_mask(entry)
    if nside is None:
        check_same_nside(entries)
    wanted = nside or entries[0].nside
    return {(entry.role, entry.name): entry.at_nside(wanted) for entry in entries}


def _grow(inside: Inside, vectors: Map, margin_deg: float) -> Inside:
    """Return the pixels that lie in a region or near one."""
    if margin_deg <= 0:
        return inside
    from scipy.spatial import cKDTree

    # sources lie up to an edge, not a centre, away from the next pixel
    reach = np.radians(margin_deg) + np.sqrt(4 * np.pi / len(vectors))
    distance, _ = cKDTree(vectors[inside]).query(vectors, distance_upper_bound=2 * np.sin(reach / 2))
    return np.asarray(inside | np.isfinite(distance))


def _drop_unseen(inside: Mapping[str, Inside], exposure: SkyMap) -> tuple[dict[str, Inside], tuple[str, ...]]:
    """Take pixels without exposure out of every region, with a warning."""
    blind = np.any(exposure.values == 0, axis=0)
    warnings = tuple(
        f"{exposure.place}: {int((mask & blind).sum())} pixels of {name} have no exposure and are masked, "
        f"first pixel {int(np.flatnonzero(mask & blind)[0])}"
        for name, mask in inside.items()
        if (mask & blind).any()
    )
    return {name: mask & ~blind for name, mask in inside.items()}, warnings


def _check_pixels(inside: Inside, name: str, nside: int, place: str) -> None:
    if not inside.any():
        raise InputError(
            place, f"observation.{name}", f"0 of {inside.size} pixels (nside {nside}) are left",
            "at least one pixel outside the masks", "enlarge the region or loosen mask and mask_plane",
        )  # fmt: skip


def _cut(
    source: MapSource,
    layout: Layout,
    entries: Mapping[tuple[str, str], SkyMap],
    inside: Mapping[str, Inside],
    pixels: NDArray[np.int64],
    warnings: tuple[str, ...],
) -> Observation:
    exposure = entries["exposure", "exposure"]
    sidebands = {}
    for name, (center, _) in layout.sidebands.items():
        signal = entries["template", str(layout.sideband_signal)]
        moved = moved_template(signal.values, exposure.values, exposure.nside, layout.center_deg, center)
        sidebands[name] = Sideband(name, center, inside[f"sidebands.{name}"][pixels], moved[:, pixels])
    templates = {name: entry.values[:, pixels] for (role, name), entry in entries.items() if role == "template"}
    region = inside["region"][pixels]
    if len(templates) >= region.sum() * (len(source.energy_edges_gev) - 1):
        count = int(region.sum())
        warnings = (*warnings, f"observation.region: {count} pixels for {len(templates)} templates or more")
    conversions = [note for entry in entries.values() for note in entry.warnings]
    return Observation(
        nside=exposure.nside,
        pixels=pixels.astype(np.int64),
        region=region,
        energy_edges_gev=np.asarray(source.energy_edges_gev, dtype=np.float64),
        exposure_cm2_s=exposure.values[:, pixels],
        exposure_mean_cm2_s=np.nanmean(exposure.values, axis=1),
        templates=templates,
        read_out={name: inside[f"read_out.{name}"][pixels] for name in layout.read_out},
        sidebands=sidebands,
        warnings=(*conversions, *warnings),
    )
