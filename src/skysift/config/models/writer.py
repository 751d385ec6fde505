"""Model files written so that Gammapy opens them and skysift reads back all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from skysift.config.models.covariance import covariance_text
from skysift.config.models.declarations import (
    BackgroundDeclaration,
    ModelFile,
    ParameterDeclaration,
    PartDeclaration,
    PriorDeclaration,
    SourceDeclaration,
    TemplateDeclaration,
)
from skysift.config.models.links import map_parameters
from skysift.config.models.parameters import PRIORS
from skysift.config.models.reader import FORMAT_VERSION
from skysift.config.models.tags import ParameterKind, find_kind
from skysift.config.models.xml_writer import xml_models
from skysift.config.writer import yaml_text
from skysift.errors import InputError

__all__ = ["split_sums", "write_models", "yaml_models"]

_TABLE_UNITS = {"energy": "TeV", "values": "cm-2 s-1 TeV-1", "param": "", "lon": "deg", "lat": "deg"}
_AMPLITUDES = ("amplitude", "const")


def write_models(models: ModelFile, path: Path) -> None:
    """Write models to a file, as XML where its name ends so, else as YAML with the covariance beside it.

    Raises
    ------
    InputError : something that XML cannot say, or no place to write
    """
    if path.suffix == ".xml":
        texts = {path: xml_models(models)}
    elif models.covariance is None:
        texts = {path: yaml_models(models)}
    else:
        beside = path.with_name(f"{path.stem}_covariance.dat")
        texts = {path: yaml_models(models, beside.name), beside: covariance_text(models)}
    for file, text in texts.items():
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(file, "(file)", str(error), "a place to write", "check the folder") from error


def yaml_models(models: ModelFile, covariance_file: str | None = None) -> str:
    """Return models as YAML in the layout of Gammapy.

    Expressions, penalties and joint priors go into a block ``skysift`` that Gammapy leaves alone; a parameter set by an
    expression is frozen at its value for Gammapy.

    Raises
    ------
    InputError : a sum of shapes under a spectrum without amplitude
    """
    split = split_sums(models)
    data: dict[str, Any] = {"components": [_component(component) for component in split.components]}
    if covariance_file is not None:
        data["covariance"] = covariance_file
    expressions = {
        name: parameter.expression for name, parameter in split.parameters().items() if parameter.expression is not None
    }
    extras = {name: value for name, value in models.extras.items() if name not in ("format_version", "expressions")}
    if expressions or extras:
        data["skysift"] = {"format_version": FORMAT_VERSION, "expressions": expressions, **extras}
    return yaml_text(data)


def split_sums(models: ModelFile) -> ModelFile:
    """Return the same models with each sum of shapes as sources of their own, linked in all but their amplitude.

    Raises
    ------
    InputError : a spectrum without amplitude
    """
    if not any(one.spatial is not None and one.spatial.tag == "sum" for one in models.components):
        return models
    components = [part for component in models.components for part in _split(models.name, component)]
    return replace(models, components=tuple(components), covariance=None)


def _split(place: str, source: SourceDeclaration) -> list[SourceDeclaration]:
    shape = source.spatial
    if shape is None or shape.tag != "sum":
        return [source]
    scaled = next((one for one in source.spectral.parameters if one.name in _AMPLITUDES), None)
    if scaled is None:
        raise InputError(
            place or "models", f"source {source.name!r}: spatial", "a sum of shapes",
            "a spectrum with an amplitude", "write its parts as sources of their own",
        )  # fmt: skip
    weights = shape.tables["weights"]
    parts = []
    for number, (weight, one) in enumerate(zip(weights, shape.parts, strict=True), 1):
        name = f"{source.name} part {number}"
        part = replace(source, name=name, spatial=one)
        changed = {}
        for parameter in source.spectral.parameters:
            changed[f"{name}.spectral.{parameter.name}"] = replace(
                parameter, link=parameter.link or f"{source.name}.{parameter.name}"
            )
        share = weight / weights[0]
        whole = f"{name}.spectral.{scaled.name}"
        # The amplitude of a part is its own share; that of the first sets the others.
        first = f"'{source.name} part 1'.spectral.{scaled.name}"
        changed[whole] = replace(
            _times(scaled, weight), link=None, expression=None if number == 1 else f"{share!r} * {first}"
        )
        parts.append(map_parameters(part, changed))
    return parts


def _times(parameter: ParameterDeclaration, factor: float) -> ParameterDeclaration:
    return replace(
        parameter,
        value=parameter.value * factor,
        error=None if parameter.error is None else parameter.error * factor,
        low=None if parameter.low is None else parameter.low * factor,
        high=None if parameter.high is None else parameter.high * factor,
        prior=None if parameter.prior is None else parameter.prior.scaled(factor),
    )


def _component(component: SourceDeclaration) -> dict[str, Any]:
    data: dict[str, Any] = {"name": component.name, "type": "SkyModel"}
    if isinstance(component, BackgroundDeclaration):
        data["type"] = "FoVBackgroundModel"
    elif isinstance(component, TemplateDeclaration):
        data |= {"type": "TemplateNPredModel", "filename": component.file}
    elif not all(component.apply_irf.values()):
        data["apply_irf"] = dict(component.apply_irf)
    if component.datasets is not None:
        data["datasets_names"] = list(component.datasets)
    return data | {role: _part(role, part) for role, part in component.parts()}


def _part(role: str, part: PartDeclaration) -> dict[str, Any]:
    kind = find_kind(role, part.tag)
    assert kind is not None  # noqa: S101 - every declared part has a kind
    data: dict[str, Any] = {"type": kind.class_name}
    if part.tag == "compound":
        first, second = part.parts
        return data | {"model1": _part(role, first), "model2": _part(role, second), **part.settings}
    if part.frame is not None:
        data["frame"] = part.frame
    kinds = {one.name: one for one in kind.parameters}
    data["parameters"] = [_parameter(one, kinds.get(one.name)) for one in part.parameters if not math.isnan(one.value)]
    if part.file is not None:
        data["filename"] = part.file
    settings = {name: value for name, value in part.settings.items() if name != "is_factor"}
    return data | settings | _tables(part)


def _tables(part: PartDeclaration) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, numbers in part.tables.items():
        has_unit = name != "values" or (part.tag == "template" and not part.settings.get("is_factor"))
        unit = _TABLE_UNITS[name] if has_unit else ""
        data: list[Any] = list(numbers)
        if part.tag == "ebl-norm" and name == "values":
            width = len(part.tables["energy"])
            data = [data[start : start + width] for start in range(0, len(data), width)]
        written[name] = {"data": data, "unit": unit}
    return written


def _parameter(parameter: ParameterDeclaration, kind: ParameterKind | None) -> dict[str, Any]:
    known = kind or ParameterKind(parameter.name, None)
    data: dict[str, Any] = {"name": parameter.name, "value": parameter.value}
    if parameter.unit or known.unit:
        data["unit"] = parameter.unit
    if parameter.error is not None:
        data["error"] = parameter.error
    for name, limit, default in (("min", parameter.low, known.low), ("max", parameter.high, known.high)):
        # Gammapy knows the limits of a kind as numbers, whatever the unit of the file.
        if limit != default or parameter.unit != known.unit:
            data[name] = math.nan if limit is None else limit
    is_frozen = parameter.is_frozen or parameter.expression is not None
    if is_frozen != known.is_frozen:
        data["frozen"] = is_frozen
    data |= dict(parameter.hints)
    if parameter.link is not None and parameter.expression is None:
        data["link"] = parameter.link
    if parameter.prior is not None:
        data["prior"] = _prior(parameter.prior)
    return data


def _prior(prior: PriorDeclaration) -> dict[str, Any]:
    name, _, names = next(row for row in PRIORS if row[1] == prior.kind)
    numbers: list[Mapping[str, Any]] = [
        {"name": one, "value": number} for one, number in zip(names, prior.numbers, strict=True)
    ]
    return {"type": name, "parameters": numbers, "weight": prior.weight}
