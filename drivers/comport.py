"""Telnet with the com port control option: a serial port behind a network gateway. Pure.

Bytes in, payload and answers out; nothing here waits or sends. This is the client's side.

Source: RFC 854 (Telnet), RFC 856 (binary transmission), RFC 858 (suppress go ahead) and RFC 2217
(com port control, October 1997). Tried against pyserial's server side; not verified on a gateway.
"""

from dataclasses import dataclass
from enum import IntEnum

from drivers.errors import ProtocolError

SUB_MAX = 64
"""Bytes of one subnegotiation; those of RFC 2217 but the signature have at most six."""
_IAC, _SE, _SB = 255, 240, 250
_BAUD, _BITS, _PARITY, _STOP, _CONTROL, _LINE_MASK, _PURGE = 1, 2, 3, 4, 5, 10, 12
_ANSWER = 100
"""What a server adds to the number of a command in its answer."""
_NOTIFY_LINE = 106
_LINE_ERRORS = 0b11110
"""Overrun, parity error, framing error and break of the line state."""
_NO_FLOW_CONTROL = 1
_PURGE_BOTH = 3
_PARITIES = {"N": 1, "O": 2, "E": 3}


class Say(IntEnum):
    """The verbs of Telnet's option negotiation."""

    WILL = 251
    WONT = 252
    DO = 253
    DONT = 254


class Option(IntEnum):
    """The Telnet options that are used here."""

    BINARY = 0
    SUPPRESS_GO_AHEAD = 3
    COM_PORT = 44


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway's port must be set: `parity` is N, E or O."""

    baud: int
    bits: int
    parity: str
    stop: int


@dataclass(frozen=True, slots=True)
class Verb:
    """WILL, WONT, DO or DONT of one option."""

    verb: int
    option: int


@dataclass(frozen=True, slots=True)
class Sub:
    """The content of one subnegotiation."""

    body: bytes


class TelnetSplitter:
    """Splits a Telnet stream into data, verbs and subnegotiations; bounded, cut anywhere."""

    def __init__(self) -> None:
        self._state = "data"
        self._verb = 0
        self._sub = bytearray()

    def feed(self, data: bytes) -> list[bytes | Verb | Sub]:
        """Return the parts in their order. Raises ProtocolError for an overlong or broken one."""
        parts: list[bytes | Verb | Sub] = []
        plain = bytearray()
        for byte in data:
            part = self._take(byte, plain)
            if part is not None:
                if plain:
                    parts.append(bytes(plain))
                    plain.clear()
                parts.append(part)
        if plain:
            parts.append(bytes(plain))
        return parts

    def _take(self, byte: int, plain: bytearray) -> Verb | Sub | None:
        match self._state:
            case "data":
                if byte == _IAC:
                    self._state = "command"
                else:
                    plain.append(byte)
            case "command":
                self._command(byte, plain)
            case "verb":
                self._state = "data"
                return Verb(self._verb, byte)
            case "sub":
                if byte == _IAC:
                    self._state = "sub command"
                else:
                    self._grow(byte)
            case _:
                return self._sub_command(byte)
        return None

    def _command(self, byte: int, plain: bytearray) -> None:
        self._state = "data"
        if byte == _IAC:
            plain.append(byte)
        elif byte == _SB:
            self._state = "sub"
            self._sub.clear()
        elif byte in list(Say):
            self._state = "verb"
            self._verb = byte  # any other command (NOP, go ahead ...) means nothing here

    def _sub_command(self, byte: int) -> Sub | None:
        if byte == _IAC:
            self._state = "sub"
            self._grow(byte)
            return None
        self._state = "data"
        if byte != _SE:
            raise ProtocolError(f"telnet: {byte} within a subnegotiation")
        return Sub(bytes(self._sub))

    def _grow(self, byte: int) -> None:
        if len(self._sub) >= SUB_MAX:
            self._state = "data"
            raise ProtocolError(f"telnet: a subnegotiation of more than {SUB_MAX} bytes")
        self._sub.append(byte)


def escaped(data: bytes) -> bytes:
    """Return data as it goes over Telnet in binary mode."""
    return data.replace(b"\xff", b"\xff\xff")


class ComPort:
    """One connection to a gateway: first agree on the port's settings, then carry its bytes.

    A line error that the gateway reports (parity, framing, overrun, break) becomes a NUL byte in
    the payload, as on a local port: no text protocol allows it, so the frame is refused.
    """

    def __init__(self, settings: Settings) -> None:
        self._splitter = TelnetSplitter()
        self._wanted = {
            _BAUD: settings.baud.to_bytes(4, "big"),
            _BITS: bytes([settings.bits]),
            _PARITY: bytes([_PARITIES[settings.parity]]),
            _STOP: bytes([settings.stop]),
        }
        self._open = {
            "binary to the gateway",
            "binary from the gateway",
            "com port control",
            *(_name(each) for each in self._wanted),
        }
        self._told = False
        self.refused = ""
        """Why the gateway cannot be used, once that is known."""

    @property
    def missing(self) -> str:
        """What the gateway has not agreed to yet; empty when the port is set."""
        return ", ".join(sorted(self._open))

    def start(self) -> bytes:
        """Return what is sent first."""
        return b"".join(
            bytes([_IAC, verb, option])
            for verb, option in (
                (Say.WILL, Option.COM_PORT),
                (Say.WILL, Option.BINARY),
                (Say.DO, Option.BINARY),
                (Say.WILL, Option.SUPPRESS_GO_AHEAD),
                (Say.DO, Option.SUPPRESS_GO_AHEAD),
            )
        )

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the payload in what arrived, and what must be answered; raises ProtocolError."""
        payload, answer = bytearray(), bytearray()
        for part in self._splitter.feed(data):
            match part:
                case Verb():
                    answer += self._verb(part)
                case Sub():
                    payload += self._sub(part.body)
                case _:
                    payload += part
        return bytes(payload), bytes(answer)

    def _verb(self, heard: Verb) -> bytes:
        """Take a word on an option; what was asked for needs no answer, the rest is refused."""
        match heard.verb, heard.option:
            case Say.DO, Option.COM_PORT:
                self._open.discard("com port control")
                return self._configure()
            case Say.DO, Option.BINARY:
                self._open.discard("binary to the gateway")
            case Say.WILL, Option.BINARY:
                self._open.discard("binary from the gateway")
            case Say.DONT, Option.COM_PORT:
                self._refuse("the gateway has no com port control (RFC 2217)")
            case ((Say.DONT | Say.WONT), Option.BINARY):
                self._refuse("the gateway refuses binary transmission")
            case Say.WILL, option if option != Option.SUPPRESS_GO_AHEAD:
                return bytes([_IAC, Say.DONT, option])
            case Say.DO, option if option != Option.SUPPRESS_GO_AHEAD:
                return bytes([_IAC, Say.WONT, option])
            case _:
                pass
        return b""

    def _configure(self) -> bytes:
        if self._told:
            return b""
        self._told = True
        first = {  # carried out before the settings, whose answers are waited for
            _CONTROL: bytes([_NO_FLOW_CONTROL]),
            _LINE_MASK: bytes([_LINE_ERRORS]),
            _PURGE: bytes([_PURGE_BOTH]),
        }
        return b"".join(
            bytes([_IAC, _SB, Option.COM_PORT, command]) + escaped(value) + bytes([_IAC, _SE])
            for command, value in {**first, **self._wanted}.items()
        )

    def _sub(self, body: bytes) -> bytes:
        """Take an answer or a notice; return what it puts into the payload."""
        if len(body) < 2 or body[0] != Option.COM_PORT:  # noqa: PLR2004 - option and command
            return b""
        command, value = body[1], body[2:]
        if command == _NOTIFY_LINE:
            return b"\0" if value and value[0] & _LINE_ERRORS else b""
        wanted = self._wanted.get(command - _ANSWER)
        if wanted is None:
            return b""
        name = _name(command - _ANSWER)
        if value == wanted:
            self._open.discard(name)
        else:
            have, want = int.from_bytes(value, "big"), int.from_bytes(wanted, "big")
            self._refuse(f"the gateway sets {name} {have} instead of {want}")
        return b""

    def _refuse(self, reason: str) -> None:
        self.refused = self.refused or reason


def _name(command: int) -> str:
    return {
        _BAUD: "baud rate",
        _BITS: "data bits",
        _PARITY: "parity (1 none, 2 odd, 3 even)",
        _STOP: "stop bits",
    }[command]
