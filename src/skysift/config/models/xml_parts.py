"""Spectra, shapes and light curves of ctools and Fermi XML as declared parts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from skysift.config.models.declarations import ParameterDeclaration, PartDeclaration
from skysift.config.models.tags import ParameterKind, find_kind
from skysift.config.models.xml_kinds import ISOTROPIC, MAPS, XML_KINDS, XmlKind, XmlParameter, find_xml_kinds
from skysift.config.models.xml_parameters import XmlEntries, read_xml_parameter
from skysift.config.models.xml_tree import XmlElement
from skysift.errors import nearest

__all__ = [
    "XmlShape",
    "complete",
    "find_parameters",
    "read_xml_curve",
    "read_xml_shape",
    "read_xml_spectrum",
    "scaled",
    "settle_kind",
]

Found = dict[str, ParameterDeclaration]
_PER_TEV = 1e6
_NORM_ROW = XmlParameter(("Normalization", "Prefactor", "Value"), "norm")
_VALUE_ROW = XmlParameter(("Value",), "value", "sr-1")


@dataclass(frozen=True)
class XmlShape:
    """A shape, and what its element says about the spectrum.

    Parameters
    ----------
    part : declared
    norm : factor of the spectrum where it is not one, else None
    is_intensity : whether the spectrum multiplies an intensity
    """

    part: PartDeclaration
    norm: ParameterDeclaration | None = None
    is_intensity: bool = False


def find_parameters(entries: XmlEntries, element: XmlElement) -> dict[str, XmlElement]:
    """Return the parameters of an element by name."""
    found: dict[str, XmlElement] = {}
    for child in element.all("parameter"):
        name = child.attributes.get("name", "")
        if name in found:
            entries.refuse(child, element.tag, f"parameter {name!r} a second time", "each once", "remove one of them")
        found[name] = child
    return found


def settle_kind(entries: XmlEntries, role: str, element: XmlElement) -> XmlKind:
    """Return the kind that the type of an element and the names of its parameters decide."""
    name = element.attributes.get("type", "")
    candidates = find_xml_kinds(role, name)
    if not candidates:
        _refuse_type(entries, role, element, name)
    given = set(find_parameters(entries, element))
    for kind in candidates:
        if all(given.intersection(row.names) for row in kind.parameters):
            return kind
    wanted = "; or ".join(", ".join("/".join(row.names) for row in kind.parameters) for kind in candidates)
    entries.refuse(element, f"{element.tag} {name}", ", ".join(sorted(given)), wanted, "this function is not another's")


def _refuse_type(entries: XmlEntries, role: str, element: XmlElement, name: str) -> NoReturn:
    known = [one for kind in XML_KINDS if kind.role == role for one in kind.types]
    known += [*MAPS, *ISOTROPIC] if role == "spatial" else []
    names = list(dict.fromkeys(known))
    entries.refuse(element, f"{element.tag} type", repr(name), f"one of {', '.join(names)}", nearest(name, names))


def _read_rows(entries: XmlEntries, element: XmlElement, kind: XmlKind, tag: str) -> Found:
    """Return all parameters of an element by the name that they become."""
    given = find_parameters(entries, element)
    kinds = _kinds(kind.role, tag)
    found: Found = {}
    for row in kind.parameters:
        child = next(given.pop(name) for name in row.names if name in given)
        target = kinds.get(row.target) or ParameterKind(row.target, None, row.unit)
        found[row.target] = read_xml_parameter(entries, child, row, target)
    for name, child in given.items():
        if name not in kind.ignored:
            known = [one for row in kind.parameters for one in row.names]
            entries.refuse(child, element.tag, f"parameter {name!r}", "a parameter of this model", nearest(name, known))
        if name != "Normalization" or entries.number(child, "value") * entries.number(child, "scale", 1.0) != 1:
            entries.warn(child, element.tag, f"parameter {name!r} has no meaning here and is left out")
    return found


def _kinds(role: str, tag: str) -> dict[str, ParameterKind]:
    kind = find_kind(role, tag)
    return {} if kind is None else {parameter.name: parameter for parameter in kind.parameters}


def complete(role: str, tag: str, found: Mapping[str, ParameterDeclaration]) -> tuple[ParameterDeclaration, ...]:
    """Return parameters in the order of their kind; what XML does not have is as the kind says, and frozen."""
    return tuple(
        found.get(name)
        or ParameterDeclaration(
            name,
            0.0 if kind.value is None else kind.value,
            kind.unit,
            None,
            kind.low,
            kind.high,
            is_frozen=True,
            natural_unit=kind.unit,
        )
        for name, kind in _kinds(role, tag).items()
    )


def read_xml_spectrum(entries: XmlEntries, element: XmlElement) -> PartDeclaration:
    """Return the spectrum that an element declares."""
    kind = settle_kind(entries, "spectral", element)
    if kind.handling in _SPECIAL:
        return _SPECIAL[kind.handling](entries, element, kind)
    return PartDeclaration(kind.tag, complete("spectral", kind.tag, _read_rows(entries, element, kind, kind.tag)))


def _read_expfactor(entries: XmlEntries, element: XmlElement, kind: XmlKind) -> PartDeclaration:
    """Return the cutoff of 4FGL: its amplitude is the flux at the reference, that of XML without the cutoff there."""
    found = _read_rows(entries, element, kind, kind.tag)
    size = found["expfactor"].value * found["reference"].value ** found["index_2"].value
    amplitude, factor = found["amplitude"], math.exp(-size)
    found["amplitude"] = replace(
        amplitude,
        value=amplitude.value * factor,
        low=None if amplitude.low is None else amplitude.low * factor,
        high=None if amplitude.high is None else amplitude.high * factor,
        error=None if amplitude.error is None else amplitude.error * factor,
    )
    return PartDeclaration(kind.tag, complete("spectral", kind.tag, found))


def _read_nodes(entries: XmlEntries, element: XmlElement, kind: XmlKind) -> PartDeclaration:
    """Return a template times norms at its nodes, which are as free as the intensities are."""
    energies: list[float] = []
    values: list[float] = []
    norms: list[ParameterDeclaration] = []
    rows = (XmlParameter(("Energy",), "energy", "MeV"), XmlParameter(("Intensity",), "value", "cm-2 s-1 MeV-1"))
    for number, node in enumerate(element.all("node")):
        given = find_parameters(entries, node)
        missing = [row.names[0] for row in rows if row.names[0] not in given]
        if missing or len(given) != len(rows):
            entries.refuse(node, f"node {number}", ", ".join(given), "Energy and Intensity", "correct the node")
        energy, value = (
            read_xml_parameter(entries, given[row.names[0]], row, ParameterKind(row.target, None, row.unit))
            for row in rows
        )
        if energies and energy.value <= energies[-1]:
            found = f"{energy.value:g} after {energies[-1]:g} MeV"
            entries.refuse(node, f"node {number}", found, "energies that rise", "sort the nodes")
        if min(energy.value, value.value) <= 0:
            entries.refuse(node, f"node {number}", f"{energy.value:g}, {value.value:g}", "numbers > 0", "remove it")
        energies.append(energy.value)
        values.append(value.value)
        norms.append(_relative(value, f"norm_{number}"))
    if len(energies) < 2:
        entries.refuse(element, "spectrum", f"{len(energies)} nodes", "two or more", "take a power law")
    table = tuple(energy / _PER_TEV for energy in energies)
    template = PartDeclaration("template", tables={"energy": table, "values": tuple(one * _PER_TEV for one in values)})
    nodes = PartDeclaration("piecewise-norm", tuple(norms), {"energy": table}, {"interp": "log"})
    return PartDeclaration("compound", settings={"operator": "mul"}, parts=(template, nodes))


def _relative(value: ParameterDeclaration, name: str) -> ParameterDeclaration:
    """Return a parameter in units of its own value."""
    size = value.value
    return replace(
        value,
        name=name,
        value=1.0,
        unit="",
        natural_unit="",
        error=value.error and value.error / size,
        low=None if value.low is None else value.low / size,
        high=None if value.high is None else value.high / size,
    )


def _read_file(entries: XmlEntries, element: XmlElement, kind: XmlKind) -> PartDeclaration:
    """Return a table of energies (MeV) and fluxes in a file, times a norm."""
    norm = _read_rows(entries, element, kind, "pl-norm")["norm"]
    path = _find(entries, element)
    tables = _read_columns(entries, element, Path(path)) if Path(path).is_file() else {}
    template = PartDeclaration("template", tables=tables, file=path)
    return scaled(template, norm)


def scaled(part: PartDeclaration, norm: ParameterDeclaration) -> PartDeclaration:
    """Return a spectrum times a norm."""
    law = PartDeclaration("pl-norm", complete("spectral", "pl-norm", {"norm": norm}))
    return PartDeclaration("compound", settings={"operator": "mul"}, parts=(part, law))


def _read_columns(entries: XmlEntries, element: XmlElement, path: Path) -> dict[str, tuple[float, ...]]:
    lines = [line.split("#")[0].split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        rows = [(float(line[0]), float(line[1])) for line in lines if line]
    except (ValueError, IndexError):
        rows = []
    rising = all(one[0] < two[0] for one, two in pairwise(rows))
    if len(rows) < 2 or not rising or min(min(row) for row in rows) <= 0:
        entries.refuse(
            element, f"file {path}", "no such table", "rising energies (MeV) and fluxes > 0", "correct the file"
        )
    return {
        "energy": tuple(row[0] / _PER_TEV for row in rows), "values": tuple(row[1] * _PER_TEV for row in rows)
    }  # fmt: skip


def _find(entries: XmlEntries, element: XmlElement) -> str:
    """Return the file that an element names: beside its own, or with ``$(NAME)`` filled in."""
    name = element.attributes.get("file", "")
    if not name:
        entries.refuse(element, f"{element.tag}, file", "nothing", "the name of a file", 'add file="..."')
    beside = entries.folder / name
    return str(beside) if beside.exists() else os.path.expandvars(name.replace("$(", "${").replace(")", "}"))


_SPECIAL: dict[str, Callable[[XmlEntries, XmlElement, XmlKind], PartDeclaration]] = {
    "expfactor": _read_expfactor,
    "nodes": _read_nodes,
    "file": _read_file,
}


def read_xml_shape(entries: XmlEntries, element: XmlElement) -> XmlShape:
    """Return the shape that an element declares."""
    name = element.attributes.get("type", "")
    if name in MAPS:
        return _read_map(entries, element, is_cube=MAPS[name])
    if name in ISOTROPIC:
        given = find_parameters(entries, element)
        child = given.get("Value") or given.get("Normalization") or element
        value = read_xml_parameter(entries, child, _VALUE_ROW, ParameterKind("value", 1.0, "sr-1"))
        return XmlShape(PartDeclaration("const", (value,)))
    kind = settle_kind(entries, "spatial", element)
    found = _read_rows(entries, element, kind, kind.tag)
    if kind.handling == "ellipse":
        found = _as_ellipse(entries, element, found)
    frame = "icrs" if kind.parameters[0].names[0] == "RA" else "galactic"
    return XmlShape(PartDeclaration(kind.tag, complete("spatial", kind.tag, found), frame=frame))


def _as_ellipse(entries: XmlEntries, element: XmlElement, found: Found) -> Found:
    """Return size and eccentricity from two radii."""
    size = "sigma" if "sigma" in found else "r_0"
    major, minor, angle = found[size], found.pop(""), found["phi"]
    if minor.value <= 0 or major.value <= 0:
        entries.refuse(element, "spatialModel", f"{major.value:g}, {minor.value:g}", "radii > 0", "take a point")
    turn = angle.value
    if minor.value > major.value:
        entries.warn(element, "spatialModel", "the minor radius is the larger one: exchanged, and turned by 90 deg")
        major, minor, turn = replace(minor, name=size, natural_unit="deg"), major, turn + 90.0
    share = minor.value / major.value
    is_frozen = minor.is_frozen
    found[size] = major
    found["e"] = ParameterDeclaration("e", math.sqrt(1 - share**2), low=0.0, high=1.0, is_frozen=is_frozen)
    found["phi"] = replace(angle, value=(turn + 180.0) % 360.0 - 180.0, low=-180.0, high=180.0)
    return found


def _read_map(entries: XmlEntries, element: XmlElement, *, is_cube: bool) -> XmlShape:
    given = find_parameters(entries, element)
    children = [given[name] for name in _NORM_ROW.names if name in given]
    norm = None
    if children:
        norm = read_xml_parameter(entries, children[0], _NORM_ROW, ParameterKind("norm", 1.0))
        norm = None if norm.value == 1 and norm.is_frozen else norm
    normalize = not is_cube and element.attributes.get("normalize", "1").strip() not in ("0", "false")
    part = PartDeclaration(
        "template",
        complete("spatial", "template", {}),
        settings={"normalize": normalize},
        file=_find(entries, element),
    )
    return XmlShape(part, norm, is_intensity=is_cube)


def read_xml_curve(entries: XmlEntries, element: XmlElement) -> PartDeclaration:
    """Return the light curve that an element declares."""
    kind = settle_kind(entries, "temporal", element)
    found = _read_rows(entries, element, kind, kind.tag)
    if kind.tag == "const":
        return PartDeclaration("const")
    normalize = element.attributes.get("normalize", "1").strip() not in ("0", "false")
    return PartDeclaration(
        kind.tag,
        complete("temporal", kind.tag, found),
        settings={"normalize": normalize, "scale": "utc"},
        file=_find(entries, element),
    )
