"""gamma-cat, the open catalogue of TeV sources, as a model file."""

from __future__ import annotations

import math
from typing import Any

from skysift.errors import InputError, nearest
from skysift.sky.catalogues.entries import Columns, Row, component, document, numbers, parameter, part, rows

__all__ = ["GAMMACAT_COLUMNS", "declare_gammacat"]

_SPECTRA = {
    "pl": ("norm", "index", "e_ref"),
    "pl2": ("flux", "index", "e_min"),
    "ecpl": ("norm", "index", "e_ref", "e_cut"),
}
_ERRORS = {"pl": ("norm", "index"), "pl2": ("flux", "index"), "ecpl": ("norm", "index", "e_cut")}
GAMMACAT_COLUMNS = (
    "source_id", "common_name", "ra", "dec", "glon", "glat", "pos_ra", "pos_dec", "pos_glon", "pos_glat", "pos_err",
    "morph_type", "morph_sigma", "morph_sigma_err", "morph_sigma2", "morph_pa", "morph_pa_frame", "spec_type",
    *(f"spec_{kind}_{name}" for kind, names in _SPECTRA.items() for name in names), "spec_pl2_e_max",
    *(f"spec_{kind}_{name}_err" for kind, names in _ERRORS.items() for name in names),
)  # fmt: skip
_DENSITY, _FLUX = "cm-2 s-1 TeV-1", "cm-2 s-1"
#: Upper end of an integral flux without one.
_OPEN_TEV = 1e5
#: Inner radius and thickness of shells, of their outer radius.
_SHELL = (0.8, 0.2)


def declare_gammacat(table: Columns) -> dict[str, Any]:
    """Return all sources that have a spectrum in the layout of a model file.

    Places are those measured, where there are any. Ellipses keep their angle in the frame that it was measured in; a
    second radius that is the larger one is exchanged with the first. Sources without shape or without its size are
    points; shells are given by their outer radius alone, and a fifth of it is taken for their thickness.

    Parameters
    ----------
    table : columns `GAMMACAT_COLUMNS`

    Raises
    ------
    InputError : an unknown kind of spectrum or shape, a missing number

    References
    ----------
    gamma-cat, https://gamma-cat.readthedocs.io
    """
    found: list[dict[str, Any]] = []
    left_out: list[str] = []
    notes: list[str] = []
    seen: set[str] = set()
    for row in rows(table):
        name = row["common_name"]
        if row["spec_type"] == "none":
            left_out.append(name)
            continue
        unique = f"{name} ({int(row['source_id'])})" if name in seen else name
        seen.add(unique)
        found.append(component(unique, _spectrum(row, table.place), _shape(row, table.place, notes)))
    return document(found, left_out, notes)


def _spectrum(row: Row, place: str) -> dict[str, Any]:
    kind, name = row["spec_type"], row["common_name"]
    if kind not in _SPECTRA:
        wanted = f"one of {', '.join(_SPECTRA)}, none"
        raise InputError(place, f"{name}, column spec_type", kind, wanted, nearest(kind, _SPECTRA))
    first, index, energy, *rest = numbers(row, tuple(f"spec_{kind}_{one}" for one in _SPECTRA[kind]), place, name)
    errors = [row[f"spec_{kind}_{one}_err"] for one in _ERRORS[kind]]
    slope = parameter("index", index, error=errors[1])
    if kind == "pl2":
        end = row["spec_pl2_e_max"]
        return part(
            "pl-2", parameter("amplitude", first, _FLUX, errors[0]), slope, parameter("emin", energy, "TeV"),
            parameter("emax", end if end > 0 else _OPEN_TEV, "TeV"),
        )  # fmt: skip
    law = [slope, parameter("amplitude", first, _DENSITY, errors[0]), parameter("reference", energy, "TeV")]
    if kind == "pl":
        return part("pl", *law)
    cutoff = parameter("lambda_", 1 / rest[0], "TeV-1", errors[2] / rest[0] ** 2)
    return part("ecpl", *law, cutoff, parameter("alpha", 1.0))


def _shape(row: Row, place: str, notes: list[str]) -> dict[str, Any]:
    kind, name = row["morph_type"], row["common_name"]
    if kind not in ("none", "point", "gauss", "shell"):
        raise InputError(place, f"{name}, column morph_type", kind, "none, point, gauss or shell", "write it by hand")
    # Empty numbers of this catalogue can read as zero.
    size = row["morph_sigma"] if row["morph_sigma"] > 0 else math.nan
    is_equatorial = row["morph_pa_frame"] == "radec"
    at = _place(row, place, is_equatorial=is_equatorial)
    frame = "icrs" if is_equatorial else "galactic"
    if kind in ("gauss", "shell") and math.isnan(size):
        notes.append(f"{name}: a {kind} without size is taken for a point")
    if kind in ("none", "point") or math.isnan(size):
        return part("point", *at, frame=frame)
    if kind == "shell":
        inner, width = (share * size for share in _SHELL)
        return part("shell", *at, parameter("radius", inner, "deg"), parameter("width", width, "deg"), frame=frame)
    major, e, phi = _ellipse(row, size, notes)
    error = row["morph_sigma_err"] if major == size else None
    sizes = (parameter("sigma", major, "deg", error), parameter("e", e), parameter("phi", phi, "deg"))
    return part("gauss", *at, *sizes, frame=frame)


def _place(row: Row, place: str, *, is_equatorial: bool) -> list[dict[str, Any]]:
    names = ("ra", "dec") if is_equatorial else ("glon", "glat")
    measured = tuple(f"pos_{name}" for name in names)
    # A measured place of exactly zero, zero is an empty one.
    is_measured = all(math.isfinite(row[name]) for name in measured) and any(row[name] != 0 for name in measured)
    lon, lat = numbers(row, measured if is_measured else names, place, row["common_name"])
    error = row["pos_err"] if is_measured else math.nan
    return [
        parameter("lon_0", lon, "deg", error / math.cos(math.radians(lat))),
        parameter("lat_0", lat, "deg", error),
    ]


def _ellipse(row: Row, size: float, notes: list[str]) -> tuple[float, float, float]:
    """Return the major axis, the eccentricity and the position angle (deg)."""
    other, angle = row["morph_sigma2"], row["morph_pa"]
    if not other > 0:
        return size, 0.0, 0.0
    turn = angle if math.isfinite(angle) else 0.0
    major, minor = size, other
    if minor > major:
        notes.append(f"{row['common_name']}: the second radius is the larger one: exchanged, and turned by 90 deg")
        major, minor, turn = minor, major, turn + 90.0
    return major, math.sqrt(1 - (minor / major) ** 2), (turn + 180.0) % 360.0 - 180.0
