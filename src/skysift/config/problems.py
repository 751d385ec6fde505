"""Everything that is wrong with a configuration, in one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from skysift.config.lookup import field_at, known_keys
from skysift.config.reader import Document, dotted
from skysift.config.scalars import NAME_PATTERN
from skysift.errors import InputError, nearest

__all__ = ["ConfigurationError", "Problem", "explain", "raise_problems"]

# Nobody reads more, and finding the nearest key for each takes time.
MOST_PROBLEMS = 50

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One fault.

    Parameters
    ----------
    path : keys that lead to it, in resolved spelling
    found, wanted, remedy : as in `InputError`
    """

    path: KeyPath
    found: str
    wanted: str
    remedy: str


class ConfigurationError(InputError):
    """All faults of a configuration, each in the form of an `InputError`.

    Attributes
    ----------
    errors : list of `InputError`, one for each fault
    """

    def __init__(self, errors: Sequence[InputError]) -> None:
        first = errors[0]
        super().__init__(first.place, first.field, first.found, first.wanted, first.remedy)
        self.errors = list(errors)
        self.args = ("\n".join(str(error) for error in errors),)


def raise_problems(problems: Sequence[Problem], document: Document) -> None:
    """Raise one `ConfigurationError` for all problems; return when there is none."""
    if not problems:
        return
    # fits that share a model share its faults
    paths = [(_as_written(problem.path, document.data), problem) for problem in dict.fromkeys(problems)]
    paths.sort(key=lambda pair: document.position(pair[0]))
    raise ConfigurationError(
        [
            InputError(document.place(path), dotted(path), problem.found, problem.wanted, problem.remedy)
            for path, problem in paths
        ]
    )


def explain(error: ValidationError, root: type[BaseModel], document: Document) -> list[Problem]:
    """Translate what pydantic found into problems: what was wanted, an example, the nearest known key."""
    problems = []
    for detail in error.errors(include_url=False)[:MOST_PROBLEMS]:
        path = tuple(part for part in detail["loc"] if isinstance(part, str | int))
        is_key = path[-1:] == ("[key]",)
        path = path[:-1] if is_key else path
        problems.append(_translate(dict(detail), path, root, document.data, is_key=is_key))
    return problems


def _translate(
    detail: Mapping[str, Any], path: KeyPath, root: type[BaseModel], data: object, *, is_key: bool
) -> Problem:
    value = _value_at(path, data)
    kind, context = detail["type"], detail.get("ctx", {})
    if is_key:
        wanted = f"a name of the form {context.get('pattern', NAME_PATTERN)[1:-1]}"
        return Problem(path, show(path[-1]), wanted, "rename it with letters, digits and _ (a component: lower case)")
    if kind == "extra_forbidden":
        known = known_keys(root, path[:-1])
        return Problem(path, f"unknown key {show(path[-1])}", "a known key", nearest(str(path[-1]), known))
    if kind == "skysift":
        return Problem(path, context.get("found", show(value)), context["wanted"], context["remedy"])
    info, depth = _nearest_field(root, path)
    example = example_of(_name(_as_written(path[:depth], data)), info)
    if kind == "missing":
        wanted = info.description if info and info.description else "a value"
        found = "nothing" if isinstance(path[-1], str) else show(value)
        return Problem(path, found, wanted, f"write for example '{example}'")
    wanted = _WANTED.get(kind) or detail["msg"].replace("Input should be ", "")
    remedy = f"write for example '{example}'"
    if kind == "string_pattern_mismatch":
        wanted = f"a name of the form {context['pattern'][1:-1]}"
    elif kind == "string_type":
        remedy = f"put it in quotes if it is meant as text; {remedy}"
    elif kind == "literal_error" and isinstance(value, str):
        remedy = nearest(value, [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")])
    elif kind == "too_short" and context["min_length"] > 1:
        wanted = f"at least {context['min_length']} entries"
    return Problem(path, show(value), wanted + _unit(info), remedy)


_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping (name: value)",
    "list_type": "a list",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "string_type": "text",
    "tuple_type": "a list of two values",
    "too_long": "fewer entries",
    "too_short": "at least one entry",
}


def _nearest_field(root: type[BaseModel], path: KeyPath) -> tuple[FieldInfo | None, int]:
    """Return what is declared for the deepest part of the path that is a declared key, and its length."""
    found = ((field_at(root, path[:length]), length) for length in range(len(path), 0, -1))
    return next(((info, length) for info, length in found if info is not None), (None, len(path)))


def _name(path: KeyPath) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _unit(info: FieldInfo | None) -> str:
    extra = info.json_schema_extra if info else None
    unit = extra.get("unit") if isinstance(extra, dict) else None
    return f" ({unit})" if unit else ""


def example_of(name: str, info: FieldInfo | None) -> str:
    """Return an example of a key as one line of YAML."""
    if info is None or not info.examples:
        return name
    return f"{name}: {inline(info.examples[0])}"


def inline(value: object) -> str:
    """Return a value as one line of YAML.

    Examples
    --------
    >>> inline({"uniform": [0, 1.5]})
    '{uniform: [0, 1.5]}'
    """
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def show(value: object) -> str:
    """Return a value found as short text on one line; only data types are shown."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 120 else f"{value[:100]!r}... ({len(value)} characters)"
    if value is None:
        return "nothing"
    if isinstance(value, dict) and not value:
        return "an empty mapping"
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}..."


def _as_written(path: KeyPath, data: object) -> KeyPath:
    """Return the path as the user wrote it: shorthands have no key for what was filled in."""
    written: list[str | int] = []
    for index, part in enumerate(path):
        below = _child(data, part)
        if below is not _ABSENT:
            data = below
        elif index < len(path) - 1 or not isinstance(data, dict) or part in _FILLED_IN or isinstance(part, int):
            continue
        written.append(part)
    return tuple(written)


def _value_at(path: KeyPath, data: object) -> object:
    for part in path:
        below = _child(data, part)
        data = data if below is _ABSENT else below
    return data


_ABSENT = object()
_FILLED_IN = ("settings", "simulated")


def _child(data: object, part: str | int) -> object:
    if isinstance(data, dict):
        return data.get(part, _ABSENT)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return _ABSENT
