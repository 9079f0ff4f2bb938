"""Scales that speak the Ohaus command set."""
