"""The HTTP API and the page: parse, one service call, shape the answer."""
