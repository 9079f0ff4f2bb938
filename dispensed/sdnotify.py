"""Tells the service manager how the daemon is (systemd's sd_notify over a datagram socket).

Source: sd_notify(3): newline-separated assignments sent to the socket named by NOTIFY_SOCKET; a
leading `@` stands for the abstract name space.
"""

import socket
from collections.abc import Mapping

import structlog

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

USEC_PER_S = 1_000_000


class Notifier:
    """Sends states to the service manager; does nothing when none asked for them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("NOTIFY_SOCKET", "")
        watchdog = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(watchdog) / USEC_PER_S if watchdog.isdecimal() else 0.0
        """Within how many seconds a `WATCHDOG=1` is wanted; 0 when none is."""

    def send(self, *assignments: str) -> None:
        """Send assignments such as `READY=1`; never blocks, and only logs a failure."""
        if not self._path:
            return
        name = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
                sock.connect(name)
                sock.send("\n".join(assignments).encode())
        except OSError as error:
            log.warning("notify.failed", reason=str(error))
