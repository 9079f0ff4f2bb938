"""Devices as running things: which driver serves a protocol, and keeping its link alive."""
