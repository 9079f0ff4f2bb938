"""Balances that speak the Sartorius balance interface (SBI)."""
