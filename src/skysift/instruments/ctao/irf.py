"""Instrument response functions of one observing mode, and how they are read from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from numpy.typing import ArrayLike

from skysift.errors import InputError, nearest
from skysift.instruments.ctao.area import EffectiveArea, read_area
from skysift.instruments.ctao.background import BACKGROUND_KINDS, Background, read_background
from skysift.instruments.ctao.dispersion import EnergyDispersion, read_dispersion
from skysift.instruments.ctao.field_of_view import Direction, field_of_view_deg
from skysift.instruments.ctao.hdus import find_table
from skysift.instruments.ctao.psf import PointSpread, containment_radius_deg
from skysift.instruments.ctao.psf_reading import PSF_KINDS, EmptyRule, read_psf
from skysift.instruments.ctao.tables import Array
from skysift.storage.fits import Unit, card, find_unit, scan_units
from skysift.storage.provenance import digest_bytes, digest_file

if TYPE_CHECKING:
    from skysift.instruments.ctao.store import StoredObservation

__all__ = ["READER_VERSION", "TABLES", "Irf", "read_irf", "read_stored_irf"]

#: Rises with every change of what a table means here; part of the digest of a response.
READER_VERSION = 1
#: Tables that a response is made of, as an index of a data store names them.
TABLES = ("aeff", "psf", "edisp", "bkg")
_TIME_IN_NAME = re.compile(r"\.(\d+)s[-.]")


@dataclass(frozen=True, eq=False)
class Irf:
    """Instrument response functions.

    Every method takes arrays that broadcast. Energies are in TeV and above 0, angles in deg.

    Parameters
    ----------
    name : of the file, or of the embedded response
    sha256 : of the file, or of the parameters of the embedded response
    live_time_s : exposure that the response was made for, as the file states it; None when it does not
    area, psf_model, energy_dispersion, background_model : the tables
    psf_empty : what stands at nodes of the point-spread function without information
    """

    name: str
    sha256: str
    live_time_s: float | None
    area: EffectiveArea
    psf_model: PointSpread
    energy_dispersion: EnergyDispersion
    background_model: Background
    psf_empty: EmptyRule = "nearest"

    @property
    def offset_max_deg(self) -> float:
        """Offset from which on nothing is seen, deg."""
        return float(min(self.area.offset.edges[-1], self.energy_dispersion.offset.edges[-1]))

    @property
    def psf_kind(self) -> str:
        """PSF_3GAUSS, PSF_KING or PSF_TABLE."""
        return self.psf_model.kind

    def area_cm2(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the effective area, cm2."""
        return self.area.evaluate(energy_tev, offset_deg)

    def psf(self, energy_tev: ArrayLike, offset_deg: ArrayLike, separation_deg: ArrayLike) -> Array:
        """Return the point-spread function, deg-2, integral one over 2 pi r dr."""
        return self.psf_model.density(energy_tev, offset_deg, separation_deg)

    def psf_components(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return weights (..., k), sum one or all 0, and widths in deg (..., k) of the Gaussians that the PSF is."""
        return self.psf_model.components(energy_tev, offset_deg)

    def psf_containment_deg(self, energy_tev: ArrayLike, offset_deg: ArrayLike, share: ArrayLike) -> Array:
        """Return the radius that holds a share of the events, deg; NaN where the file holds no PSF."""
        return containment_radius_deg(self.psf_model, energy_tev, offset_deg, share)

    def dispersion_raw(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the migration table as it stands, of any scale."""
        return self.energy_dispersion.raw(energy_tev, migra, offset_deg)

    def dispersion(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the density of mu = E_r / E_t per unit mu, integral one; 0 where the file holds nothing."""
        return self.energy_dispersion.density(energy_tev, migra, offset_deg)

    def dispersion_cumulative(self, energy_tev: ArrayLike, offset_deg: ArrayLike) -> tuple[Array, Array]:
        """Return nodes of mu (n,), both outer edges included, and the share below each (..., n)."""
        return self.energy_dispersion.cumulative(energy_tev, offset_deg)

    def dispersion_share(self, energy_tev: ArrayLike, migra: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the share reconstructed below mu, exact at any mu."""
        return self.energy_dispersion.share_below(energy_tev, migra, offset_deg)

    def dispersion_draw(self, energy_tev: Array, offset_deg: Array, share: Array) -> Array:
        """Return mu (n,) of events from shares (n,) uniform in [0, 1); NaN where the file holds nothing."""
        return self.energy_dispersion.draw(energy_tev, offset_deg, share)

    def background(self, energy_reco_tev: ArrayLike, x_deg: ArrayLike, y_deg: ArrayLike) -> Array:
        """Return the background rate in field-of-view coordinates, s-1 TeV-1 deg-2."""
        return self.background_model.evaluate(energy_reco_tev, x_deg, y_deg)

    def background_at(
        self, energy_reco_tev: ArrayLike, lon_deg: ArrayLike, lat_deg: ArrayLike, pointing: Direction
    ) -> Array:
        """Return the background rate at Galactic coordinates, s-1 TeV-1 deg-2.

        Raises
        ------
        InputError : the background follows the horizon and the pointing does not say where that is
        """
        alignment = self.background_model.alignment
        alignment = "RADEC" if alignment == "none" else alignment
        return self.background(energy_reco_tev, *field_of_view_deg(lon_deg, lat_deg, pointing, alignment))

    def background_radial(self, energy_reco_tev: ArrayLike, offset_deg: ArrayLike) -> Array:
        """Return the background rate cut at y = 0, x >= 0 as a function of offset, s-1 TeV-1 deg-2."""
        return self.background_model.radial().at_offset(energy_reco_tev, offset_deg)


def read_irf(path: str | Path, psf_empty: EmptyRule = "nearest") -> Irf:
    """Read a FITS file with effective area, point-spread function, energy dispersion and background.

    Parameters
    ----------
    path : in the format of gamma-astro-data-formats, packed or not
    psf_empty : what stands at PSF nodes without information, see `read_psf`

    Raises
    ------
    InputError : a table, column or unit is missing, axes are wrong or cannot be told apart, the file is damaged
    """
    place = Path(path)
    units = scan_units(place, "response")
    origin = place.name, digest_file(place), _find_live_time(place, units)
    return _assemble(origin, dict.fromkeys(TABLES, (place, units)), psf_empty)


def read_stored_irf(observation: StoredObservation, psf_empty: EmptyRule = "nearest") -> Irf:
    """Read the response of one observation of a data store, whose tables may lie in several files.

    Parameters
    ----------
    observation : of `skysift.instruments.ctao.store.read_store`
    psf_empty : what stands at PSF nodes without information, see `read_psf`

    Raises
    ------
    InputError : as `read_irf`, and a table that the index does not have
    """
    found = {}
    for kind in TABLES:
        table = observation.table(kind)
        found[kind] = table.place, [find_unit(scan_units(table.place, "response"), table.hdu, table.place)]
    digests = [digest_file(place) for place in dict.fromkeys(place for place, _ in found.values())]
    sha256 = digests[0] if len(digests) == 1 else digest_bytes("".join(digests).encode())
    return _assemble((f"OBS_ID {observation.number}", sha256, None), found, psf_empty)


def _assemble(
    origin: tuple[str, str, float | None], tables: Mapping[str, tuple[Path, list[Unit]]], psf_empty: EmptyRule
) -> Irf:
    """Read each table from its file."""
    rules = get_args(EmptyRule)
    if psf_empty not in rules:
        raise InputError("response", "psf_empty", psf_empty, " or ".join(rules), nearest(psf_empty, rules))
    name, sha256, live_time_s = origin
    return Irf(
        name=name,
        sha256=sha256,
        live_time_s=live_time_s,
        area=read_area(find_table(*tables["aeff"], ("AEFF_2D",), "effective area")),
        psf_model=read_psf(find_table(*tables["psf"], PSF_KINDS, "point-spread function"), psf_empty),
        energy_dispersion=read_dispersion(find_table(*tables["edisp"], ("EDISP_2D",), "energy dispersion")),
        background_model=read_background(find_table(*tables["bkg"], BACKGROUND_KINDS, "background")),
        psf_empty=psf_empty,
    )


def _find_live_time(place: Path, units: Sequence[Unit]) -> float | None:
    """Return LIVETIME of the first header that has it, else the time in a name as x.180000s-v0.1.fits, s."""
    for unit in units:
        value = card(unit.header, "LIVETIME")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise InputError(place, f"HDU {unit.number}, LIVETIME", value, "a time above 0 s", "correct the card")
        return float(value)
    match = _TIME_IN_NAME.search(place.name)
    return float(match.group(1)) if match else None
