"""The pharmacy's rules as pure values and functions: no clock, no SQL, no I/O."""
