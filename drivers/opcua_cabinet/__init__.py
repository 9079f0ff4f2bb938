"""Drawers that are cover functions of a LADS device, over OPC UA."""
