"""What the types say about a key: its neighbours, its description, its example."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["field_at", "known_keys", "section_types"]

KeyPath = Sequence[str | int]


def known_keys(root: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys, as written in YAML, of the section at ``path`` below ``root``."""
    return [name for section in section_types(_walk([root], path)) for name in _fields(section)]


def field_at(root: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """Return what is declared for the key at ``path``, None where the path leads to no declared key."""
    for section in section_types(_walk([root], path[:-1])):
        found = _fields(section).get(str(path[-1])) if path else None
        if found is not None:
            return found
    return None


def section_types(kinds: Iterable[Any]) -> list[type[BaseModel]]:
    """Return the sections among some types, with unions and annotations opened."""
    members = [member for kind in kinds for member in _members(kind)]
    return [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in section.model_fields.items()}


def _members(kind: Any) -> list[Any]:  # noqa: ANN401 - any type expression
    """Open unions and annotations."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _members(get_args(kind)[0])
    if (origin is not None and not isinstance(origin, type)) or str(origin) == "<class 'types.UnionType'>":
        return [member for part in get_args(kind) for member in _members(part)]
    return [] if kind is NoneType else [kind]


def _walk(kinds: list[Any], path: KeyPath) -> list[Any]:
    for part in path:
        below = [child for kind in kinds for member in _members(kind) for child in _children(member, part)]
        if not below:
            # The tag of a choice (the engine's name) is not a key: it narrows the choice.
            below = [section for section in section_types(kinds) if _is_tagged(section, part)]
        kinds = below
    return kinds


def _children(kind: Any, part: str | int) -> list[Any]:  # noqa: ANN401 - any type expression
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        info = _fields(kind).get(str(part))
        return [] if info is None else [info.annotation]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        return [arguments[1]]
    if origin is list and isinstance(part, int):
        return [arguments[0]]
    return []


def _is_tagged(section: type[BaseModel], tag: str | int) -> bool:
    info = section.model_fields.get("engine")
    return info is not None and tag in get_args(info.annotation)
