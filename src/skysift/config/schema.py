"""The JSON schema of a configuration, generated from the types, for editors and catalogues."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from skysift.config.analysis import Analysis
from skysift.config.cubes.analysis import CubeAnalysis
from skysift.config.events.analysis import EventAnalysis
from skysift.config.section import Section

__all__ = ["schema_text"]


def schema_text() -> str:
    """Return the JSON schema (draft 2020-12) of an analysis, shorthands included.

    Examples
    --------
    >>> json.loads(schema_text())["title"]
    'skysift analysis'
    """
    kinds = Analysis | EventAnalysis | CubeAnalysis
    schema: dict[str, Any] = TypeAdapter[Any](kinds).json_schema(mode="validation")
    maps, events, cubes = schema.pop("anyOf")
    schema |= _choose("ctao", events, _choose("cube", cubes, maps))
    for section in _sections(Section):
        _allow_shorthands(schema["$defs"], section)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated from the types by `skysift schema --write`; never edited by hand.",
    }
    return json.dumps(head | schema | {"title": "skysift analysis"}, indent=2, ensure_ascii=False) + "\n"


def _choose(instrument: str, chosen: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that takes one form for an instrument, and another form for all others."""
    named = {"properties": {"instrument": {"const": instrument}}, "required": ["instrument"]}
    return {"if": {"properties": {"observation": named}}, "then": chosen, "else": other}


def _sections(base: type[Section]) -> Iterable[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _allow_shorthands(definitions: dict[str, Any], section: type[Section]) -> None:
    """Let a section also be what its class lists as shorthands."""
    if section.shorthands and section.__name__ in definitions:
        mapping = definitions[section.__name__]
        definitions[section.__name__] = {"anyOf": [mapping, *section.shorthands]}
