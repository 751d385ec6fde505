"""Catalogues of the Fermi LAT (4FGL and its releases, 3FHL) as model files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skysift.errors import InputError, nearest
from skysift.sky.catalogues.entries import Columns, Row, component, document, numbers, parameter, part, rows

__all__ = ["EXTENDED_COLUMNS", "FERMI_CATALOGUES", "FermiCatalogue", "declare_fermi"]

#: Radius that holds 68 % of a two-dimensional Gaussian, in standard deviations.
_RADIUS_68 = math.sqrt(-2 * math.log(1 - 0.68))
EXTENDED_COLUMNS = (
    "Source_Name", "RAJ2000", "DEJ2000", "Model_Form", "Model_SemiMajor", "Model_SemiMinor", "Model_PosAng",
    "Spatial_Filename",
)  # fmt: skip
_COMMON = ("Source_Name", "RAJ2000", "DEJ2000", "Extended_Source_Name", "SpectrumType", "Pivot_Energy")
_GAUSSIANS = ("2D Gaussian", "RadialGaussian", "Gaussian")
_DISKS = ("Disk", "RadialDisk")
_TEMPLATES = ("Map", "Ring", "SpatialMap", "2D Gaussian x2")


@dataclass(frozen=True)
class FermiCatalogue:
    """How one catalogue names the columns of its spectra.

    Parameters
    ----------
    spectra : ``SpectrumType`` to the kind of model and its parameters, each with its column
    """

    spectra: Mapping[str, tuple[str, Mapping[str, str]]]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        names = [column for _, columns in self.spectra.values() for column in columns.values()]
        return (*_COMMON, *dict.fromkeys(name for column in names for name in (column, f"Unc_{column}")))


FERMI_CATALOGUES = {
    "4FGL": FermiCatalogue(
        {
            "PowerLaw": ("pl", {"index": "PL_Index", "amplitude": "PL_Flux_Density"}),
            "LogParabola": ("lp", {"amplitude": "LP_Flux_Density", "alpha": "LP_Index", "beta": "LP_beta"}),
            "PLSuperExpCutoff": (
                "secpl-4fgl-dr3",
                {
                    "amplitude": "PLEC_Flux_Density", "expfactor": "PLEC_ExpfactorS", "index_1": "PLEC_IndexS",
                    "index_2": "PLEC_Exp_Index",
                },
            ),
        }
    ),
    "3FHL": FermiCatalogue(
        {
            "PowerLaw": ("pl", {"index": "PowerLaw_Index", "amplitude": "Flux_Density"}),
            "LogParabola": ("lp", {"amplitude": "Flux_Density", "alpha": "Spectral_Index", "beta": "beta"}),
        }
    ),
}  # fmt: skip


def declare_fermi(catalogue: str, sources: Columns, extended: Columns) -> dict[str, Any]:
    """Return all sources of a catalogue in the layout of a model file.

    The size of a Gaussian in these catalogues is its 68 % radius, that of a model its standard deviation.

    Parameters
    ----------
    catalogue : key of `FERMI_CATALOGUES`
    sources : its columns
    extended : columns `EXTENDED_COLUMNS` of the table of extended sources

    Raises
    ------
    InputError : an unknown catalogue, kind of spectrum or shape, an extended source that has no row

    References
    ----------
    Abdollahi et al. (2020), ApJS 247, 33, and arXiv:2307.12546; Ajello et al. (2017), ApJS 232, 18
    """
    if catalogue not in FERMI_CATALOGUES:
        raise InputError(
            sources.place, "catalogue", catalogue, f"one of {', '.join(FERMI_CATALOGUES)}",
            nearest(catalogue, FERMI_CATALOGUES),
        )  # fmt: skip
    spectra = FERMI_CATALOGUES[catalogue].spectra
    known = {row["Source_Name"].strip(): row for row in rows(extended)}
    found = [
        component(row["Source_Name"], _spectrum(row, sources, spectra), _shape(row, known, sources.place))
        for row in rows(sources)
    ]
    return document(found, [], [])


def _spectrum(row: Row, table: Columns, spectra: Mapping[str, tuple[str, Mapping[str, str]]]) -> dict[str, Any]:
    kind, name = row["SpectrumType"].strip(), row["Source_Name"]
    if kind not in spectra:
        wanted = f"one of {', '.join(spectra)}"
        raise InputError(table.place, f"{name}, column SpectrumType", kind, wanted, nearest(kind, spectra))
    tag, columns = spectra[kind]
    values = numbers(row, tuple(columns.values()), table.place, name)
    (pivot,) = numbers(row, ("Pivot_Energy",), table.place, name)
    entries = [
        parameter(
            target, value, table.units.get(column, "") if target == "amplitude" else "", row[f"Unc_{column}"]
        )
        for (target, column), value in zip(columns.items(), values, strict=True)
    ]  # fmt: skip
    return part(tag, *entries, parameter("reference", pivot, table.units.get("Pivot_Energy", "")))


def _shape(row: Row, known: Mapping[str, Row], place: str) -> dict[str, Any]:
    name, extended = row["Source_Name"], row["Extended_Source_Name"].strip()
    lon, lat = numbers(row, ("RAJ2000", "DEJ2000"), place, name)
    at = (parameter("lon_0", lon, "deg"), parameter("lat_0", lat, "deg"))
    if not extended:
        return part("point", *at, frame="icrs")
    if extended not in known:
        field = f"{name}, column Extended_Source_Name"
        raise InputError(place, field, extended, "a row of the table of extended sources", nearest(extended, known))
    shape = known[extended]
    form = shape["Model_Form"].strip()
    if form in _TEMPLATES:
        return {"type": "template", "filename": shape["Spatial_Filename"].strip(), "normalize": True, "parameters": []}
    if form not in (*_GAUSSIANS, *_DISKS):
        wanted = f"one of {', '.join((*_GAUSSIANS, *_DISKS, *_TEMPLATES))}"
        raise InputError(place, f"{extended}, column Model_Form", form, wanted, "write it by hand")
    return _ellipse(shape, at, form, place)


def _ellipse(shape: Row, at: tuple[dict[str, Any], ...], form: str, place: str) -> dict[str, Any]:
    major, minor = numbers(shape, ("Model_SemiMajor", "Model_SemiMinor"), place, shape["Source_Name"])
    turn = shape["Model_PosAng"] if math.isfinite(shape["Model_PosAng"]) else 0.0
    if minor > major:
        major, minor, turn = minor, major, turn + 90.0
    angles = (
        parameter("e", math.sqrt(1 - (minor / major) ** 2)),
        parameter("phi", (turn + 180.0) % 360.0 - 180.0, "deg"),
    )
    if form in _GAUSSIANS:
        return part("gauss", *at, parameter("sigma", major / _RADIUS_68, "deg"), *angles, frame="icrs")
    return part("disk", *at, parameter("r_0", major, "deg"), *angles, parameter("edge_width", 0.01), frame="icrs")
