"""How an OPC UA machine is reached and how the link is protected: options, checked before use.

Every driver over OPC UA takes these options beside its own. Nothing is assumed: a link without
protection and a session without a user are used only when the configuration says so by name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

UNPROTECTED = "none"
SECURE = "Basic256Sha256"
SECURITIES = (UNPROTECTED, SECURE)
ANONYMOUS = "anonymous"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_OWN_FILES = ("certificate", "private_key")
_PINS = ("server_certificate", "server_fingerprint")


@dataclass(frozen=True, slots=True)
class Link:
    """Settings of one link; all times in seconds.

    `security`: "none", or "Basic256Sha256" (sign and encrypt) with the paths `certificate` and
    `private_key` of this client (PEM when so named, else DER). The machine's certificate is pinned:
    by the file `server_certificate`, or by `server_fingerprint`, the SHA-256 of its DER form.
    `user`: "anonymous", or a name, whose password is read from `password_file` at each connect.

    `root`: browse names from Objects down to the machine, parted by "/" (empty: it is looked for).
    `serial`: refuse a machine with another serial number. `request_timeout_s`: deadline of one
    request. `keepalive_s`: time between two signs of life.
    """

    security: str
    certificate: Path
    private_key: Path
    server_certificate: Path | None
    server_fingerprint: str
    user: str
    password_file: Path | None
    root: tuple[str, ...]
    serial: str
    request_timeout_s: float
    keepalive_s: float

    def told(self) -> str:
        """Return how the link is protected, for people: `Basic256Sha256 SignAndEncrypt, user a`."""
        mode = f"{SECURE} SignAndEncrypt" if self.security == SECURE else "None (unprotected)"
        who = ANONYMOUS if self.user == ANONYMOUS else f"user {self.user}"
        return f"{mode}, {who}"


class Given:
    """Reads a driver's options one by one and notes every fault; `finish` raises them at once."""

    def __init__(self, options: Mapping[str, str | int | float | bool]) -> None:
        self._options = options
        self._known: set[str] = set()
        self._faults: list[str] = []

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        value = self._get(key, default)
        if isinstance(value, str):
            return value
        self.refuse(f"option {key!r} must be a text, not {value!r}")
        return ""

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """Return a whole number of `least` to `most`."""
        value = self._get(key, default)
        if type(value) is int and least <= value <= most:
            return value
        self.refuse(f"option {key!r} must be {least} to {most}, not {value!r}")
        return least

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._get(key, default)
        if isinstance(value, bool):
            return value
        self.refuse(f"option {key!r} must be true or false, not {value!r}")
        return False

    def decimal(self, key: str) -> Decimal | None:
        """Return a number with its digits (write it as a text to keep them), None for none."""
        value = self._get(key, "")
        if isinstance(value, str) and not value:
            return None
        try:
            number = Decimal("" if isinstance(value, bool) else str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            self.refuse(f"option {key!r} must be a number, not {value!r}")
            return None
        return number

    def choice(self, key: str, choices: tuple[str, ...], default: str = "") -> str:
        """Return one of `choices`; without a default it must be given."""
        value = self.text(key, default)
        if value not in choices:
            self.refuse(f"option {key!r} must be one of {', '.join(choices)}, not {value!r}")
        return value

    def refuse(self, fault: str) -> None:
        """Note that something is wrong with the options."""
        self._faults.append(fault)

    def finish(self) -> None:
        """Raise ValueError that names every fault and every key that nobody asked for."""
        unknown = [
            f"option {key!r} is not known" for key in self._options if key not in self._known
        ]
        if faults := [*unknown, *self._faults]:
            raise ValueError("; ".join(faults))

    def _get(self, key: str, default: str | bool | int) -> str | int | float | bool:  # noqa: FBT001
        self._known.add(key)
        return self._options.get(key, default)

    # ------------------------------------------------------------ the link

    def link(self) -> Link:
        """Return the settings of the link."""
        security = self.text("security")
        files = {key: self.text(key) for key in (*_OWN_FILES, *_PINS)}
        user, password_file = self.text("user"), self.text("password_file")
        self._check_security(security, files)
        self._check_user(security, user, password_file)
        return Link(
            security=security,
            certificate=Path(files["certificate"]),
            private_key=Path(files["private_key"]),
            server_certificate=Path(pin) if (pin := files["server_certificate"]) else None,
            server_fingerprint=self._fingerprint(files["server_fingerprint"]),
            user=user,
            password_file=Path(password_file) if password_file else None,
            root=tuple(name for name in self.text("root").split("/") if name),
            serial=self.text("serial"),
            request_timeout_s=self.number("request_timeout_ms", 4000, 100, 60_000) / 1000,
            keepalive_s=self.number("keepalive_ms", 2000, 100, 60_000) / 1000,
        )

    def _check_security(self, security: str, files: Mapping[str, str]) -> None:
        if security not in SECURITIES:
            self.refuse(
                f"option 'security' must be named: one of {', '.join(SECURITIES)}, not {security!r}"
            )
        if security != SECURE:
            for key in files:
                if files[key]:
                    self.refuse(f"option {key!r} is of use with {SECURE} only")
            return
        for key in _OWN_FILES:
            if not files[key]:
                self.refuse(f"option {key!r} is needed with {SECURE}")
        if len([key for key in _PINS if files[key]]) != 1:
            self.refuse(f"one of the options {' and '.join(map(repr, _PINS))} pins the machine")

    def _check_user(self, security: str, user: str, password_file: str) -> None:
        if not user:
            self.refuse(f"option 'user' must be named: {ANONYMOUS!r} or a user of the machine")
        elif user == ANONYMOUS:
            if password_file:
                self.refuse(f"option 'password_file' is of no use with user {ANONYMOUS!r}")
        elif not password_file:
            self.refuse(f"option 'password_file' is needed with user {user!r}")
        elif security != SECURE:
            self.refuse(f"option 'user': a password is sent with security {SECURE!r} only")

    def _fingerprint(self, given: str) -> str:
        plain = given.replace(":", "").replace(" ", "").lower()
        if plain and not _FINGERPRINT.fullmatch(plain):
            self.refuse(
                f"option 'server_fingerprint' must be a SHA-256 of 64 hex digits, not {given!r}"
            )
        return plain


def check_address(address: str) -> None:
    """Refuse an address that is no OPC UA endpoint; raises ValueError."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"address {address!r}: {error}") from error
    if parts.username or parts.password:
        raise ValueError("address: a user name or password does not belong into an address")
    if parts.scheme != "opc.tcp" or not parts.hostname or not port:
        raise ValueError(f"address {address!r}: opc.tcp://HOST:PORT/PATH expected")
