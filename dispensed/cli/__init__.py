"""The command line: the only part that prints. Commands are imported when they are called."""
