"""The machine's side: wire protocols of pharmacy devices. Knows nothing of the pharmacy."""
