"""Several configurations merged into one: mappings unite, everything else is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skysift.config.reader import Document

__all__ = ["merge_documents"]


def merge_documents(documents: Sequence[Document]) -> Document:
    """Return the documents merged, later over earlier.

    Mappings unite at every depth, lists and values are replaced, and null takes an optional key away.
    """
    first, *rest = documents
    for document in rest:
        lines = dict(first.lines)
        data = _merge(first.data, document.data, (), lines)
        first = Document(data, f"{first.name} + {document.name}", lines | document.lines)
    return first


def _merge(base: dict[str, Any], over: dict[str, Any], path: tuple[str, ...], lines: dict[Any, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = (*path, name)
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[name] = _merge(old, value, below, lines)
        else:
            merged[name] = value
            for known in [known for known in lines if known[: len(below)] == below]:
                del lines[known]
    return merged
