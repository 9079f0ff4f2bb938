"""XML as WWKS2 uses it: elements with attributes, no namespaces, no document type, no entities.

Source: WWKS 2 Reference Manual V6.0 §5.1 (data types). Pure.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from xml.parsers import expat

from drivers.errors import ProtocolError

DEPTH_MAX = 16
"""Deepest nesting accepted; the deepest message of the manual has 6 levels."""
INT32 = range(2**31)
INT64 = range(2**63)
"""Integers of 32 and 64 bits; nearly every one of the manual is at least 0."""
SIGNED32 = range(-(2**31), 2**31)
"""Integers of 32 bits that the manual does not restrict: transfer points and output locations."""

_ESCAPED = re.compile(r"\\x([01][0-9A-Fa-f]|7[Ff])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_FORBIDDEN = re.compile("[\ud800-\udfff\ufffe\uffff]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_IN_ATTRIBUTE = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&apos;",
        "\t": "&#9;",
        "\n": "&#10;",
    }
)


@dataclass(slots=True)
class Element:
    """One XML element. `text` is its character data, written as one CDATA block."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list["Element"]:
        """The children with this tag, in order."""
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> "Element":
        """The first child with this tag, or an empty element: its attributes have defaults."""
        found = self.all(tag)
        return found[0] if found else Element(tag)

    def string(self, name: str, default: str = "") -> str:
        r"""An attribute as text, with control characters (written `\x1D`) put back."""
        raw = self.attributes.get(name, default)
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), raw)

    def integer(self, name: str, bounds: range = INT32) -> int:
        """An attribute as an integer within `bounds`, 0 when missing or empty."""
        raw = self.attributes.get(name, "").strip()
        if not raw:
            return 0
        if not _INTEGER.fullmatch(raw) or int(raw) not in bounds:
            raise ProtocolError(f"{self.tag}/{name}: {raw[:40]!r} is not an integer in range")
        return int(raw)

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """An attribute as True or False, in any case (the manual says True, devices say true)."""
        raw = self.attributes.get(name, "").strip().lower()
        if raw not in {"", "true", "false"}:
            raise ProtocolError(f"{self.tag}/{name}: {raw[:40]!r} is neither True nor False")
        return raw == "true" if raw else default

    def day(self, name: str) -> date | None:
        """An attribute as a date (YYYY-MM-DD), None when missing or empty."""
        raw = self.attributes.get(name, "").strip()
        if not raw:
            return None
        if not _DAY.fullmatch(raw):
            raise ProtocolError(f"{self.tag}/{name}: {raw[:40]!r} is not a date YYYY-MM-DD")
        try:
            return date.fromisoformat(raw)
        except ValueError as error:
            raise ProtocolError(f"{self.tag}/{name}: {raw!r} is not a day") from error


class _Builder:
    """Builds elements from parser events; refuses what WWKS2 does not have."""

    def __init__(self) -> None:
        self.document = Element("")
        self._open = [self.document]

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) > DEPTH_MAX:
            raise ProtocolError(f"more than {DEPTH_MAX} elements inside each other")
        element = Element(tag, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        self._open[-1].text += text

    def doctype(self, name: str, _system: str | None, _public: str | None, _internal: int) -> None:
        raise ProtocolError(f"a document type ({name[:40]!r}) is not allowed")


def parse(raw: bytes) -> Element:
    """Return the root element of one UTF-8 document; raises ProtocolError for anything else."""
    builder = _Builder()
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(raw, True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as error:
        raise ProtocolError(f"not XML: {error}") from error
    return builder.document.children[0]


def render(element: Element) -> str:
    """Return the element as XML text. Raises ProtocolError for characters XML cannot carry."""
    attributes = "".join(
        f' {name}="{_writable(value).translate(_IN_ATTRIBUTE)}"'
        for name, value in element.attributes.items()
    )
    inner = "".join(render(child) for child in element.children)
    if element.text:
        inner += f"<![CDATA[{_writable(element.text).replace(']]>', ']]]]><![CDATA[>')}]]>"
    if inner:
        return f"<{element.tag}{attributes}>{inner}</{element.tag}>"
    return f"<{element.tag}{attributes}/>"


def _writable(value: str) -> str:
    r"""Write control characters as `\xHH`. Source: §5.1, String."""
    bad = _FORBIDDEN.search(value)
    if bad is not None:
        raise ProtocolError(f"character U+{ord(bad.group()):04X} cannot be sent")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)


def written(value: str | int | date) -> str:
    """Return an attribute's text: True/False, YYYY-MM-DD, decimal digits or the string itself."""
    match value:
        case bool():
            return "True" if value else "False"
        case date():
            return value.isoformat()
        case _:
            return str(value)
