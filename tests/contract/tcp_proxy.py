"""A TCP proxy between a driver and a machine, with the faults that TCP can have."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from simulators.relay import relay
from simulators.wire import Wire


@contextlib.asynccontextmanager
async def tcp_proxy(address: str, wire: Wire) -> AsyncIterator[str]:
    """Put a line in front of `scheme://host:port`; yields the address to use instead.

    The faults that `simulators.relay` names work, others do not: TCP carries every byte in order or
    breaks the connection.
    """
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    async with relay((parts.hostname, parts.port), wire) as line:
        yield parts._replace(netloc=f"{line.host}:{line.port}").geturl()
