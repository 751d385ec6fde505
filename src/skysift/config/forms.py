"""Keys that take values of several forms: the form decides which one is meant, so that a fault is told once."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Discriminator, Tag

from skysift.config.scalars import spells_number

__all__ = ["LIST", "MAPPING", "NUMBER", "TEXT", "by_form"]

MAPPING, LIST, NUMBER, TEXT = Tag("mapping"), Tag("list"), Tag("number"), Tag("text")


def by_form(wanted: str, remedy: str) -> Discriminator:
    """Return what chooses between members of a union that carry `MAPPING`, `LIST`, `NUMBER` or `TEXT`.

    Parameters
    ----------
    wanted, remedy : what is said about a value of any other form
    """
    context: dict[str, Any] = {"wanted": wanted, "remedy": remedy}
    return _Form(_form_of, custom_error_type="skysift", custom_error_message="{wanted}", custom_error_context=context)


class _Form(Discriminator):
    """One that can stand beside None: members of a union are hashed."""

    __hash__ = object.__hash__


def _form_of(value: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    if isinstance(value, dict | BaseModel):
        return MAPPING.tag
    if isinstance(value, list | tuple):
        return LIST.tag
    if spells_number(value):
        return NUMBER.tag
    return TEXT.tag if isinstance(value, str) else None
