"""Scales that speak the A&D standard format; the protocol is called `and`, a word of Python."""
