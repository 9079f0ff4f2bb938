"""The binary form of OPC UA structures, and the numbers of units, as pure functions.

Source: OPC 10000-6 "OPC UA Mappings" 1.05, 5.2 for the binary encoding; OPC 10000-8 "Data Access"
5.6.3 for units (UN/ECE Recommendation 20). Not verified on hardware.

Bodies are decoded here and not by a type registered with the OPC UA library: that registry is one
per process and keyed by namespace index, and the index differs from machine to machine.
"""

import struct

from drivers.errors import ProtocolError

UNITS_URI = "http://www.opcfoundation.org/UA/units/un/cefact"
"""The namespace of units that are numbered by their UN/ECE common code."""
TEXT_MAX = 4096
"""Longest string in bytes that a structure may hold."""


def unit_id_of(common_code: str) -> int:
    """Return the number of a unit: the ASCII codes of its UN/ECE common code, one byte each."""
    return int.from_bytes(common_code.encode("ascii"), "big")


PIECE_UNIT_ID = unit_id_of("H87")


class Reader:
    """Reads the OPC UA binary encoding; raises ProtocolError when the bytes end too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self._at + count
        if end > len(self._body):
            raise ProtocolError(f"structure of {len(self._body)} bytes ends before byte {end}")
        data, self._at = self._body[self._at : end], end
        return data

    def int32(self) -> int:
        """Return an Int32."""
        return int.from_bytes(self.take(4), "little", signed=True)

    def float32(self) -> float:
        """Return a Float."""
        value: float = struct.unpack("<f", self.take(4))[0]
        return value

    def float64(self) -> float:
        """Return a Double."""
        value: float = struct.unpack("<d", self.take(8))[0]
        return value

    def text(self) -> str:
        """Return a String, "" for a null one."""
        length = self.int32()
        if length == -1:
            return ""
        if not 0 <= length <= TEXT_MAX:
            raise ProtocolError(f"string of {length} bytes")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"string is not UTF-8: {error}") from error

    def localized(self) -> str:
        """Return the text of a LocalizedText."""
        mask = self.take(1)[0]
        if mask & ~3:
            raise ProtocolError(f"localized text with mask {mask:#x}")
        if mask & 1:
            self.text()
        return self.text() if mask & 2 else ""

    def unit(self) -> tuple[int, str]:
        """Return number and name of an EUInformation."""
        self.text()
        unit_id = self.int32()
        name = self.localized()
        self.localized()
        return unit_id, name

    def end(self) -> None:
        """Raise ProtocolError unless everything was read."""
        if self._at != len(self._body):
            raise ProtocolError(f"{len(self._body) - self._at} bytes after the structure")


def text(value: str) -> bytes:
    """Return a String."""
    data = value.encode()
    return len(data).to_bytes(4, "little") + data


def int32(value: int) -> bytes:
    """Return an Int32; OverflowError outside 32 bits."""
    return value.to_bytes(4, "little", signed=True)


def float32(value: float) -> bytes:
    """Return a Float; OverflowError when it is too large."""
    return struct.pack("<f", value)


def float64(value: float) -> bytes:
    """Return a Double."""
    return struct.pack("<d", value)


def unit(unit_id: int, name: str) -> bytes:
    """Return an EUInformation of UNITS_URI."""
    return text(UNITS_URI) + int32(unit_id) + b"\x02" + text(name) + b"\x00"
