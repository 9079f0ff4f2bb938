"""Example of a third party's driver: a scale that is not a real machine."""
