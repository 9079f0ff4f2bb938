"""Scales that speak the Mettler-Toledo 8217 protocol of points of sale."""
