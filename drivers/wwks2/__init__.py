"""WWKS2: XML over TCP to picking robots and automated storage and retrieval systems."""
