"""Model files in the layout of Gammapy: components with spectra, shapes and light curves, backgrounds, links."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skysift.config.models.covariance import read_covariance
from skysift.config.models.declarations import (
    BackgroundDeclaration,
    ModelFile,
    SourceDeclaration,
    TemplateDeclaration,
)  # fmt: skip
from skysift.config.models.entries import Entries, KeyPath
from skysift.config.models.links import join
from skysift.config.models.parts import read_part
from skysift.config.models.tags import find_kind
from skysift.config.problems import show
from skysift.config.reader import Dialect, Document, read_yaml
from skysift.errors import nearest

__all__ = ["FORMAT_VERSION", "interpret_models", "read_yaml_models"]

#: Of the block ``skysift`` in model files.
FORMAT_VERSION = 1
_DIALECT = Dialect(max_bytes=32_000_000, is_lenient=True)
_COMPONENTS = {
    "SkyModel": "source", "sky-model": "source", "FoVBackgroundModel": "background", "fov-bkg": "background",
    "TemplateNPredModel": "template",
}  # fmt: skip
_KEYS = {
    "source": ("name", "type", "spectral", "spatial", "temporal", "datasets_names", "apply_irf"),
    "background": ("name", "type", "spectral", "spatial", "datasets_names", "parameters"),
    "template": ("name", "type", "spectral", "spatial", "datasets_names", "filename"),
}
_OTHER = ("metadata", "checksum")
_IRF = ("exposure", "psf", "edisp")


def read_yaml_models(path: Path, *, is_strict: bool = False) -> ModelFile:
    """Return what a model file declares, with its covariance.

    Parameters
    ----------
    path : YAML in the layout of Gammapy, with or without the block ``skysift``
    is_strict : whether what would be repaired with a warning is refused

    Raises
    ------
    InputError : no such file, no valid YAML, or an entry without meaning
    """
    document = read_yaml(path, _DIALECT)
    return interpret_models(document, path.parent, is_strict=is_strict)


def interpret_models(document: Document, folder: Path = Path(), *, is_strict: bool = False) -> ModelFile:
    """Return what plain data in the layout of a model file declare.

    Parameters
    ----------
    document : plain data; catalogues of sources come in the same layout
    folder : in which files named in it are looked for first
    is_strict : whether what would be repaired with a warning is refused

    Raises
    ------
    InputError : an entry without meaning
    """
    entries = Entries(document, folder, is_strict)
    data = document.data
    for key in data:
        if key not in ("components", "covariance", "skysift", *_OTHER):
            entries.warn((key,), "an entry without meaning here is left out", "remove it")
    extras = _read_extras(entries, data.get("skysift"))
    listed = entries.items(data.get("components"), ("components",))
    components = tuple(_read_component(entries, item, ("components", number)) for number, item in enumerate(listed))
    entries.source = ""
    models = ModelFile(join(entries, components, extras), document.name, extras=extras)
    if data.get("covariance") is None:
        return _finish(models, entries, None, None)
    name = entries.text(data["covariance"], ("covariance",), "the name of a file")
    return _finish(models, entries, read_covariance(Path(entries.find(name, ("covariance",))), models), name)


def _finish(models: ModelFile, entries: Entries, covariance: Any, name: str | None) -> ModelFile:  # noqa: ANN401
    return ModelFile(
        models.components, models.name, covariance, name, models.extras, tuple(entries.warnings)
    )  # fmt: skip


def _read_extras(entries: Entries, value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    extras, path = entries.mapping(value, ("skysift",)), ("skysift",)
    entries.only(extras, ("format_version", "expressions"), path)
    version = extras.get("format_version")
    if version != FORMAT_VERSION:
        remedy = "use a newer skysift" if isinstance(version, int) else "add 'format_version: 1'"
        entries.refuse((*path, "format_version"), show(version), str(FORMAT_VERSION), remedy)
    return extras


def _read_component(entries: Entries, value: object, path: KeyPath) -> SourceDeclaration:
    data = entries.mapping(value, path)
    entries.source = str(data.get("name", ""))
    kind = entries.text(data.get("type"), (*path, "type"), "the type of a component")
    if kind not in _COMPONENTS:
        known = ", ".join(_COMPONENTS)
        entries.refuse((*path, "type"), kind, f"one of {known}", nearest(kind, _COMPONENTS))
    role = _COMPONENTS[kind]
    for key in data:
        if key not in _KEYS[role]:
            entries.warn((*path, key), "an entry without meaning here is left out", "remove it")
    return {"source": _read_source, "background": _read_background, "template": _read_template}[role](
        entries, data, path
    )


def _read_source(entries: Entries, data: Mapping[str, Any], path: KeyPath) -> SourceDeclaration:
    name = entries.text(data.get("name"), (*path, "name"), "a name")
    if data.get("spectral") is None:
        entries.refuse(path, "no spectral model", "a spectral model", "add 'spectral: ...'")
    flags = data.get("apply_irf")
    applied = dict.fromkeys(_IRF, True)
    if flags is not None:
        given = entries.mapping(flags, (*path, "apply_irf"))
        entries.only(given, _IRF, (*path, "apply_irf"))
        applied |= {key: entries.flag(flag, (*path, "apply_irf", key)) for key, flag in given.items()}
    parts = {
        role: None if data.get(role) is None else read_part(entries, role, data[role], (*path, role))
        for role in ("spatial", "temporal")
    }
    return SourceDeclaration(
        name,
        read_part(entries, "spectral", data["spectral"], (*path, "spectral")),
        parts["spatial"],
        parts["temporal"],
        entries.names(data.get("datasets_names"), (*path, "datasets_names")),
        applied,
        entries.document.place(path),
    )


def _read_norm(entries: Entries, data: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
    """Return the norm spectrum of a background or template, in the old layout too."""
    if data.get("spectral") is not None:
        return entries.mapping(data["spectral"], (*path, "spectral"))
    if data.get("parameters"):
        entries.warn(
            (*path, "parameters"),
            "parameters of an old layout are read; Gammapy would leave them out without a word",
            "write them below 'spectral: {type: pl-norm}'",
        )
        return {"type": "pl-norm", "parameters": data["parameters"]}
    return {"type": "pl-norm", "parameters": _written(find_kind("spectral", "pl-norm"))}


def _written(kind: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - never None here
    return [{"name": parameter.name, "value": parameter.value} for parameter in kind.parameters]


def _read_background(entries: Entries, data: Mapping[str, Any], path: KeyPath) -> BackgroundDeclaration:
    datasets = entries.names(data.get("datasets_names"), (*path, "datasets_names"))
    if datasets is None or len(datasets) != 1:
        found = "no data set" if datasets is None else f"{len(datasets)} data sets"
        entries.refuse((*path, "datasets_names"), found, "one data set", "write one background for each")
    name = f"{datasets[0]}-bkg"
    custom = data.get("name")
    entries.source = str(custom or name)
    spectrum = _read_norm(entries, data, path)
    return BackgroundDeclaration(
        str(custom or name),
        read_part(entries, "spectral", spectrum, (*path, "spectral")),
        None if data.get("spatial") is None else read_part(entries, "spatial", data["spatial"], (*path, "spatial")),
        None,
        datasets,
        place=entries.document.place(path),
    )


def _read_template(entries: Entries, data: Mapping[str, Any], path: KeyPath) -> TemplateDeclaration:
    name = entries.text(data.get("name"), (*path, "name"), "a name")
    datasets = entries.names(data.get("datasets_names"), (*path, "datasets_names"))
    return TemplateDeclaration(
        name,
        read_part(entries, "spectral", _read_norm(entries, data, path), (*path, "spectral")),
        None if data.get("spatial") is None else read_part(entries, "spatial", data["spatial"], (*path, "spatial")),
        None,
        datasets,
        place=entries.document.place(path),
        file=entries.find(data["filename"], (*path, "filename")) if data.get("filename") else "",
    )
