"""Label printers that speak the Internet Printing Protocol."""
