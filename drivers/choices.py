"""Settings of a driver from its configuration: one dataclass, checked field by field."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import ClassVar, Protocol, TypeVar


class Settings(Protocol):
    """A dataclass whose fields are `str`, `int`, `float` or `bool`."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


SettingsT = TypeVar("SettingsT", bound=Settings)
Given = Mapping[str, str | int | float | bool]
Check = Callable[[str], str]
"""What is wrong with a text, "" when nothing is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the values may be: a range for every number, a check for texts that are not free."""

    ranges: Mapping[str, tuple[float, float]]
    texts: Mapping[str, Check] = field(default_factory=dict)


def read(kind: type[SettingsT], options: Given, rules: Rules) -> SettingsT:
    """Return the settings, each checked; raises ValueError naming every bad key."""
    known = {each.name: each.type for each in fields(kind)}
    wrong = [fault for key in options if (fault := _fault(key, options, known, rules))]
    if wrong:
        raise ValueError("; ".join(wrong))
    return kind(**dict(options))


def _fault(key: str, options: Given, known: Mapping[str, object], rules: Rules) -> str:
    value, kind = options[key], known.get(key)
    if kind is None:
        return f"{key} is not one of {', '.join(known)}"
    if kind is bool:
        return "" if isinstance(value, bool) else f"{key} must be true or false, not {value!r}"
    if kind is str:
        if not isinstance(value, str):
            return f"{key} must be a text, not {value!r}"
        check = rules.texts.get(key)
        return check(value) if check is not None else ""
    low, high = rules.ranges[key]
    if (
        isinstance(value, (bool, str))
        or (kind is int and not isinstance(value, int))
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        number = "a whole number" if kind is int else "a number"
        return f"{key} must be {number} from {low} to {high}, not {value!r}"
    return ""
