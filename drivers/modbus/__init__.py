"""A scale on Modbus TCP or RTU, described by a map file: codec, map, link and driver."""
