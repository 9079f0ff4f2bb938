"""What can be set about a PackML counter, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SECURE = "Basic256Sha256"
SECURITIES = ("none", SECURE)
_TEXTS = {
    "security": "",
    "certificate": "",
    "private_key": "",
    "server_certificate": "",
    "root": "",
    "serial": "",
    "target_parameter": "TargetCount",
    "job_parameter": "JobId=",
}
_NUMBERS = {
    "count_index": (0, 0, 1000),
    "poll_ms": (100, 1, 5000),
    "settle_ms": (200, 0, 10_000),
    "request_timeout_ms": (4000, 100, 60_000),
    "keepalive_ms": (2000, 100, 60_000),
}
_FLAGS = {"defective_count": True, "processed_includes_defective": False, "clear_aborted": False}


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one counter; all times in seconds.

    `security`: "none", or "Basic256Sha256" (sign and encrypt) with the paths `certificate`,
    `private_key` and `server_certificate`, which pins the machine. `root`: names from Objects down
    to the object that holds BaseStateMachine, parted by "/" ("": the only one there is). `serial`:
    refuse a machine with another serial number.

    `target_parameter`: the machine's own name of the Start parameter that takes the number of
    pieces; OPC 30050 fixes none. `job_parameter`: prefix of a Start parameter whose name carries
    the job id, shown again in Status/Parameter ("": not sent; then a job whose end was not seen can
    be told only when nothing fell).

    `count_index`: element of the count arrays; 0 is the primary product. `defective_count`: whether
    the machine has one. `processed_includes_defective`: whether it counts a defective piece as
    processed too. `clear_aborted`: whether the driver may clear an aborted machine by itself.
    `poll_s`: longest pause between two looks during a job. `settle_s`: how long the counts must
    stand still after a job.
    """

    security: str
    certificate: Path
    private_key: Path
    server_certificate: Path
    root: tuple[str, ...]
    serial: str
    target_parameter: str
    job_parameter: str
    count_index: int
    defective_count: bool
    processed_includes_defective: bool
    clear_aborted: bool
    poll_s: float
    settle_s: float
    request_timeout_s: float
    keepalive_s: float


def parse_options(given: Mapping[str, str | int | float | bool]) -> Options:
    """Return checked options; ValueError names every bad key."""
    faults = [
        f"option {key!r} is not known" for key in given if key not in {*_TEXTS, *_NUMBERS, *_FLAGS}
    ]
    texts = {key: _text(key, given.get(key, default), faults) for key, default in _TEXTS.items()}
    numbers = {
        key: _number(key, given.get(key, default), (least, most), faults)
        for key, (default, least, most) in _NUMBERS.items()
    }
    flags = {key: _flag(key, given.get(key, default), faults) for key, default in _FLAGS.items()}
    _check_security(texts, faults)
    if not texts["target_parameter"]:
        faults.append("option 'target_parameter' must not be empty")
    if faults:
        raise ValueError("; ".join(faults))
    return Options(
        security=texts["security"],
        certificate=Path(texts["certificate"]),
        private_key=Path(texts["private_key"]),
        server_certificate=Path(texts["server_certificate"]),
        root=tuple(name for name in texts["root"].split("/") if name),
        serial=texts["serial"],
        target_parameter=texts["target_parameter"],
        job_parameter=texts["job_parameter"],
        count_index=numbers["count_index"],
        defective_count=flags["defective_count"],
        processed_includes_defective=flags["processed_includes_defective"],
        clear_aborted=flags["clear_aborted"],
        poll_s=numbers["poll_ms"] / 1000,
        settle_s=numbers["settle_ms"] / 1000,
        request_timeout_s=numbers["request_timeout_ms"] / 1000,
        keepalive_s=numbers["keepalive_ms"] / 1000,
    )


def check_address(address: str) -> None:
    """Refuse an address that is no OPC UA endpoint; raises ValueError."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"address {address!r}: {error}") from error
    if parts.scheme != "opc.tcp" or not parts.hostname or not port:
        raise ValueError(f"address {address!r}: opc.tcp://HOST:PORT/PATH expected")
    if parts.username or parts.password:
        raise ValueError("address: a user name or password does not belong into an address")


def _check_security(texts: Mapping[str, str], faults: list[str]) -> None:
    if texts["security"] not in SECURITIES:
        faults.append(
            f"option 'security' must be named: one of {', '.join(SECURITIES)},"
            f" not {texts['security']!r}"
        )
    files = ("certificate", "private_key", "server_certificate")
    if texts["security"] == SECURE:
        faults += [f"option {key!r} is needed with {SECURE}" for key in files if not texts[key]]
    else:
        faults += [f"option {key!r} is of use with {SECURE} only" for key in files if texts[key]]


def _text(key: str, value: object, faults: list[str]) -> str:
    if isinstance(value, str):
        return value
    faults.append(f"option {key!r} must be a text, not {value!r}")
    return ""


def _number(key: str, value: object, limits: tuple[int, int], faults: list[str]) -> int:
    if type(value) is int and limits[0] <= value <= limits[1]:
        return value
    faults.append(f"option {key!r} must be {limits[0]} to {limits[1]}, not {value!r}")
    return 0


def _flag(key: str, value: object, faults: list[str]) -> bool:
    if isinstance(value, bool):
        return value
    faults.append(f"option {key!r} must be true or false, not {value!r}")
    return False
