"""Atomic writing of plain text and bytes: reports, figures, logs of numbers."""

from __future__ import annotations

from pathlib import Path

from skysift.storage.atomic import replace_when_done

__all__ = ["write_bytes", "write_text"]


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError : no room on the disk
    """
    with replace_when_done(path, len(content)) as part:
        part.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8 with the line ends it has, whole or not at all.

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError : no room on the disk
    """
    write_bytes(path, content.encode("utf-8"))
