"""Documents of other systems: pure text and bytes to dataclasses and back."""
