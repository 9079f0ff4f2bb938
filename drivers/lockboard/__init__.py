"""Drawers behind RS-485 lock boards: KERONG KR-CU16, KERONG CU48 and Winnsen."""
