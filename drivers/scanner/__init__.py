"""Barcode scanners on a serial line, a TCP converter or a text device."""
