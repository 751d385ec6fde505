"""Models of named components, and what single fits change in them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from skysift.config.section import Section, without_nulls

__all__ = ["ComponentModel"]


class ComponentModel(Section):
    """A model with ``components`` by name; null takes away one that another file has."""

    @model_validator(mode="before")
    @classmethod
    def _drop_removed(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, dict) and isinstance(data.get("components"), dict):
            return {**data, "components": without_nulls(data["components"])}
        return data

    def merged(self, override: Section | None) -> Self:
        """Return this model with what one fit changes in it: components are replaced, added or (null) removed."""
        if override is None:
            return self
        stated = {name: getattr(override, name) for name in type(override).model_fields}
        update = {name: value for name, value in stated.items() if value is not None}
        own: dict[str, Any] = getattr(self, "components")  # noqa: B009 - declared by each kind of model
        components = without_nulls({**own, **update.pop("components")})
        return self.model_copy(update={"components": components, **update})
