"""Label printers that speak ZPL II over TCP 9100 or a serial line."""
