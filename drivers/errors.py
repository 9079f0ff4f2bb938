"""What goes wrong with a machine, and whether stock may have moved by it."""

from enum import StrEnum


class Moved(StrEnum):
    """Whether stock may have moved when an operation failed."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class DriverError(Exception):
    """Base of every error a driver raises; `moved` says whether stock may have moved."""

    def __init__(self, message: str, *, moved: Moved = Moved.NO) -> None:
        super().__init__(message)
        self.moved = moved


class DeviceUnavailable(DriverError):
    """The device cannot be reached; nothing was sent."""


class DeviceRefused(DriverError):
    """The device answered no before any effect; `reason` is the device's own code or text."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message, moved=Moved.NO)
        self.reason = reason


class ProtocolError(DriverError):
    """Bytes that the protocol does not allow. Codecs raise this and nothing else on garbage."""


class DeviceTimeout(DriverError):
    """No answer within the deadline; `moved` is UNKNOWN when a moving command had been sent."""


class DeviceFault(DriverError):
    """The device reports its own fault (jam, hardware error) while or after acting."""

    def __init__(self, message: str, *, reason: str = "", moved: Moved = Moved.UNKNOWN) -> None:
        super().__init__(message, moved=moved)
        self.reason = reason


class Unsupported(DriverError):
    """This device or driver does not have the asked ability."""


class NotStable(DriverError):
    """The scale did not become stable in time, or is busy."""


class Overload(DriverError):
    """More on the scale than it can weigh."""


class Underload(DriverError):
    """Less than the lower end of the weighing range (pan missing, load lifted)."""


class Disagreement(DriverError):
    """Repeated readings differ: the line or the load is not steady; no value is given."""
