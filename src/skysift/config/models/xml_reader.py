"""Model files of ctools, gammalib and the Fermi tools: sources with spectra, shapes and light curves in XML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from skysift.config.models.declarations import BackgroundDeclaration, ModelFile, PartDeclaration, SourceDeclaration
from skysift.config.models.tags import find_kind
from skysift.config.models.xml_kinds import BACKGROUNDS
from skysift.config.models.xml_parameters import XmlEntries
from skysift.config.models.xml_parts import complete, read_xml_curve, read_xml_shape, read_xml_spectrum, scaled
from skysift.config.models.xml_tree import XmlElement, read_xml

__all__ = ["read_xml_models", "read_xml_source"]

_TYPES = ("PointSource", "ExtendedSource", "DiffuseSource", "CompositeSource")
_NORMS = {"pl": "pl-norm", "ecpl": "ecpl-norm", "lp": "lp-norm", "const": "pl-norm"}
_RENAMED = {"amplitude": "norm", "const": "norm"}


def read_xml_models(path: Path, *, is_strict: bool = False) -> ModelFile:
    """Return what an XML file declares; values are in the units of the file.

    Parameters
    ----------
    path : XML as ctools, gammalib or the Fermi tools write it, or that compressed by gzip
    is_strict : whether what would be repaired with a warning is refused

    Raises
    ------
    InputError : no such file, not well formed, a type or parameter without meaning

    References
    ----------
    Fermi Science Support Center, source model definitions for gtlike; ctools user manual, model components
    """
    root = read_xml(path)
    entries = XmlEntries(str(path), path.parent, is_strict)
    if root.tag != "source_library":
        entries.refuse(root, "(XML)", f"<{root.tag}>", "<source_library>", "check that it is a file of models")
    components, seen = [], set()
    for element in root.all("source"):
        component = read_xml_source(entries, element)
        if component.name in seen:
            entries.refuse(element, "name", f"{component.name!r} a second time", "each name once", "rename one of them")
        seen.add(component.name)
        components.append(component)
    if not components:
        entries.refuse(root, "(XML)", "no <source>", "one source or more", "check the file")
    return ModelFile(tuple(components), str(path), warnings=tuple(entries.warnings))


def read_xml_source(entries: XmlEntries, element: XmlElement) -> SourceDeclaration:
    """Return the source that an element declares."""
    name = element.attributes.get("name")
    entries.source = name or ""
    if not name:
        entries.refuse(element, "name", "nothing", "a name", 'add name="..."')
    kind = element.attributes.get("type", "")
    spectra = list(element.all("spectrum"))
    if len(spectra) != 1:
        entries.refuse(element, "spectrum", f"{len(spectra)} spectra", "one <spectrum>", "correct the source")
    if kind in BACKGROUNDS:
        return _background(entries, element, spectra[0], name)
    if kind not in _TYPES:
        entries.refuse(
            element, "type", repr(kind), f"one of {', '.join((*_TYPES, *BACKGROUNDS))}", "replace it, or remove it"
        )
    shapes, curves = list(element.all("spatialModel")), list(element.all("temporal"))
    if len(shapes) != 1 or len(curves) > 1:
        found = f"{len(shapes)} spatial and {len(curves)} temporal models"
        entries.refuse(
            element, "spatialModel", found, "one <spatialModel>, at most one <temporal>", "correct the source"
        )
    shape = read_xml_shape(entries, shapes[0])
    spectrum = read_xml_spectrum(entries, spectra[0])
    if shape.is_intensity:
        spectrum = as_norm(entries, spectra[0], spectrum)
    if shape.norm is not None:
        spectrum = scaled(spectrum, shape.norm)
    return SourceDeclaration(
        name,
        spectrum,
        shape.part,
        read_xml_curve(entries, curves[0]) if curves else None,
        place=entries.place(element),
        origin=element,
    )


def _background(entries: XmlEntries, element: XmlElement, spectrum: XmlElement, name: str) -> BackgroundDeclaration:
    part = read_xml_spectrum(entries, spectrum)
    if part.tag != "pl":
        entries.refuse(spectrum, "spectrum", part.tag, "a power law", "backgrounds of other spectra are not read")
    dataset = element.attributes.get("id")
    return BackgroundDeclaration(
        name,
        as_norm(entries, spectrum, part),
        datasets=None if dataset is None else (dataset,),
        place=entries.place(element),
        origin=element,
    )


def as_norm(entries: XmlEntries, element: XmlElement, part: PartDeclaration) -> PartDeclaration:
    """Return the norm spectrum that a spectrum means where it multiplies an intensity: its norm has no unit."""
    if part.tag == "compound":
        return part
    kind = find_kind("spectral", _NORMS.get(part.tag, ""))
    if kind is None:
        entries.refuse(
            element, "spectrum", part.tag, f"one of {', '.join(_NORMS)} as factor of an intensity", "replace it"
        )
    natural = {parameter.name: parameter.unit for parameter in kind.parameters}
    renamed = {}
    for parameter in part.parameters:
        name = "tilt" if (part.tag, parameter.name) == ("pl", "index") else _RENAMED.get(parameter.name, parameter.name)
        unit = "" if name == "norm" else parameter.unit
        renamed[name] = replace(parameter, name=name, unit=unit, natural_unit=natural[name])
    return PartDeclaration(kind.tag, complete("spectral", kind.tag, renamed))
