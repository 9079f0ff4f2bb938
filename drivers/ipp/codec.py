"""Internet Printing Protocol: messages to bytes and back. HTTP carries them elsewhere.

Source: RFC 8010 (encoding, January 2017) and RFC 8011 (operations, attributes, states). Tried
against CUPS `ippeveprinter` and `ipptool`; not verified on a printer's own firmware.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from drivers.errors import ProtocolError

CONTENT_TYPE = "application/ipp"
VERSION = (1, 1)
"""What is sent; every printer since RFC 2911 takes it. Source: RFC 8011, 4.1.8."""
MESSAGE_MAX = 1 << 20
"""Longest message read, without its document."""
ATTRIBUTES_MAX = 4096
"""Attributes, values and members of one message."""
DEPTH_MAX = 8
"""Collections inside collections."""

# ---------------------------------------------------------------- names of the standard


class Operation(IntEnum):
    """Operation identifiers. Source: RFC 8011, 5.4.15."""

    PRINT_JOB = 0x0002
    CREATE_JOB = 0x0005
    SEND_DOCUMENT = 0x0006
    CANCEL_JOB = 0x0008
    GET_JOB_ATTRIBUTES = 0x0009
    GET_PRINTER_ATTRIBUTES = 0x000B


class GroupTag(IntEnum):
    """Delimiters of groups. Source: RFC 8010, 3.5.1."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05


class Tag(IntEnum):
    """Syntaxes of values that are used here. Source: RFC 8010, 3.5.2."""

    UNSUPPORTED = 0x10
    UNKNOWN = 0x12
    NO_VALUE = 0x13
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    OCTETS = 0x30
    DATE_TIME = 0x31
    RESOLUTION = 0x32
    RANGE = 0x33
    COLLECTION = 0x34
    TEXT_WITH_LANGUAGE = 0x35
    NAME_WITH_LANGUAGE = 0x36
    END_COLLECTION = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    URI_SCHEME = 0x46
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49
    MEMBER_NAME = 0x4A


class JobState(IntEnum):
    """Source: RFC 8011, 5.3.7."""

    PENDING = 3
    PENDING_HELD = 4
    PROCESSING = 5
    PROCESSING_STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


class PrinterState(IntEnum):
    """Source: RFC 8011, 5.4.11."""

    IDLE = 3
    PROCESSING = 4
    STOPPED = 5


STATUS_WORDS = {
    0x0400: "client-error-bad-request",
    0x0401: "client-error-forbidden",
    0x0402: "client-error-not-authenticated",
    0x0403: "client-error-not-authorized",
    0x0404: "client-error-not-possible",
    0x0405: "client-error-timeout",
    0x0406: "client-error-not-found",
    0x0408: "client-error-request-entity-too-large",
    0x040A: "client-error-document-format-not-supported",
    0x040B: "client-error-attributes-or-values-not-supported",
    0x0411: "client-error-document-format-error",
    0x0500: "server-error-internal-error",
    0x0501: "server-error-operation-not-supported",
    0x0502: "server-error-service-unavailable",
    0x0503: "server-error-version-not-supported",
    0x0504: "server-error-device-error",
    0x0505: "server-error-temporary-error",
    0x0506: "server-error-not-accepting-jobs",
    0x0507: "server-error-busy",
    0x0508: "server-error-job-canceled",
}
"""Source: RFC 8011, appendix B."""
_SUCCESS_MAX = 0x00FF
_OUT_OF_BAND = range(0x10, 0x20)
_STRINGS = range(0x40, 0x60)
_SIZES: dict[int, int] = {
    Tag.INTEGER: 4,
    Tag.BOOLEAN: 1,
    Tag.ENUM: 4,
    Tag.DATE_TIME: 11,
    Tag.RESOLUTION: 9,
    Tag.RANGE: 8,
}
_VALUE_MAX = 0x7FFF
_INTEGERS = (-(1 << 31), (1 << 31) - 1)
_INT = struct.Struct(">i")
_SHORT = struct.Struct(">H")
_HEAD = struct.Struct(">BBHI")


# ---------------------------------------------------------------- messages


@dataclass(frozen=True, slots=True)
class Value:
    """One value with its syntax.

    `content` is None out of band, int, bool or str where the syntax has them, the members of a
    collection, and bytes for all else.
    """

    tag: int
    content: "Content"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name with one or more values."""

    name: str
    values: tuple[Value, ...]


Content: TypeAlias = "bool | int | str | bytes | tuple[Attribute, ...] | None"


@dataclass(frozen=True, slots=True)
class Group:
    """Attributes of one kind: of the operation, of a job, of the printer."""

    tag: int
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer. `code` is the operation of a request, the status of an answer."""

    code: int
    request_id: int
    groups: tuple[Group, ...]
    document: bytes = b""
    version: tuple[int, int] = VERSION

    @property
    def successful(self) -> bool:
        """Whether an answer says that the operation was carried out."""
        return self.code <= _SUCCESS_MAX

    @property
    def status_word(self) -> str:
        """The status of an answer in the words of the standard."""
        return STATUS_WORDS.get(self.code, f"status 0x{self.code:04x}")

    def group(self, tag: int) -> tuple[Attribute, ...]:
        """Return the attributes of the first group of a kind, none when there is no such group."""
        return next((group.attributes for group in self.groups if group.tag == tag), ())

    def values(self, tag: int, name: str) -> tuple[Content, ...]:
        """Return the contents of an attribute, none when it is not there."""
        for attribute in self.group(tag):
            if attribute.name == name:
                return tuple(value.content for value in attribute.values)
        return ()

    def integer(self, tag: int, name: str) -> int | None:
        """Return a number or an enumeration value, None when it was not given."""
        for content in self.values(tag, name)[:1]:
            if isinstance(content, int) and not isinstance(content, bool):
                return content
        return None

    def strings(self, tag: int, name: str) -> tuple[str, ...]:
        """Return the texts of an attribute."""
        return tuple(item for item in self.values(tag, name) if isinstance(item, str))

    def string(self, tag: int, name: str) -> str:
        """Return the first text of an attribute, "" when there is none."""
        return next(iter(self.strings(tag, name)), "")


def attribute(name: str, tag: int, *contents: Content) -> Attribute:
    """Return an attribute whose values all have one syntax."""
    return Attribute(name, tuple(Value(tag, content) for content in contents))


# ---------------------------------------------------------------- writing


def encode(message: Message) -> bytes:
    """Return the bytes of a message; raises ValueError for what has no encoding."""
    out = bytearray(_HEAD.pack(*message.version, message.code, message.request_id))
    for group in message.groups:
        out.append(group.tag)
        for each in group.attributes:
            _put_attribute(out, each)
    out.append(GroupTag.END)
    return bytes(out) + message.document


def _put_attribute(out: bytearray, each: Attribute) -> None:
    if not each.values:
        raise ValueError(f"attribute {each.name!r} has no value")
    name = each.name
    for value in each.values:
        _put(out, value.tag, name, value.content)
        name = ""


def _put(out: bytearray, tag: int, name: str, content: Content) -> None:
    match content:
        case tuple():
            _field(out, tag, name, b"")
            for member in content:
                _field(out, Tag.MEMBER_NAME, "", member.name.encode("utf-8"))
                for value in member.values:
                    _put(out, value.tag, "", value.content)
            _field(out, Tag.END_COLLECTION, "", b"")
        case None:
            _field(out, tag, name, b"")
        case bool():
            _field(out, tag, name, b"\1" if content else b"\0")
        case int():
            if not _INTEGERS[0] <= content <= _INTEGERS[1]:
                raise ValueError(f"{name!r}: {content} does not fit four bytes")
            _field(out, tag, name, _INT.pack(content))
        case str():
            _field(out, tag, name, content.encode("utf-8", "replace"))
        case _:
            _field(out, tag, name, content)


def _field(out: bytearray, tag: int, name: str, data: bytes) -> None:
    label = name.encode("utf-8")
    if len(data) > _VALUE_MAX or len(label) > _VALUE_MAX:
        raise ValueError(f"{name!r}: {len(data)} bytes are too many for a value")
    out.append(tag)
    out += _SHORT.pack(len(label)) + label + _SHORT.pack(len(data)) + data


# ---------------------------------------------------------------- reading


class _Reader:
    """Takes a message apart; every read is checked against what is there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._left = ATTRIBUTES_MAX

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ProtocolError(f"message ends at byte {len(self._data)}, {end} expected")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def peek(self) -> int:
        if self._at >= len(self._data):
            raise ProtocolError("message without an end-of-attributes tag")
        return self._data[self._at]

    def rest(self) -> bytes:
        return self._data[self._at :]

    def field(self) -> tuple[int, str, bytes]:
        """Return tag, name and bytes of the next value."""
        self._left -= 1
        if self._left < 0:
            raise ProtocolError(f"more than {ATTRIBUTES_MAX} values")
        if self._at > MESSAGE_MAX:
            raise ProtocolError(f"attributes longer than {MESSAGE_MAX} bytes")
        tag = self.take(1)[0]
        name = _text(self._short())
        return tag, name, self._short()

    def _short(self) -> bytes:
        (length,) = _SHORT.unpack(self.take(2))
        return self.take(length)


def _text(data: bytes) -> str:
    """Return a text; printers that send another charset than asked are shown with escapes."""
    return data.decode("utf-8", "backslashreplace")


def decode(data: bytes) -> Message:
    """Read one message; what follows its end tag is its document. Raises ProtocolError."""
    reader = _Reader(data)
    major, minor, code, request_id = _HEAD.unpack(reader.take(_HEAD.size))
    groups: list[Group] = []
    while True:
        tag = reader.take(1)[0]
        if tag == GroupTag.END:
            return Message(code, request_id, tuple(groups), reader.rest(), (major, minor))
        if not 0 < tag < Tag.UNSUPPORTED:
            raise ProtocolError(f"0x{tag:02x} is not the tag of a group")
        groups.append(Group(tag, _attributes(reader)))


def _attributes(reader: _Reader) -> tuple[Attribute, ...]:
    found: list[tuple[str, list[Value]]] = []
    while reader.peek() >= Tag.UNSUPPORTED:
        tag, name, data = reader.field()
        value = _value(reader, tag, data, DEPTH_MAX)
        if name:
            found.append((name, [value]))
        elif found:
            found[-1][1].append(value)
        else:
            raise ProtocolError("a value without a name at the start of a group")
    return tuple(Attribute(name, tuple(values)) for name, values in found)


def _value(reader: _Reader, tag: int, data: bytes, depth: int) -> Value:
    if tag == Tag.COLLECTION:
        return Value(tag, _collection(reader, depth))
    if tag in {Tag.END_COLLECTION, Tag.MEMBER_NAME}:
        raise ProtocolError(f"0x{tag:02x} outside of a collection")
    size = _SIZES.get(tag, len(data))
    if len(data) != size:
        raise ProtocolError(f"0x{tag:02x}: {len(data)} bytes, {size} expected")
    return Value(tag, _content(tag, data))


def _content(tag: int, data: bytes) -> Content:
    if tag in _OUT_OF_BAND:
        return None
    if tag in {Tag.INTEGER, Tag.ENUM}:
        return int(_INT.unpack(data)[0])
    if tag == Tag.BOOLEAN:
        if data not in {b"\0", b"\1"}:
            raise ProtocolError(f"boolean {data!r}")
        return data == b"\1"
    return _text(data) if tag in _STRINGS else data


def _collection(reader: _Reader, depth: int) -> tuple[Attribute, ...]:
    if depth == 0:
        raise ProtocolError(f"more than {DEPTH_MAX} collections inside each other")
    members: list[tuple[str, list[Value]]] = []
    while True:
        tag, name, data = reader.field()
        if name:
            raise ProtocolError(f"{name!r}: a name inside a collection")
        if tag == Tag.END_COLLECTION:
            break
        if tag == Tag.MEMBER_NAME:
            members.append((_text(data), []))
        elif not members:
            raise ProtocolError("a collection starts with a value that has no name")
        else:
            members[-1][1].append(_value(reader, tag, data, depth - 1))
    if not all(values for _, values in members):
        raise ProtocolError("a member of a collection without a value")
    return tuple(Attribute(name, tuple(values)) for name, values in members)


# ---------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Target:
    """The printer as its requests name it, and who asks."""

    printer_uri: str
    user: str = "dispensed"


def request(
    operation: Operation,
    request_id: int,
    target: Target,
    extra: Iterable[Attribute] = (),
    job: Iterable[Attribute] = (),
) -> Message:
    """Return a request with what it says of the job.

    Charset, language and printer come first. Source: RFC 8011, 4.1.4, 4.1.5.
    The user's name stands after a job's number. Source: RFC 8011, 4.3.1.1.
    """
    extras = tuple(extra)
    numbers = tuple(each for each in extras if each.name == "job-id")
    others = tuple(each for each in extras if each.name != "job-id")
    group = Group(
        GroupTag.OPERATION,
        (
            attribute("attributes-charset", Tag.CHARSET, "utf-8"),
            attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
            attribute("printer-uri", Tag.URI, target.printer_uri),
            *numbers,
            attribute("requesting-user-name", Tag.NAME, target.user),
            *others,
        ),
    )
    of_job = tuple(job)
    groups = (group, Group(GroupTag.JOB, of_job)) if of_job else (group,)
    return Message(operation, request_id, groups)


# ---------------------------------------------------------------- what a printer says of itself


def severe_reasons(state: int | None, reasons: Iterable[str]) -> tuple[str, ...]:
    """Return the reasons that keep a printer from printing, as words.

    `-report` and `-warning` do not; a reason without severity is an error, and an error means that
    the printer is stopped. Source: RFC 8011, 5.4.12. Of a printer that is not stopped only what
    names missing media or an open cover is taken for an error.
    """
    words: list[str] = []
    for reason in reasons:
        if reason == "none" or reason.endswith(("-report", "-warning")):
            continue
        bare = reason.removesuffix("-error")
        if state == PrinterState.STOPPED or bare != reason or bare in _BLOCKING:
            words.append(_WORDS.get(bare, bare.replace("-", "_")))
    return tuple(dict.fromkeys(words))


_BLOCKING = frozenset(
    {"media-empty", "media-needed", "media-jam", "cover-open", "door-open", "paused", "shutdown"}
)
_WORDS = {"media-empty": "paper_out", "media-needed": "paper_out", "media-jam": "paper_jam"}
