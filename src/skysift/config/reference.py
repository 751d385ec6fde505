"""The reference of the configuration, generated from the types: every key with type, unit, default and example."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skysift.config.analysis import Analysis
from skysift.config.cubes.analysis import CubeAnalysis
from skysift.config.events.analysis import EventAnalysis
from skysift.config.lookup import section_types
from skysift.config.problems import inline
from skysift.config.quantities import Density, format_quantity
from skysift.config.writer import plain

__all__ = ["reference_text"]

_WORDS: dict[Any, str] = {Any: "value", bool: "true or false", int: "whole number", float: "number", str: "text"}
_PLURALS = {"quantity": "quantities", "text": "names", "list of mappings": "mappings"}
_QUANTITIES = ("angle", "energy", "flux density", "intensity", "length", "time")
# Units of defaults, by key: in Python a quantity is a number.
_IN_PYTHON = {"center": "deg", "energy_edges": "GeV", "angle": "deg", "pivot": "TeV", "distance": "kpc"}
_FAR = 10**8  # bounds that only keep nonsense out are not worth a reader's time

Paths = dict[type[BaseModel], list[str]]


def reference_text() -> str:
    """Return the reference as Markdown."""
    preamble = files("skysift.config").joinpath("preamble.txt").read_text(encoding="utf-8")
    parts = [preamble.rstrip("\n")]
    maps = _find_sections(Analysis, "", {})
    for section, paths in maps.items():
        parts += _describe(section, paths)
    parts += ["", "## Event analyses", "", "With `observation: {instrument: ctao}`; engines and priors are as above."]
    events = _find_sections(EventAnalysis, "", {})
    for section in [section for section in events if section not in maps]:
        parts += _describe(section, events[section])
    parts += ["", "## Counts cubes", "", "With `observation: {instrument: cube}`; engines are as above."]
    cubes = _find_sections(CubeAnalysis, "", {})
    for section in [section for section in cubes if section not in {**maps, **events}]:
        parts += _describe(section, cubes[section])
    return "\n".join(parts) + "\n"


# ---------------------------------------------------------------- where each section stands


def _find_sections(section: type[BaseModel], path: str, found: Paths) -> Paths:
    """Return every section below one, in the order of the file, with the paths at which it stands."""
    is_known = section in found
    found.setdefault(section, []).append(path)
    if not is_known:
        # What a model holds is described there, not where a simulation uses it first.
        for name, info in sorted(_keys(section), key=lambda pair: pair[0] == "simulate"):
            for below in section_types(_values(info.annotation)):
                _find_sections(below, _path(path, name, info, below), found)
    return found


def _values(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - any type expression
    """Yield the types of a key, and those inside its mapping or list."""
    for member in _open(annotation):
        yield member
        if get_origin(member) in (dict, list):
            yield from _values(get_args(member)[-1])


def _path(path: str, name: str, info: FieldInfo, below: type[BaseModel]) -> str:
    brackets = {dict: ".<name>", list: "[]"}
    inside = [brackets[get_origin(member)] for member in _open(info.annotation) if get_origin(member) in brackets]
    joined = f"{path}.{name}".lstrip(".") + "".join(inside[:1])
    if "engine" in below.model_fields:
        return f"{joined}.{get_args(below.model_fields['engine'].annotation)[0]}"
    # The settings of an engine stand directly under its name.
    return joined.removesuffix(".settings")


def _open(kind: Any) -> list[Any]:  # noqa: ANN401 - any type expression
    """Open unions and annotations, and leave nothing out but null."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _open(get_args(kind)[0])
    if origin is not None and origin not in (dict, list, tuple, Literal):
        return [member for part in get_args(kind) for member in _open(part)]
    return [] if kind is NoneType else [kind]


def _keys(section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in section.model_fields.items():
        yield info.alias or name, info


# ---------------------------------------------------------------- tables


def _describe(section: type[BaseModel], paths: list[str]) -> list[str]:
    if "engine" in section.model_fields:
        return []
    first, *others = dict.fromkeys(paths)
    also = f" Also at {', '.join(f'`{path}`' for path in others[:3])}." if others else ""
    summary = (section.__doc__ or "").splitlines()[0]
    return [
        "",
        f"### `{first}`" if first else "### Top level",
        "",
        summary + also,
        "",
        "| key | type | unit | default | meaning | example |",
        "|---|---|---|---|---|---|",
        *(_row(name, info) for name, info in _keys(section)),
    ]


def _row(name: str, info: FieldInfo) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    unit = str(extra.get("unit") or "")
    example = inline((info.examples or [None])[0])
    cells = (
        f"`{name}`",
        _kind(info, unit),
        unit,
        str(extra.get("says") or "") or _default(info),
        info.description or "",
        f"`{name}: {example}`",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        value = plain(value)
    unit = _IN_PYTHON.get(info.alias or "") if value is not None else None
    if unit is not None:
        value = (
            [format_quantity(number, unit) for number in value]
            if isinstance(value, list | tuple)
            else format_quantity(value, unit)
        )
    return f"`{inline(value)}`" if value or isinstance(value, bool | int | float) else "none"


def _kind(info: FieldInfo, unit: str) -> str:
    words = " or ".join(dict.fromkeys(_word(member, unit) for member in _open(info.annotation)))
    return ", ".join([words, *_bounds([*info.metadata, *_annotations(info.annotation)])])


def _annotations(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - any type expression
    """Yield what annotates the members of a union, where bounds of optional numbers are."""
    if get_origin(kind) is Annotated:
        yield from get_args(kind)[1:]
    elif get_origin(kind) not in (dict, list, tuple, Literal):
        for part in get_args(kind):
            yield from _annotations(part)


def _bounds(metadata: list[Any]) -> Iterator[str]:
    opened = [part for item in metadata for part in getattr(item, "metadata", [item])]
    for kind, sign, name in ((Gt, ">", "gt"), (Ge, "≥", "ge"), (Lt, "<", "lt"), (Le, "≤", "le")):
        limits = [float(getattr(part, name)) for part in opened if isinstance(part, kind)]
        limits = [limit for limit in limits if abs(limit) < _FAR]
        if limits:
            yield f"{sign} {max(limits) if name[0] == 'g' else min(limits):g}"


def _word(kind: Any, unit: str) -> str:  # noqa: ANN401 - any type expression
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is list:
        return f"list of {_plural(arguments[0], unit)}"
    if origin is dict:
        return f"mapping of names to {_plural(arguments[1], unit)}"
    if origin is tuple:
        return f"list of {len(arguments)} {_plural(arguments[0], unit)}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "mapping"
    return "quantity" if kind in (float, Density) and unit in _QUANTITIES else _WORDS[kind]


def _plural(kind: Any, unit: str) -> str:  # noqa: ANN401 - any type expression
    words = dict.fromkeys(_word(member, unit) for member in _open(kind))
    return " or ".join(
        dict.fromkeys(
            _PLURALS.get(word) or (word.replace("list", "lists", 1) if word.startswith("list ") else f"{word}s")
            for word in words
        )
    )
