"""Reads the daemon's JSON answers for display."""

from collections.abc import Mapping
from typing import cast

from dispensed.cli.client import Json


def rows_of(answer: Json) -> list[Json]:
    """Return the rows of a page."""
    return cast("list[Json]", answer["rows"])


def text(row: Mapping[str, object], key: str) -> str:
    """Return a field as text; nothing for null."""
    value = row.get(key)
    return "" if value is None else str(value)


def amount(row: Mapping[str, object], key: str) -> str:
    """Return a quantity with its unit; nothing for null."""
    value = row.get(key)
    if not isinstance(value, dict):
        return ""
    return f"{value['quantity']} {value['unit']}"
