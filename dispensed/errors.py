"""The errors of the pharmacy's side, each with a stable code.

Services translate driver errors into these; the web layer maps codes to HTTP status in one table.
Subclasses live next to the code that raises them, under the right branch.
"""

from typing import ClassVar


class DispensedError(Exception):
    """Base of every error that dispensed raises on purpose.

    `code` is stable and machine-readable.
    """

    code: ClassVar[str] = "error"


class Invalid(DispensedError):
    """The request itself is wrong; nothing changed."""

    code: ClassVar[str] = "invalid"


class NotFound(DispensedError):
    """The named thing does not exist."""

    code: ClassVar[str] = "not_found"


class Conflict(DispensedError):
    """The request is well formed but the present state forbids it; nothing changed."""

    code: ClassVar[str] = "conflict"


class DeviceProblem(DispensedError):
    """A device failed to do what was asked; the text says whether stock may have moved."""

    code: ClassVar[str] = "device_problem"


class InvariantBroken(DispensedError):
    """A fault of dispensed itself: the operation stops and an alarm is raised."""

    code: ClassVar[str] = "invariant_broken"
