"""Tablet counters that speak PackML (ISA-TR88.00.02) over OPC UA (OPC 30050)."""
