"""Resolved configurations written as YAML that reads back to the same values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

__all__ = ["config_digest", "plain", "yaml_text"]


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # the library carries no types
    """Writes every value out: no anchors, and quotes wherever a plain scalar would not stay text."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if _stays_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _stays_text(text: str) -> bool:
    """Return whether no reader of YAML takes this text, unquoted, for a number."""
    try:
        float(text.replace("_", ""))
    except ValueError:
        return True
    return False


_Dumper.add_representer(str, _represent_text)


def plain(part: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of the configuration as plain data, quantities as text with their unit."""
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dict(part)


def yaml_text(part: BaseModel | Mapping[str, Any]) -> str:
    r"""Return a part of the configuration as YAML.

    Examples
    --------
    >>> yaml_text({"radius": "20 deg", "name": "1e3"})
    "radius: 20 deg\nname: '1e3'\n"
    """
    text: str = yaml.dump(plain(part), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def config_digest(part: BaseModel | Mapping[str, Any]) -> str:
    """Return the SHA-256 of a part of the configuration; the order of keys does not matter.

    Examples
    --------
    >>> config_digest({"a": 1, "b": 2}) == config_digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(plain(part), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
