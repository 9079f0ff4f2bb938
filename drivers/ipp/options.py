"""Settings and address of one IPP printer."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from drivers.choices import Given, Rules, read
from drivers.labelpdf import Page, load_font

PORT = 631
"""Source: RFC 8010, 4.1."""
_RANGES: dict[str, tuple[float, float]] = {
    "width_mm": (10, 600),
    "height_mm": (10, 1200),
    "reply_timeout_s": (0.05, 60),
    "print_timeout_s": (0.1, 600),
    "poll_interval_s": (0.05, 3600),
    "print_poll_s": (0.001, 10),
    "queue_max": (1, 256),
}
_KEYWORD = re.compile(r"[A-Za-z0-9._-]{0,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one printer.

    `media` is the keyword of the label stock as the printer lists it, "" leaves it to the printer.
    `uuid` is the printer's `printer-uuid`: another printer is refused; "" takes any.
    `server_certificate` is a PEM file that pins the certificate of an `ipps` printer.
    """

    width_mm: float = 101.6
    height_mm: float = 50.8
    font: str = ""
    media: str = ""
    uuid: str = ""
    server_certificate: str = ""
    reply_timeout_s: float = 5.0
    print_timeout_s: float = 30.0
    poll_interval_s: float = 10.0
    print_poll_s: float = 0.25
    queue_max: int = 16

    @property
    def page(self) -> Page:
        """The page that is drawn."""
        return Page(self.width_mm, self.height_mm, self.font)


def parse_options(options: Given) -> Options:
    """Return the options checked; raises ValueError naming every bad key."""
    checked = read(Options, options, Rules(_RANGES, {"media": _media_fault}))
    load_font(checked.font)
    return checked


def _media_fault(text: str) -> str:
    return "" if _KEYWORD.fullmatch(text) else f"media must be a keyword, not {text!r}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a printer is: its IPP URI, and the HTTP URL that requests are posted to."""

    uri: str
    url: str
    secure: bool


def parse_address(address: str) -> Address:
    """Return the address checked; raises ValueError."""
    parts = urlsplit(address)
    try:
        port = parts.port or PORT
    except ValueError as error:
        raise ValueError(f"address {address!r}: {error}") from error
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in {"ipp", "ipps"} or not parts.hostname or not plain:
        raise ValueError(f"address {address!r}: ipp://HOST[:PORT]/PATH or ipps://... expected")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path or "/ipp/print"
    secure = parts.scheme == "ipps"
    scheme = "https" if secure else "http"
    return Address(
        f"{parts.scheme}://{host}:{port}{path}", f"{scheme}://{host}:{port}{path}", secure
    )
