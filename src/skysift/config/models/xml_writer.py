"""Model files of ctools and the Fermi tools written: as they were read where they were, in ctools' words otherwise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from skysift.config.models.declarations import (
    BackgroundDeclaration,
    ModelFile,
    ParameterDeclaration,
    PartDeclaration,
    SourceDeclaration,
)
from skysift.config.models.units import read_unit
from skysift.config.models.xml_kinds import MAPS, XML_KINDS, XmlKind, XmlParameter
from skysift.config.models.xml_parameters import XmlEntries, change_value, write_xml_parameter
from skysift.config.models.xml_parts import find_parameters, settle_kind
from skysift.config.models.xml_reader import read_xml_source
from skysift.config.models.xml_tree import XmlElement, xml_text
from skysift.errors import InputError

__all__ = ["xml_models"]

_NORM_NAMES = {"pl-norm": {"amplitude": "norm", "index": "tilt"}}
_NODE_ROW = XmlParameter(("Intensity",), "value", "cm-2 s-1 MeV-1")
_MEV = 1e6
Rows = dict[str, ParameterDeclaration]


def xml_models(models: ModelFile) -> str:
    """Return models as XML.

    Sources that came from XML keep the names, scales, order and digits of their file wherever nothing has changed.

    Raises
    ------
    InputError : links, expressions, priors, kinds of models that XML does not have
    """
    sources = tuple(_write_source(models.name, component) for component in models.components)
    return xml_text(XmlElement("source_library", {"title": "source library"}, sources))


def _write_source(place: str, component: SourceDeclaration) -> XmlElement:
    for name, parameter in component.parameters():
        for what in ("link", "expression", "prior"):
            if getattr(parameter, what) is not None:
                raise _fault(place, name, f"a {what}", "parameters that stand alone", "write YAML instead")
    if isinstance(component.origin, XmlElement):
        updated = _update(component, component.origin)
        if updated is not None:
            return updated
    return _make(place, component)


def _fault(place: str, field: str, found: str, wanted: str, remedy: str) -> InputError:
    return InputError(place or "models", field, found, wanted, remedy)


def _update(component: SourceDeclaration, origin: XmlElement) -> XmlElement | None:
    """Return the element with what has changed, None where it has become another kind of source."""
    entries = XmlEntries("(as read)", Path(component.place).parent)
    old = read_xml_source(entries, origin)
    spectral, was = component.spectral, old.spectral
    if _tags(spectral) != _tags(was) or not _same_kinds(component, old):
        return None
    element = replace(origin, attributes={**origin.attributes, "name": component.name})
    for role, tag in (("spectral", "spectrum"), ("spatial", "spatialModel"), ("temporal", "temporal")):
        for child in origin.all(tag):
            before, after = getattr(old, role), getattr(component, role)
            element = element.with_child(child, _update_part(entries, role, child, before, after, origin))
    return element


def _tags(part: PartDeclaration) -> list[str]:
    return [part.tag, *(tag for inner in part.parts for tag in _tags(inner))]


def _same_kinds(one: SourceDeclaration, two: SourceDeclaration) -> bool:
    kinds = [{role: part.tag for role, part in source.parts()} for source in (one, two)]
    return kinds[0] == kinds[1] and (
        one.spatial is None or two.spatial is None or one.spatial.frame == two.spatial.frame
    )


def _update_part(
    entries: XmlEntries, role: str, element: XmlElement, old: PartDeclaration, new: PartDeclaration, origin: XmlElement
) -> XmlElement:
    name = element.attributes.get("type", "")
    if role == "spatial" and (name in MAPS or new.tag == "const"):
        return element
    kind = settle_kind(entries, role, element)
    if kind.handling == "nodes":
        return _update_nodes(element, old, new)
    has_norm = any(child.attributes.get("type") in MAPS for child in origin.all("spatialModel"))
    before, after = (
        _rows(kind, part.parts[0] if has_norm and part.tag == "compound" and not kind.handling else part)
        for part in (old, new)
    )
    given = find_parameters(entries, element)
    for row in kind.parameters:
        child = next(given[one] for one in row.names if one in given)
        element = element.with_child(child, write_xml_parameter(child, before[row.target], after[row.target], row))
    return element


def _rows(kind: XmlKind, part: PartDeclaration) -> Rows:
    """Return parameters under the names that the table of XML knows them by."""
    found = {name.split(".")[-1]: parameter for name, parameter in part.named_parameters()}
    names = _NORM_NAMES.get(part.tag, {}) if kind.tag != "compound" else {}
    if kind.tag == "const" and part.tag == "pl-norm":
        names = {"const": "norm"}
    units = {row.target: row.unit for row in kind.parameters}
    found |= {name: replace(found[now], unit=units[name]) for name, now in names.items()}
    if kind.handling == "ellipse":
        size = next(row.target for row in kind.parameters if row.target in ("sigma", "r_0"))
        major, share = found[size], math.sqrt(max(1 - found["e"].value ** 2, 0.0))
        found[""] = replace(major, value=major.value * share, error=None, is_frozen=found["e"].is_frozen)
    if kind.handling == "expfactor":
        reference = found["reference"]
        in_mev = reference.value * read_unit(reference.unit).factor * _MEV
        factor = math.exp(found["expfactor"].value * in_mev ** found["index_2"].value)
        found["amplitude"] = _times(found["amplitude"], factor)
    return found


def _times(parameter: ParameterDeclaration, factor: float) -> ParameterDeclaration:
    return replace(
        parameter,
        value=parameter.value * factor,
        low=None if parameter.low is None else parameter.low * factor,
        high=None if parameter.high is None else parameter.high * factor,
        error=None if parameter.error is None else parameter.error * factor,
    )


def _update_nodes(element: XmlElement, old: PartDeclaration, new: PartDeclaration) -> XmlElement:
    values = old.parts[0].tables["values"]
    for number, node in enumerate(tuple(element.all("node"))):
        before, after = (
            replace(_times(part.parts[1].parameters[number], values[number] / _MEV), unit=_NODE_ROW.unit)
            for part in (old, new)
        )
        child = next(one for one in node.all("parameter") if one.attributes.get("name") == "Intensity")
        changed = node.with_child(child, write_xml_parameter(child, before, after, _NODE_ROW))
        element = element.with_child(node, changed)
    return element


def _make(place: str, component: SourceDeclaration) -> XmlElement:
    """Return a source in the words of ctools."""
    if isinstance(component, BackgroundDeclaration):
        kind = next(one for one in XML_KINDS if one.tag == "pl")
        spectrum = _fill(kind, _rows(kind, component.spectral), "spectrum")
        attributes = {"name": component.name, "type": "CTAIrfBackground", "instrument": "CTA"}
        if component.dataset:
            attributes["id"] = component.dataset
        return XmlElement("source", attributes, (spectrum,))
    children = [_make_spectrum(place, component), _make_shape(place, component)]
    if component.temporal is not None and component.temporal.tag != "const":
        children.append(_make_plain(place, component, "temporal", component.temporal, "temporal"))
    tag = component.spatial.tag if component.spatial else ""
    kind_of_source = (
        "PointSource" if tag == "point" else "DiffuseSource" if tag in ("template", "const") else "ExtendedSource"
    )
    return XmlElement("source", {"name": component.name, "type": kind_of_source}, tuple(children))


def _make_spectrum(place: str, component: SourceDeclaration) -> XmlElement:
    part = component.spectral
    if part.tag != "compound":
        return _make_plain(place, component, "spectral", part, "spectrum")
    is_nodes = [one.tag for one in part.parts] == ["template", "piecewise-norm"] and part.settings["operator"] == "mul"
    if not is_nodes or part.parts[0].tables["energy"] != part.parts[1].tables["energy"]:
        field = f"source {component.name!r}: spectral"
        raise _fault(place, field, "a compound spectrum", "a spectrum that XML has", "write YAML instead")
    tables = part.parts[0].tables
    nodes = []
    for energy, value, norm in zip(tables["energy"], tables["values"], part.parts[1].parameters, strict=True):
        at = ParameterDeclaration("Energy", energy * _MEV, "MeV", is_frozen=True, natural_unit="TeV")
        intensity = replace(_times(norm, value / _MEV), unit=_NODE_ROW.unit)
        rows = ((XmlParameter(("Energy",), "energy", "MeV"), at), (_NODE_ROW, intensity))
        nodes.append(XmlElement("node", {}, tuple(_parameter(row, one) for row, one in rows)))
    return XmlElement("spectrum", {"type": "NodeFunction"}, tuple(nodes))


def _make_shape(place: str, component: SourceDeclaration) -> XmlElement:
    part = component.spatial
    if part is None:
        raise _fault(place, f"source {component.name!r}: spatial", "nothing", "a shape", "add one")
    if part.tag == "const":
        row = XmlParameter(("Value",), "value")
        return XmlElement("spatialModel", {"type": "DiffuseIsotropic"}, (_parameter(row, part.natural()["value"]),))
    if part.tag == "template":
        norm = ParameterDeclaration("norm", 1.0, is_frozen=True)
        row = XmlParameter(("Normalization",), "norm")
        attributes = {"type": "DiffuseMap", "file": part.file or ""}
        if part.settings.get("normalize") is False:
            attributes["normalize"] = "0"
        return XmlElement("spatialModel", attributes, (_parameter(row, norm),))
    return _make_plain(place, component, "spatial", part, "spatialModel")


def _make_plain(place: str, component: SourceDeclaration, role: str, part: PartDeclaration, tag: str) -> XmlElement:
    is_galactic = part.frame == "galactic"
    is_round = "e" not in {one.name for one in part.parameters} or (part["e"].value == 0 and part["e"].is_frozen)
    has_alpha = part.tag == "ecpl" and not (part["alpha"].value == 1 and part["alpha"].is_frozen)

    def fits(kind: XmlKind) -> bool:
        names = {name for row in kind.parameters for name in row.names}
        return (
            kind.role == role and kind.tag == part.tag
            and (role != "spatial" or ("GLON" in names) == is_galactic)
            and (role != "spatial" or (kind.handling == "ellipse") != is_round)
            and ("Index2" in names or part.tag != "ecpl" or not has_alpha)
        )  # fmt: skip

    kind = next((one for one in XML_KINDS if fits(one)), None)
    if kind is None:
        known = ", ".join(sorted({one.tag for one in XML_KINDS if one.role == role}))
        field = f"source {component.name!r}: {role}"
        raise _fault(place, field, part.tag, f"one of {known}", "XML has no such model: write YAML instead")
    element = _fill(kind, _rows(kind, part), tag)
    return replace(element, attributes={**element.attributes, "file": part.file}) if part.file else element


def _fill(kind: XmlKind, rows: Rows, tag: str) -> XmlElement:
    children = tuple(_parameter(row, rows[row.target]) for row in kind.parameters)
    return XmlElement(tag, {"type": kind.types[0]}, children)


def _parameter(row: XmlParameter, parameter: ParameterDeclaration) -> XmlElement:
    """Return a new element whose scale makes its value a number near one."""
    size = parameter.value
    if parameter.unit != row.unit and row.change != "inverse":
        size *= read_unit(parameter.unit).factor / read_unit(row.unit).factor
    elif row.change == "inverse":
        size = change_value(size * read_unit(parameter.unit).factor * 1e-6, "inverse")
    # Angles and exponents stay as people read them.
    scale = -1.0 if row.change == "negative" else _power_of_ten(size) if row.unit not in ("", "deg") else 1.0
    text = f"{scale:g}" if float(f"{scale:g}") == scale else repr(scale)
    empty = XmlElement("parameter", {"name": row.names[0], "scale": text, "value": "0", "free": "0"})
    return write_xml_parameter(empty, None, parameter, row)


def _power_of_ten(value: float) -> float:
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 1.0
