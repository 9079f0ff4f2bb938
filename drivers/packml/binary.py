"""The binary form of the PackML structures that a counter exchanges.

Source: OPC 30050 "OPC UA for PackML" 1.01, 6.5 (PackMLCountDataType, PackMLDescriptorDataType);
numeric ids from its nodeset of 2020-10-08. Not verified on hardware.
"""

from dataclasses import dataclass

from drivers.opcua_binary import Reader, float32, int32, text, unit

COUNT_ENCODING_ID = 69
"""Numeric id of PackMLCountDataType's binary encoding in the PackML namespace."""
DESCRIPTOR_ENCODING_ID = 77
"""Numeric id of PackMLDescriptorDataType's binary encoding in the PackML namespace."""


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


def encode_count(element: CountElement) -> bytes:
    """Return the binary body of a PackMLCountDataType; OverflowError outside 32 bits."""
    head = int32(element.id) + text(element.name) + unit(element.unit_id, element.unit)
    return head + int32(element.count) + int32(element.acc)


def decode_count(body: bytes) -> CountElement:
    """Return a PackMLCountDataType from its binary body; raises ProtocolError."""
    reader = Reader(body)
    number, name = reader.int32(), reader.text()
    unit_id, unit_name = reader.unit()
    element = CountElement(number, name, unit_id, unit_name, reader.int32(), reader.int32())
    reader.end()
    return element


def encode_descriptor(item: Descriptor) -> bytes:
    """Return the binary body of a PackMLDescriptorDataType; OverflowError outside 32 bits."""
    head = int32(item.id) + text(item.name) + unit(item.unit_id, item.unit)
    return head + float32(item.value)


def decode_descriptor(body: bytes) -> Descriptor:
    """Return a PackMLDescriptorDataType from its binary body; raises ProtocolError."""
    reader = Reader(body)
    number, name = reader.int32(), reader.text()
    unit_id, unit_name = reader.unit()
    item = Descriptor(number, name, unit_id, unit_name, reader.float32())
    reader.end()
    return item
