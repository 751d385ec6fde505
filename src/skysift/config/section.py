"""The base of every part of a configuration, and how one key is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["REQUIRED", "Section", "key", "without_nulls"]

REQUIRED: Any = ...


class Section(BaseModel):
    """A mapping in the configuration; unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    # JSON schemas of what may stand in place of the mapping; the validators say the same.
    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ()


def key(
    default: Any,  # noqa: ANN401 - any default
    description: str,
    *,
    example: Any,  # noqa: ANN401 - as written in YAML
    unit: str = "",
    alias: str | None = None,
    default_factory: Callable[[], Any] | None = None,
    says: str = "",
    **bounds: Any,  # noqa: ANN401 - handed to pydantic
) -> Any:  # noqa: ANN401 - stands where a default stands
    """Declare one key: its default, what it means, its unit and an example that works.

    Parameters
    ----------
    default : value when the key is absent, `REQUIRED` when it must be there
    description : one sentence
    example : as it would be written in YAML
    unit : unit of the number, empty for none
    alias : the key in YAML where the attribute carries its unit in the name
    default_factory : used in place of ``default`` for mappings and lists
    says : the default in words, where the value alone does not say it
    **bounds : ``ge``, ``gt``, ``le``, ``lt``, ``min_length``, ``max_length``
    """
    extra: dict[str, Any] = {"unit": unit}
    if says:
        extra["says"] = says
    common: dict[str, Any] = {"description": description, "examples": [example], "json_schema_extra": extra, **bounds}
    if alias is not None:
        common["alias"] = alias
    if default_factory is not None:
        return Field(default_factory=default_factory, **common)
    return Field(default, **common)


def without_nulls(data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return a mapping without the keys that were set to null, so that a later file can take a key away."""
    return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data
