"""How a validator says what is wrong: what was wanted and what to do."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError

__all__ = ["fault"]


def fault(wanted: str, remedy: str, found: object | None = None) -> PydanticCustomError:
    """Return the error that a validator raises; ``found`` only where it differs from the value itself."""
    context: dict[str, Any] = {"wanted": wanted, "remedy": remedy}
    if found is not None:
        context["found"] = str(found)
    # Braces would be taken for a template of the context.
    return PydanticCustomError("skysift", "{wanted}", context)
