"""The same machines from the inside: deterministic models and wire adapters for tests and demos."""
