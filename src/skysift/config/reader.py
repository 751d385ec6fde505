"""YAML read into plain data: no code, no aliases, no duplicates, bounded size and depth, every line remembered."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from skysift.errors import InputError

__all__ = ["Dialect", "Document", "dotted", "read_yaml", "read_yaml_text"]

# A configuration is written by hand: these are far above any that was.
MAX_BYTES = 1_000_000
MAX_DEPTH = 40


@dataclass(frozen=True)
class Dialect:
    """What a reader accepts.

    Parameters
    ----------
    max_bytes : size of the file
    is_lenient : whether it was written by another program: numbers may be infinite or NaN, dates are text, and an alias
        may stand for a scalar or for a list or mapping of scalars
    """

    max_bytes: int = MAX_BYTES
    is_lenient: bool = False


BY_HAND = Dialect()

KeyPath = tuple[str | int, ...]
# The C parser is ten times faster; both emit the same events and neither constructs objects.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?")
_NOT_FINITE = re.compile(r"[+-]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_AMBIGUOUS = {
    "a number with a leading zero (octal for some readers, decimal for others)": re.compile(
        r"[+-]?0[0-9_]+|[+-]?0[oxb][0-9a-fA-F_]+"
    ),
    "a date": _DATE,
    "a number in base 60 for some readers": re.compile(r"[+-]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"),
    "a number with underscores": re.compile(r"[+-]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"),
    "not a finite number": _NOT_FINITE,
}


@dataclass(frozen=True)
class Document:
    """Plain data and where each key stands.

    Parameters
    ----------
    data : the mapping
    name : file, or what the data came from
    lines : key path to file and line
    """

    data: dict[str, Any]
    name: str
    lines: dict[KeyPath, tuple[str, int]] = field(default_factory=dict)

    def position(self, path: KeyPath) -> tuple[str, int]:
        """Return the file and the line of the deepest known part of ``path``; line 0 where none is known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return self.name, 0

    def place(self, path: KeyPath) -> str:
        """Return the file and the line of the deepest known part of ``path``, as text."""
        file, line = self.position(path)
        return f"{file} line {line}" if line else file


def read_yaml(path: Path, dialect: Dialect = BY_HAND) -> Document:
    """Return the content of a YAML file.

    Raises
    ------
    InputError : missing, not a plain file, too large, not UTF-8, or not a mapping in plain YAML
    """
    wanted, remedy = "a YAML file", "check the path"
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(path, "(file)", reason, wanted, remedy) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a FIFO, socket or device"
        raise InputError(path, "(file)", kind, wanted, remedy)
    try:
        with path.open("rb") as stream:
            content = stream.read(dialect.max_bytes + 1)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise InputError(
            path, "(file)", error.strerror or str(error), "a readable file", "check its permissions"
        ) from error
    if len(content) > dialect.max_bytes:
        raise _too_large(str(path), size, dialect)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8"
        raise InputError(path, "(file)", found, "text in UTF-8", "save the file as UTF-8") from error
    return read_yaml_text(text, str(path), dialect)


def read_yaml_text(text: str, name: str, dialect: Dialect = BY_HAND) -> Document:
    """Return the content of YAML text; ``name`` stands for the file in messages.

    Raises
    ------
    InputError : not a mapping in plain YAML
    """
    if len(text) > dialect.max_bytes:
        raise _too_large(name, len(text), dialect)
    builder = _Builder(name, dialect)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name} line {mark.line + 1}" if mark else name
        found = " ".join(part for part in (error.context, error.problem) if part)
        raise InputError(place, "(YAML)", found, "valid YAML", "check indentation, colons and brackets here") from error
    except yaml.YAMLError as error:
        raise InputError(name, "(YAML)", str(error).splitlines()[0], "valid YAML", "remove this character") from error
    return builder.finish()


def _too_large(name: str, size: int, dialect: Dialect) -> InputError:
    return InputError(
        name,
        "(file)",
        f"{size} bytes",
        f"at most {dialect.max_bytes} bytes of YAML",
        "name data files in it, do not paste them into it",
    )


def dotted(path: KeyPath) -> str:
    """Return a key path as it is printed.

    Examples
    --------
    >>> dotted(("fits", "mvn", 1, "svi"))
    'fits.mvn[1].svi'
    """
    parts = [f"[{part}]" if isinstance(part, int) else f".{_safe(part)}" for part in path]
    return "".join(parts).lstrip(".") or "(top level)"


def _safe(part: str) -> str:
    """Return a key as it may be printed: no line breaks, bounded length."""
    shown = part if part.isprintable() else repr(part)
    return shown if len(shown) <= 120 else f"{shown[:100]}..."


@dataclass
class _Open:
    """A mapping or list that is still being read."""

    value: dict[str, Any] | list[Any]
    path: KeyPath
    key: str | None = None
    seen: dict[str, int] = field(default_factory=dict)


class _Builder:
    """Builds plain data from parser events without recursion, so depth cannot exhaust the stack."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect
        self.anchors: dict[str, Any] = {}
        self.lines: dict[KeyPath, tuple[str, int]] = {}
        self.stack: list[_Open] = []
        self.root: Any = None
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.refuse(line, "a second document (---)", "one document", "keep one document in a file")
        elif isinstance(event, yaml.AliasEvent):
            self.take_alias(event, line)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self.refuse_tag(event, line)
            if isinstance(event, yaml.ScalarEvent):
                self.take_scalar(event, line)
            else:
                self.open({} if isinstance(event, yaml.MappingStartEvent) else [], line, event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()

    def take_alias(self, event: yaml.AliasEvent, line: int) -> None:
        value = self.anchors.get(event.anchor)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        is_key = bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None
        # Aliases of what is large or holds aliases would let a short file unfold without end.
        is_flat = value is not None and len(inner) <= 100 and not any(isinstance(part, dict | list) for part in inner)
        if is_key or not (self.dialect.is_lenient and is_flat):
            self.refuse(line, f"alias *{event.anchor}", "no aliases", "write the value out, or merge a second file")
        self.put(value.copy() if isinstance(value, dict | list) else value, line)

    def refuse_tag(self, event: Any, line: int) -> None:  # noqa: ANN401 - events carry no types
        # Without a tag of its own a scalar has one of its two flags set; a mapping or list has a single flag.
        is_plain = any(event.implicit) if isinstance(event.implicit, tuple) else event.implicit
        if event.tag is not None and not is_plain:
            found = f"tag {event.tag[:80]}"
            self.refuse(line, found, "plain values without tags", "remove the tag; nothing in this file is executed")

    def take_scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self.take_key(top, event.value, line)
        else:
            value = self.resolve(event.value, line) if event.implicit[0] else event.value
            if event.anchor is not None:
                self.anchors[event.anchor] = value
            self.put(value, line)

    def take_key(self, top: _Open, name: str, line: int) -> None:
        if name == "<<":
            self.refuse(line, "merge key <<", "no merge keys", "write the keys out, or merge a second file")
        if name in top.seen:
            found = f"{name!r} in line {top.seen[name]} and in line {line}"
            place, field = f"{self.name} line {line}", dotted((*top.path, name))
            raise InputError(place, field, found, "each key once", "remove or rename one of them")
        top.seen[name] = line
        top.key = name
        self.lines[(*top.path, name)] = (self.name, line)

    def resolve(self, text: str, line: int) -> Any:  # noqa: ANN401 - any scalar
        if text in _NULLS:
            return None
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) and len(text) < 30:
            return int(text)
        if self.dialect.is_lenient and _DATE.fullmatch(text):
            return text
        if self.dialect.is_lenient and _NOT_FINITE.fullmatch(text):
            return float(text.replace(".", ""))
        for meaning, pattern in _AMBIGUOUS.items():
            if pattern.fullmatch(text):
                self.refuse(
                    line,
                    f"{text!r}: {meaning}",
                    "a value with one meaning",
                    f"write '{text}' in quotes if it is text, else a plain number",
                )
        return float(text) if _FLOAT.fullmatch(text) and len(text) < 100 else text

    def open(self, value: dict[str, Any] | list[Any], line: int, anchor: str | None = None) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self.refuse(line, f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", "flatten the structure")
        self.stack.append(_Open(value, self.put(value, line)))
        if anchor is not None:
            self.anchors[anchor] = value

    def put(self, value: Any, line: int) -> KeyPath:  # noqa: ANN401 - any value
        """Store a value in the open mapping or list, and return its path."""
        if not self.stack:
            self.root = value
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            top.value.append(value)
            self.lines[path] = (self.name, line)
            return path
        if top.key is None:
            self.refuse(line, "a list or mapping as a key", "text as a key", "write a name before the colon")
        path = (*top.path, top.key)
        top.value[top.key] = value
        top.key = None
        return path

    def field(self) -> str:
        top = self.stack[-1] if self.stack else None
        path = () if top is None else (*top.path, *self.next_part(top))
        return dotted(path)

    @staticmethod
    def next_part(top: _Open) -> Iterator[str | int]:
        if isinstance(top.value, list):
            yield len(top.value)
        elif top.key is not None:
            yield top.key

    def refuse(self, line: int, found: str, wanted: str, remedy: str) -> NoReturn:
        raise InputError(f"{self.name} line {line}", self.field(), found, wanted, remedy)

    def finish(self) -> Document:
        if not isinstance(self.root, dict):
            found = "nothing" if self.root is None else type(self.root).__name__
            wanted = "a mapping (key: value) at the top"
            raise InputError(self.name, "(file)", found, wanted, "write for example 'run: inner-galaxy'")
        return Document(self.root, self.name, self.lines)
