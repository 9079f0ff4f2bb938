"""Scales and counting scales over OPC UA (OPC 40200 Weighing Technology)."""
