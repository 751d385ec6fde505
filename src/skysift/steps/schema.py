"""``skysift schema``: what is generated from the types of the configuration, checked or written."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from skysift.config.reference import reference_text
from skysift.config.schema import schema_text
from skysift.errors import InputError

__all__ = ["GENERATED", "run"]

GENERATED = {
    Path("config/README.md"): reference_text,
    Path("workflow/schemas/analysis.schema.json"): schema_text,
}


def run(write: bool = False, root: Path = Path()) -> None:
    """Compare the generated files with the types, or write them.

    Parameters
    ----------
    write : write them in place of comparing
    root : root of the repository

    Raises
    ------
    InputError : a file differs from what the types say; the difference is printed
    """
    for relative, make in GENERATED.items():
        path, text = root / relative, make()
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        else:
            _compare(path, text)


def _compare(path: Path, text: str) -> None:
    found = path.read_text(encoding="utf-8") if path.is_file() else ""
    if found == text:
        print(f"{path} is in step with the types")
        return
    lines = difflib.unified_diff(
        found.splitlines(), text.splitlines(), str(path), "generated from the types", lineterm=""
    )
    print("\n".join(lines), file=sys.stderr)
    what = "differs from the types, as shown above" if found else "no such file"
    raise InputError(
        path, "(generated file)", what, "what the types say", "run `skysift schema --write` in the repository"
    )
