"""Plain text work for the settings: the line of a TOML key, and values written as text. Pure."""

import json
import re
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

EXAMPLE_WIDTH = 100
EXAMPLE_HEAD = """\
# dispensed.toml: the configuration of one pharmacy, every key with its default and its unit.
# A key may also be set by the environment, for example DISPENSED__HTTP__PORT=9000, or by a file in
# $CREDENTIALS_DIRECTORY named by its dotted key, for example `database.url`.
# `dispensed config check` names every fault at once."""
EXAMPLE_DEVICES = """\
# [devices.robot1]
# protocol = "wwks2"
# address = "tcp://192.168.10.11:6050"

# [devices.counter1]
# protocol = "packml"
# address = "opc.tcp://192.168.10.12:4840"

# [devices.scale1]
# protocol = "mtsics"
# address = "serial:/dev/ttyS0?baud=9600&format=8N1"

# [devices.printer1]
# protocol = "zpl"
# address = "tcp://192.168.10.14:9100"
"""
DEVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SYNTAX_PLACE = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$"
)
_CLOSERS = {"[": "]", "{": "}"}


def syntax_fault(message: str, text: str) -> tuple[int, str]:
    """Split the message of tomllib into line and text; the end of the document is its last line."""
    match = _SYNTAX_PLACE.match(message)
    if match is None:
        return 0, message
    line = match["line"]
    return (int(line) if line else text.count("\n") + 1), f"not TOML: {match['what']}"


def parse_scalar(raw: str) -> object:
    """Read an override as TOML would (`9000`, `true`); anything else is text as it stands."""
    if "\n" in raw:
        return raw
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line (from 1) of every table header and key in a valid TOML text.

    Keys inside an inline table stand on the line where they are written.
    """
    scan = _Scan(text)
    table: tuple[str, ...] = ()
    while scan.skip_blank():
        line = scan.line
        if scan.peek() == "[":
            table = scan.header()
            for length in range(1, len(table) + 1):
                scan.lines.setdefault(table[:length], line)
        else:
            scan.pair(table)
    return scan.lines


def comment(text: str) -> list[str]:
    """Return a text as comment lines."""
    joined = text.rstrip() if text.startswith(" ") else " ".join(text.split())
    return textwrap.wrap(
        " ".join(joined.split("\n")), EXAMPLE_WIDTH, initial_indent="# ", subsequent_indent="# "
    )


def toml_scalar(value: object) -> str:
    """Write a scalar default as TOML; JSON writes these the same way."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


@dataclass
class _Scan:
    """A cursor over a text that tomllib has accepted, so that only structure matters here."""

    text: str
    at: int = 0

    def __post_init__(self) -> None:
        self.lines: dict[tuple[str, ...], int] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def skip_blank(self) -> bool:
        """Pass blanks, newlines, commas and comments; False at the end of the text."""
        while self.at < len(self.text):
            char = self.peek()
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in " \t\r\n,":
                self.at += 1
            else:
                return True
        return False

    def header(self) -> tuple[str, ...]:
        while self.peek() == "[":
            self.at += 1
        keys = self.keys("]")
        while self.peek() == "]":
            self.at += 1
        return keys

    def pair(self, table: tuple[str, ...]) -> None:
        """Read `key = value` and note the line of every prefix of the key."""
        line = self.line
        keys = self.keys("=")
        self.at += 1
        for length in range(1, len(keys) + 1):
            self.lines.setdefault(table + keys[:length], line)
        self.value(table + keys)

    def keys(self, stop: str) -> tuple[str, ...]:
        """Read a dotted key up to (not over) `stop`."""
        found = []
        while self.at < len(self.text) and self.peek() != stop:
            bare = _BARE_KEY.match(self.text, self.at)
            if self.peek() in {'"', "'"}:
                start = self.at
                self.string()
                found.append(str(parse_scalar(self.text[start : self.at])))
            elif bare:
                found.append(bare[0])
                self.at = bare.end()
            else:
                self.at += 1
        return tuple(found)

    def string(self) -> None:
        """Pass one string of any of the four kinds."""
        quote = self.peek(3) if self.peek(3) in {'"""', "'''"} else self.peek()
        self.at += len(quote)
        while self.at < len(self.text) and self.peek(len(quote)) != quote:
            self.at += 2 if self.peek() == "\\" and quote[0] == '"' else 1
        self.at += len(quote)
        while len(quote) > 1 and self.peek() == quote[0]:
            self.at += 1

    def value(self, keys: tuple[str, ...]) -> None:
        char = self.peek_value()
        if char in {'"', "'"}:
            self.string()
        elif char in _CLOSERS:
            self.at += 1
            while self.skip_blank() and self.peek() != _CLOSERS[char]:
                if char == "{":
                    self.pair(keys)
                else:
                    self.value(keys)
            self.at += 1
        else:
            start = self.at
            while self.at < len(self.text) and self.peek() not in ",]}#\n":
                self.at += 1
            # A stray bracket is no value; the scan must get past it all the same.
            self.at += self.at == start

    def peek_value(self) -> str:
        while self.peek() in {" ", "\t"}:
            self.at += 1
        return self.peek()
