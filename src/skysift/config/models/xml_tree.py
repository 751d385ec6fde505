"""XML read into plain elements: no document types, no entities, bounded size and depth, every line remembered."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from skysift.errors import InputError

__all__ = ["XmlElement", "read_xml", "xml_text"]

_MAX_BYTES = 64_000_000
_MAX_DEPTH = 20


@dataclass(frozen=True)
class XmlElement:
    """An element.

    Parameters
    ----------
    tag : its name
    attributes : in order
    children : elements within it; text between them means nothing in these files
    line : where it begins
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[XmlElement, ...] = ()
    line: int = 0

    def all(self, tag: str) -> Iterator[XmlElement]:
        """Yield the elements of some name directly within it."""
        return (child for child in self.children if child.tag == tag)

    def with_child(self, old: XmlElement, new: XmlElement) -> XmlElement:
        """Return the element with one of its children replaced."""
        return replace(self, children=tuple(new if child is old else child for child in self.children))


def read_xml(path: Path) -> XmlElement:
    """Return the root of an XML file, which may be compressed with gzip.

    Raises
    ------
    InputError : no such file, too large, not well formed, or with a document type
    """
    try:
        with path.open("rb") as stream:
            is_packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, "(file)", str(error), "an XML file", "check the path") from error
    if len(content) > _MAX_BYTES:
        raise InputError(path, "(file)", "too large", f"at most {_MAX_BYTES} bytes", "divide the file")
    return _Builder(str(path)).build(content)


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.parser = expat.ParserCreate()
        self.open: list[tuple[str, dict[str, str], list[XmlElement], int]] = []
        self.root: XmlElement | None = None

    def build(self, content: bytes) -> XmlElement:
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        # Entities need a document type, and that is refused before any of them is declared.
        self.parser.StartDoctypeDeclHandler = self.refuse_doctype
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        try:
            self.parser.Parse(content, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            line = getattr(error, "lineno", 0)
            raise InputError(
                f"{self.name} line {line}", "(XML)", str(error), "well-formed XML", "check tags and quotes here"
            ) from error
        if self.root is None:
            raise InputError(self.name, "(XML)", "nothing", "an element", "check the file")
        return self.root

    def refuse_doctype(self, *_: object) -> None:
        place = f"{self.name} line {self.parser.CurrentLineNumber}"
        raise InputError(place, "(XML)", "a document type (DOCTYPE)", "elements only", "remove it: nothing is expanded")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if len(self.open) >= _MAX_DEPTH:
            place = f"{self.name} line {line}"
            raise InputError(place, "(XML)", f"more than {_MAX_DEPTH} levels", "fewer", "flatten the file")
        self.open.append((tag, attributes, [], line))

    def end(self, _: str) -> None:
        tag, attributes, children, line = self.open.pop()
        element = XmlElement(tag, attributes, tuple(children), line)
        if self.open:
            self.open[-1][2].append(element)
        else:
            self.root = element


def xml_text(root: XmlElement) -> str:
    r"""Return an element as XML.

    Examples
    --------
    >>> xml_text(XmlElement("a", {"name": "x < y"})).splitlines()[1]
    '<a name="x &lt; y"/>'
    """
    return '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n' + "".join(_lines(root, 0))


def _lines(element: XmlElement, depth: int) -> Iterator[str]:
    indent = "  " * depth
    attributes = "".join(f" {escape(name)}={quoteattr(value)}" for name, value in element.attributes.items())
    if not element.children:
        yield f"{indent}<{element.tag}{attributes}/>\n"
        return
    yield f"{indent}<{element.tag}{attributes}>\n"
    for child in element.children:
        yield from _lines(child, depth + 1)
    yield f"{indent}</{element.tag}>\n"
