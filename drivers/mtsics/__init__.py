"""Scales that speak MT-SICS (Mettler-Toledo and compatible) over a serial line or TCP."""
