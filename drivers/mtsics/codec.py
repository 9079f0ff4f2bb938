"""MT-SICS lines <-> frozen dataclasses. Pure.

A line is ASCII, fields separated by one space, text in double quotes, ended by CR LF. A weight
stands right aligned in ten characters. The protocol has no checksum, so this reader takes only what
a scale writes: another width, a leading zero, an unknown unit or status is a ProtocolError, never a
value.

Source: Mettler-Toledo reference manuals 11781363 (weigh modules), 11780711 (Excellence balances)
and 30014405 (laboratory balances), chapters "Response formats", "Error messages" and levels 0 and
1; error numbers of `S S Error` from 11781363. Of level 2: SU, SIU, SR, SNR and their U forms, I5,
I10, I11, I14, PW (11780711; that PW answers as TA does is taken from the rule for responses with a
weight). Not verified on hardware.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from drivers.errors import ProtocolError
from drivers.facts import Fact

LINE_MAX = 256
"""Longest line taken, in bytes without its end; not from a manual, known lines stay below 100."""
END = b"\r\n"
VALUE_WIDTH = 10
"""Characters of a weight value, right aligned. Source: 11781363, "Response formats"."""
UNITS = frozenset(
    "g kg mg ug ct N lb oz ozt GN dwt mom msg tlh tls tlt tola baht % PCS".split()  # noqa: SIM905
)
"""Units that a scale may send. Source: 11781363, command M21, and the counting unit PCS."""
HARDWARE_ERRORS = {
    1: "boot error",
    2: "brand error",
    3: "checksum error",
    9: "option fail",
    10: "EEPROM error",
    11: "device mismatch",
    12: "hot plug out",
    14: "weighing module and electronics do not match",
    15: "adjustment needed",
}
"""Meaning of `S S Error n`. Source: 11781363, "Format of responses with weight value"."""

_LINE = re.compile(rb"[\x20-\x7e]+")
_NAME = re.compile(r"@|[A-Z][A-Z0-9]{0,5}")
_VALUE = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_WEIGHT = re.compile(r"(S|T|TI|TA|PW) ([SDA]) (.{10}) ([A-Za-z%]{1,4})")
_ERROR = re.compile(r"(S) [SD] Error ([1-9][0-9]?)([bt])")
_ARGUMENT = re.compile(r'"([^"]*)"|([^" ]+)')


class WeightStatus(StrEnum):
    """What a weight in a reply is: stable, still moving, or (for TA, PW) what is set."""

    STABLE = "S"
    DYNAMIC = "D"
    SET = "A"


class ReplyStatus(StrEnum):
    """Second field of a reply without weight."""

    DONE = "A"
    MORE = "B"
    """Another line of the same command follows."""
    STABLE = "S"
    DYNAMIC = "D"


class Reason(StrEnum):
    """Why a command was refused: busy or not stable in time, bad parameter, over or under range."""

    BUSY = "I"
    PARAMETER = "L"
    OVER = "+"
    UNDER = "-"


class Misunderstood(StrEnum):
    """Whole-line errors: syntax, transmission (parity, break), or logically not executable."""

    SYNTAX = "ES"
    TRANSMISSION = "ET"
    LOGICAL = "EL"


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted argument; printable ASCII without double quotes."""

    value: str


Argument = str | Text
"""An argument of a line: a bare word or a quoted text."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a host sends: `S`, `TA 10.00 g`, `M21 0 0`."""

    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight, in answer to T, TI, TA, PW or (as `S`) S, SI, SIR, SR, SNR and those with U.

    `value` has the digits sent.
    """

    command: str
    status: WeightStatus
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Any other answer that is no refusal."""

    command: str
    status: ReplyStatus
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The command was understood and not carried out."""

    command: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class HardwareError:
    """A fault of the scale instead of a weight; `source` is `b` (bridge) or `t` (terminal)."""

    command: str
    number: int
    source: str

    @property
    def meaning(self) -> str:
        """The fault in words."""
        return HARDWARE_ERRORS.get(self.number, "unknown error")


@dataclass(frozen=True, slots=True)
class LineError:
    """The scale could not make sense of the command."""

    kind: Misunderstood


Reply = Weight | Answer | Refusal | HardwareError | LineError
Line = Command | Reply

_LINE_ERRORS = {each.value: each for each in Misunderstood}
_REASONS = {each.value: each for each in Reason}
_STATUSES = {each.value: each for each in ReplyStatus}


def encode_command(command: Command) -> bytes:
    """Return the line of a command with its end; raises ProtocolError when it cannot be written."""
    return _checked(_joined(command.name, command.arguments), command, decode_command)


def decode_command(line: bytes) -> Command:
    """Read a command line without its end; raises ProtocolError."""
    name, space, rest = _text(line).partition(" ")
    if not _NAME.fullmatch(name) or bool(space) != bool(rest):
        raise ProtocolError(f"not a command: {line[:40]!r}")
    return Command(name, _arguments(rest) if rest else ())


def encode(reply: Reply) -> bytes:
    """Return the line of a reply with its end; raises ProtocolError when it cannot be written."""
    return _checked(_written(reply), reply, decode)


def decode(line: bytes) -> Reply:
    """Read a reply line without its end; raises ProtocolError and nothing else."""
    text = _text(line)
    if text in _LINE_ERRORS:
        return LineError(_LINE_ERRORS[text])
    if match := _WEIGHT.fullmatch(text):
        return _weight(match)
    if match := _ERROR.fullmatch(text):
        return HardwareError(match[1], int(match[2]), match[3])
    name, _, rest = text.partition(" ")
    status, space, rest = rest.partition(" ")
    if _NAME.fullmatch(name):
        if status in _REASONS and not space:
            return Refusal(name, _REASONS[status])
        if status in _STATUSES and bool(space) == bool(rest) and not _holds_weight(name, status):
            return Answer(name, _STATUSES[status], _arguments(rest) if rest else ())
    raise ProtocolError(f"not a reply: {line[:40]!r}")


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything.

    Raises ProtocolError for bytes that are not one line of a scale.
    """
    decode(raw.removesuffix(END))
    return ()


def capacity(answer: Answer) -> tuple[str, Decimal, str] | None:
    """Return model, weighing capacity and its unit from an I2 answer; None when it lacks them."""
    words = " ".join(each.value for each in answer.arguments if isinstance(each, Text)).split()
    if len(words) < 2 or words[-1] not in UNITS or not _VALUE.fullmatch(words[-2]):  # noqa: PLR2004
        return None
    return " ".join(words[:-2]), Decimal(words[-2]), words[-1]


def _holds_weight(name: str, status: str) -> bool:
    """Whether a reply of this shape must hold a weight, so that one that does not is damaged."""
    return name in ("S", "T", "TI", "TA") and status in ("S", "D", "A")


def _weight(match: re.Match[str]) -> Weight:
    command, status, value, unit = match.groups()
    bare = value.lstrip(" ")
    if (
        (status == "A") != (command in ("TA", "PW"))
        or unit not in UNITS
        or not _VALUE.fullmatch(bare)
    ):
        raise ProtocolError(f"not a weight: {match[0]!r}")
    return Weight(command, WeightStatus(status), Decimal(bare), unit)


def _text(line: bytes) -> str:
    if len(line) > LINE_MAX or not _LINE.fullmatch(line):
        raise ProtocolError(f"not a line of at most {LINE_MAX} printable bytes: {line[:40]!r}")
    return line.decode("ascii")


def _arguments(text: str) -> tuple[Argument, ...]:
    arguments: list[Argument] = []
    position = 0
    while match := _ARGUMENT.match(text, position):
        quoted, word = match.groups()
        arguments.append(word if quoted is None else Text(quoted))
        position = match.end()
        if position == len(text):
            return tuple(arguments)
        if text[position] != " ":
            break
        position += 1
    raise ProtocolError(f"not a list of arguments: {text[:40]!r}")


def _written(reply: Reply) -> str:
    match reply:
        case Weight():
            return f"{reply.command} {reply.status} {reply.value:>{VALUE_WIDTH}f} {reply.unit}"
        case Answer():
            return _joined(f"{reply.command} {reply.status}", reply.arguments)
        case Refusal():
            return f"{reply.command} {reply.reason}"
        case HardwareError():
            return f"{reply.command} S Error {reply.number}{reply.source}"
        case LineError():
            return reply.kind
        case _ as unreachable:
            assert_never(unreachable)


def _joined(head: str, arguments: tuple[Argument, ...]) -> str:
    words = [f'"{each.value}"' if isinstance(each, Text) else each for each in arguments]
    return " ".join([head, *words])


def _checked(text: str, meant: Line, read: Callable[[bytes], Line]) -> bytes:
    """Return the line, read back so that nothing is written that would be read otherwise."""
    line = text.encode("ascii", "replace")
    if read(line) != meant:
        raise ProtocolError(f"cannot be written: {meant!r}")
    return line + END
