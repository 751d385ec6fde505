"""What was observed, with which files, where and in which energy bins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import field_validator, model_validator

from skysift.config.faults import fault
from skysift.config.psf import Psf
from skysift.config.quantities import EnergyGeV
from skysift.config.regions import MapFile, Mask, Region
from skysift.config.scalars import Name, ResolutionParameter
from skysift.config.section import REQUIRED, Section, key

__all__ = ["DATA_SETS", "Observation"]

_FERMI = (
    "bubbles",
    "disk",
    "isotropic",
    "model_o_gas",
    "model_o_ics",
    "nfw_squared",
    "p6v11",
    "point_sources",
)
DATA_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    # The configuration reads no files, so it has to know what each data set offers.
    "fermi": {"templates": _FERMI, "masks": ("mask_3fgl", "mask_3fgl_0p8deg")},
    "synthetic": {
        "templates": (
            *_FERMI,
            "diffuse",
            "diffuse_alternative",
            "diffuse_gas",
            "diffuse_ics",
            "diffuse_north",
            "nfw_squared_north",
        ),
        "masks": ("mask_3fgl", "mask_3fgl_0p8deg", "mask_point_sources"),
    },
    "files": {"templates": (), "masks": ()},
}
_NSIDE = {"fermi": 128, "synthetic": 64}


class Observation(Section):
    """The observation.

    Attributes
    ----------
    instrument : ``fermi``
    data : ``fermi``, ``synthetic`` or ``files``
    nside : resolution, None for that of the data
    allow_noninteger : whether counts may be fractional
    files : ``counts``, ``exposure`` to `MapFile`
    templates : name to `MapFile`, added to those of the data set
    region : `Region` of the fit
    read_out : name to `Region`
    energy_edges_gev : edges of the energy bins
    psf : `Psf`, None for that of the data
    """

    instrument: Literal["fermi"] = key("fermi", "the instrument", example="fermi")
    data: Literal["fermi", "synthetic", "files"] = key(
        "fermi",
        "`fermi`: the registered maps; `synthetic`: a small sky computed in memory, no files; `files`: own maps",
        example="synthetic",
    )
    nside: ResolutionParameter | None = key(
        None,
        "change to this HEALPix resolution: counts are summed, exposure averaged",
        example=64,
        says="that of the data; 64 for synthetic",
    )
    allow_noninteger: bool = key(False, "accept fractional counts, with a warning", example=True)
    files: dict[Literal["counts", "exposure"], MapFile] = key(
        None,
        "own maps, needed for `data: files`; they override those of the data set",
        example={"counts": {"file": "maps/counts.fits", "hdu": 1, "field": "COUNTS"}},
        default_factory=dict,
    )
    templates: dict[Name, MapFile] = key(
        None,
        "own templates (counts per pixel at unit norm), added to those of the data set",
        example={"my_template": "maps/my_template.npy"},
        default_factory=dict,
    )
    region: Region = key(REQUIRED, "where to fit", example={"radius": "20 deg", "mask_plane": "2 deg"})
    read_out: dict[Name, Region] = key(
        None,
        "further regions in which results are read out",
        example={"north": {"radius": "20 deg", "mask": {"box": {"b": ["-90 deg", "2 deg"]}}}},
        default_factory=dict,
    )
    energy_edges_gev: list[EnergyGeV] = key(
        [2.0, 20.0],
        "edges of the energy bins, rising",
        example=["2 GeV", "20 GeV"],
        unit="energy",
        alias="energy_edges",
        min_length=2,
    )
    psf: Psf | None = key(
        None,
        "point-spread function, which populations of unresolved sources need: `king`, `none`, "
        "`{gaussian: 0.1812 deg}` or `{file: psf.txt}`",
        example="king",
        says="king for fermi and synthetic",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.data == "files" and "counts" not in self.files:
            raise fault("observation.files.counts with data: files", "name the counts map, or choose data: fermi")
        if self.data == "files" and "exposure" not in self.files:
            raise fault("observation.files.exposure with data: files", "name the exposure map")
        # the resolution of the user's own maps is known once they are read
        nside = self.nside or _NSIDE.get(self.data)
        pixel_deg = math.degrees(math.sqrt(math.pi / 3) / nside) if nside else 0.0
        for place, region in {"region": self.region, **self.read_out}.items():
            if region.radius_deg < pixel_deg / 2:
                wanted = f"a disc of at least one pixel, which is {pixel_deg:.2g} deg wide"
                raise fault(wanted, "enlarge the radius", f"{place}: a radius of {region.radius_deg:g} deg")
        return self

    @field_validator("energy_edges_gev")
    @classmethod
    def _check_edges(cls, edges_gev: list[float]) -> list[float]:
        for index, edge in enumerate(edges_gev):
            if edge <= 0 or not math.isfinite(edge):
                raise fault("energy_edges above 0", "write for example [2 GeV, 20 GeV]", f"edge {index}: {edge:g} GeV")
            if index and edge <= edges_gev[index - 1]:
                found = f"edge {index}: {edge:g} GeV after {edges_gev[index - 1]:g} GeV"
                raise fault("rising energy_edges", "sort the edges and remove duplicates", found)
        return edges_gev

    @property
    def known_templates(self) -> list[str]:
        """Names that a component may use as its template."""
        return sorted({*DATA_SETS[self.data]["templates"], *self.templates})

    @property
    def known_masks(self) -> list[str]:
        """Names that a mask may use."""
        return sorted(DATA_SETS[self.data]["masks"])

    def map_files(self) -> Iterator[tuple[str, MapFile]]:
        """Yield every map of the user's own, with its dotted key."""
        yield from ((f"observation.files.{name}", file) for name, file in self.files.items())
        yield from ((f"observation.templates.{name}", file) for name, file in self.templates.items())
        for path, mask in self.masks.items():
            yield from mask.files(f"observation.{path}.mask")

    @property
    def masks(self) -> dict[str, Mask]:
        """Mask of each region that has one, by the dotted path of the region."""
        regions = {"region": self.region, **{f"read_out.{name}": region for name, region in self.read_out.items()}}
        return {path: region.mask for path, region in regions.items() if region.mask is not None}
