"""The binary form of the PackML structures that a counter exchanges.

Source: OPC 30050 "OPC UA for PackML" 1.01, 6.5 (PackMLCountDataType, PackMLDescriptorDataType);
numeric ids from its nodeset of 2020-10-08; OPC 10000-6 5.2 for the binary encoding; OPC 10000-8 for
units. Not verified on hardware.

Bodies are decoded here and not by a type registered with the OPC UA library: that registry is one
per process and keyed by namespace index, and the index differs from machine to machine.
"""

import struct
from dataclasses import dataclass

from drivers.base import ProtocolError

COUNT_ENCODING_ID = 69
"""Numeric id of PackMLCountDataType's binary encoding in the PackML namespace."""
DESCRIPTOR_ENCODING_ID = 77
"""Numeric id of PackMLDescriptorDataType's binary encoding in the PackML namespace."""
UNITS_URI = "http://www.opcfoundation.org/UA/units/un/cefact"
PIECE_UNIT_ID = 4732983
"""UN/ECE common code H87 (piece), packed as OPC 10000-8 asks."""
TEXT_MAX = 4096
"""Longest string in bytes that a structure may hold."""


@dataclass(frozen=True, slots=True)
class CountElement:
    """PackMLCountDataType: ID, Name, Unit (EUInformation), Count, AccCount."""

    id: int
    name: str
    unit_id: int
    unit: str
    count: int
    acc: int


@dataclass(frozen=True, slots=True)
class Descriptor:
    """PackMLDescriptorDataType: ID, Name, Unit (EUInformation), Value (32-bit float)."""

    id: int
    name: str
    unit_id: int
    unit: str
    value: float


class _Reader:
    """Reads the OPC UA binary encoding; raises ProtocolError when the bytes end too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise ProtocolError(f"structure of {len(self._body)} bytes ends before byte {end}")
        data, self._at = self._body[self._at : end], end
        return data

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "little", signed=True)

    def float32(self) -> float:
        value: float = struct.unpack("<f", self.take(4))[0]
        return value

    def text(self) -> str:
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
        mask = self.take(1)[0]
        if mask & ~3:
            raise ProtocolError(f"localized text with mask {mask:#x}")
        if mask & 1:
            self.text()
        return self.text() if mask & 2 else ""

    def unit(self) -> tuple[int, str]:
        self.text()
        unit_id = self.int32()
        name = self.localized()
        self.localized()
        return unit_id, name

    def end(self) -> None:
        if self._at != len(self._body):
            raise ProtocolError(f"{len(self._body) - self._at} bytes after the structure")


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(4, "little") + data


def _int32(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def _unit(unit_id: int, name: str) -> bytes:
    return _text(UNITS_URI) + _int32(unit_id) + b"\x02" + _text(name) + b"\x00"


def encode_count(element: CountElement) -> bytes:
    """Return the binary body of a PackMLCountDataType; OverflowError outside 32 bits."""
    head = _int32(element.id) + _text(element.name) + _unit(element.unit_id, element.unit)
    return head + _int32(element.count) + _int32(element.acc)


def decode_count(body: bytes) -> CountElement:
    """Return a PackMLCountDataType from its binary body; raises ProtocolError."""
    reader = _Reader(body)
    number, name = reader.int32(), reader.text()
    unit_id, unit = reader.unit()
    element = CountElement(number, name, unit_id, unit, reader.int32(), reader.int32())
    reader.end()
    return element


def encode_descriptor(item: Descriptor) -> bytes:
    """Return the binary body of a PackMLDescriptorDataType; OverflowError outside 32 bits."""
    head = _int32(item.id) + _text(item.name) + _unit(item.unit_id, item.unit)
    return head + struct.pack("<f", item.value)


def decode_descriptor(body: bytes) -> Descriptor:
    """Return a PackMLDescriptorDataType from its binary body; raises ProtocolError."""
    reader = _Reader(body)
    number, name = reader.int32(), reader.text()
    unit_id, unit = reader.unit()
    item = Descriptor(number, name, unit_id, unit, reader.float32())
    reader.end()
    return item
